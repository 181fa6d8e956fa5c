"""safetensors, read and written; the judge is the library itself where it is installed."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from legacy.checkpoint import CheckpointError, Damaged, Refused, read, write_ckpt, write_safetensors
from legacy.checkpoint.safetensors_reader import DTYPES
from tests.legacy.checkpoint.support import saved


def loaded(path: Path) -> dict[str, torch.Tensor]:
    """By the format's description, in ten lines of its own."""
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header: dict[str, Any] = json.loads(data[8 : 8 + length])
    header.pop("__metadata__", None)
    made = {}
    for name, entry in header.items():
        begin, end = (8 + length + at for at in entry["data_offsets"])
        dtype = getattr(torch, DTYPES[entry["dtype"]])
        flat = torch.frombuffer(bytearray(data[begin:end]), dtype=dtype) if end > begin else torch.empty(0, dtype=dtype)
        made[name] = flat.reshape(entry["shape"])
    return made


def equal(ours: torch.Tensor, theirs: torch.Tensor) -> bool:
    bits = (
        t.contiguous().reshape(-1).view(torch.uint8) if t.dim() else t.reshape(1).view(torch.uint8)
        for t in (ours, theirs)
    )
    return ours.dtype == theirs.dtype and ours.shape == theirs.shape and torch.equal(*bits)


@pytest.mark.parametrize("how", [{}, {"_use_new_zipfile_serialization": False}], ids=["zip", "old"])
def test_every_dtype_there_and_back(tmp_path: Path, how: dict[str, bool]) -> None:
    state = {
        name: torch.frombuffer(bytearray(b"\1\0" * 48), dtype=getattr(torch, name)).reshape(3, -1)
        for name in DTYPES.values()
    }
    state["scalar"], state["empty"] = torch.tensor(2.0), torch.empty(0, 3)
    checkpoint = saved(tmp_path / "a", {"state_dict": state, "epoch": 3}, **how)
    write_safetensors(checkpoint, checkpoint.root, tmp_path / "b.safetensors", {"tool": "x"})
    made = loaded(tmp_path / "b.safetensors")
    assert all(equal(made[name], tensor) for name, tensor in state.items())
    again = read(tmp_path / "b.safetensors")
    assert (again.format, again.provenance, again.globals.refused) == ("safetensors", {"tool": "x"}, {})
    write_ckpt(again, again.root, tmp_path / "c.ckpt", {}, check=True)
    back = torch.load(tmp_path / "c.ckpt", weights_only=True)
    assert all(equal(back["state_dict"][name], tensor) for name, tensor in state.items()) and back["epoch"] == 3


def test_the_library_agrees(tmp_path: Path) -> None:
    library = pytest.importorskip("safetensors.torch")
    state = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)).state_dict()
    checkpoint = saved(tmp_path / "a", state)
    write_safetensors(checkpoint, checkpoint.root, tmp_path / "b.safetensors", {})
    assert all(equal(tensor, state[name]) for name, tensor in library.load_file(tmp_path / "b.safetensors").items())
    library.save_file(dict(state), tmp_path / "c.safetensors", metadata={"by": "the library"})
    theirs = read(tmp_path / "c.safetensors")
    assert (theirs.metadata, set(theirs.root)) == ({"by": "the library"}, set(state))


def test_views_are_written_out_and_ties_once(tmp_path: Path) -> None:
    base = torch.arange(12.0).reshape(3, 4)
    state = {
        "a": base,
        "tied": base,
        "turned": base.t(),
        "row": base[1],
        "wide": base[:1].expand(2, 4),
        "own": torch.ones(1),
    }
    checkpoint = saved(tmp_path / "a", {"state_dict": state})
    written = write_safetensors(checkpoint, checkpoint.root, tmp_path / "b.safetensors", {})
    made = loaded(tmp_path / "b.safetensors")
    assert set(made) == set(state) - {"tied"}
    assert written.storages == 5
    assert all(equal(made[name], state[name]) for name in made)
    config = json.loads((tmp_path / "b.json").read_text())
    assert config["tied"] == {"tied": "a"}
    assert set(config["views"]) == {"a", "turned", "row", "wide"}
    assert config["views"]["row"] == {"storage": "0", "offset": 4, "stride": [1]}


def test_the_configuration_lies_beside(tmp_path: Path) -> None:
    root = {
        "state_dict": {"w": torch.ones(1), "_extra_state": {"scale": 1}},
        "hyper_parameters": {"lr": 0.1, "size": (1, 2), "path": Path("/x"), "inf": float("inf"), 3: {True: None}},
        "optimizer_states": [{"state": {0: {"exp_avg": torch.ones(2, 3)}}}],
    }
    checkpoint = saved(tmp_path / "a", root)
    write_safetensors(checkpoint, checkpoint.root, tmp_path / "b.safetensors", {"source": "a"})
    config = json.loads((tmp_path / "b.json").read_text())
    assert config["provenance"] == {"source": "a"}
    assert config["checkpoint"]["hyper_parameters"] == {
        "lr": 0.1,
        "size": [1, 2],
        "path": "<pathlib.PosixPath>",
        "inf": "inf",
        "3": {"True": None},
    }
    assert config["checkpoint"]["optimizer_states"] == [{"state": {"0": {"exp_avg": "<tensor float32 [2, 3]>"}}}]
    assert config["checkpoint"]["state_dict"] == {"_extra_state": {"scale": 1}}


def test_big_endian_files_become_little_endian(tmp_path: Path) -> None:
    state = {"w": torch.arange(300_000, dtype=torch.int32), "c": torch.ones(3, dtype=torch.complex64)}
    swapped = {name: tensor.clone() for name, tensor in state.items()}
    for tensor in swapped.values():
        tensor.untyped_storage().byteswap(tensor.dtype)
    torch.save(swapped, tmp_path / "a")
    data = (tmp_path / "a").read_bytes()
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(buffer, "w") as new:
        for name in old.namelist():
            new.writestr(name, b"big" if name.endswith("byteorder") else old.read(name))
    (tmp_path / "a").write_bytes(buffer.getvalue())
    checkpoint = read(tmp_path / "a")
    write_safetensors(checkpoint, checkpoint.root, tmp_path / "b.safetensors", {})
    assert all(equal(tensor, state[name]) for name, tensor in loaded(tmp_path / "b.safetensors").items())


@pytest.mark.parametrize(
    ("root", "word"),
    [
        ([torch.ones(1)], "a list, without a state dict"),
        ({"state_dict": {"a": 1}}, "no tensor"),
        ({"state_dict": {"a": torch.ones(1, dtype=torch.complex128)}}, "complex128"),
        ({"state_dict": {"a": torch.ones(1, device="meta")}}, "meta"),
        ({"state_dict": {"a": torch.ones(1, dtype=torch.complex64).conj()}}, "conjugated"),
        ({"state_dict": {1: torch.ones(1)}}, "named|names"),
        ({"state_dict": {"a": torch.ones(2, 2).to_sparse(), "b": torch.ones(1)}}, "'a' is a tensor made of others"),
        ({"state_dict": {"a": torch.ones(2, 2).to_sparse_csr(), "b": torch.ones(1)}}, "made of others"),
        ({"state_dict": {"__metadata__": torch.ones(1)}}, "names"),
    ],
)
def test_what_the_format_cannot_hold_is_refused_by_name(tmp_path: Path, root: object, word: str) -> None:
    checkpoint = saved(tmp_path / "a", root)
    with pytest.raises(Refused, match=word):
        write_safetensors(checkpoint, checkpoint.root, tmp_path / "b.safetensors", {})
    assert [file.name for file in tmp_path.iterdir()] == ["a"]


def test_the_configuration_does_not_write_over_the_weights(tmp_path: Path) -> None:
    checkpoint = saved(tmp_path / "a", {"w": torch.ones(1)})
    with pytest.raises(CheckpointError, match="suffix"):
        write_safetensors(checkpoint, checkpoint.root, tmp_path / "b.json", {})


def test_a_structure_that_would_never_end_is_refused(tmp_path: Path) -> None:
    loop: dict[str, Any] = {"state_dict": {"w": torch.ones(1)}, "hyper_parameters": {}}
    loop["hyper_parameters"]["self"] = loop["hyper_parameters"]
    checkpoint = saved(tmp_path / "a", loop)
    with pytest.raises(Refused, match="JSON"):
        write_safetensors(checkpoint, checkpoint.root, tmp_path / "b.safetensors", {})


def header(**entries: Any) -> bytes:
    text = json.dumps(entries).encode()
    return len(text).to_bytes(8, "little") + text


GOOD = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}


@pytest.mark.parametrize(
    "data",
    [
        header(w=GOOD),
        header(w=GOOD) + b"12345",
        header(w={**GOOD, "shape": [2]}) + b"1234",
        header(w={**GOOD, "shape": [-1]}) + b"1234",
        header(w={**GOOD, "shape": [1.0]}) + b"1234",
        header(w={**GOOD, "shape": [True]}) + b"1234",
        header(w={**GOOD, "more": 1}) + b"1234",
        header(w={**GOOD, "dtype": "F3"}) + b"1234",
        header(w={**GOOD, "data_offsets": [4, 0]}) + b"1234",
        header(w={**GOOD, "data_offsets": [1, 5]}) + b"12345",
        header(w=GOOD, v=GOOD) + b"1234",
        header(w=[]) + b"1234",
        header(__metadata__={"a": 1}, w=GOOD) + b"1234",
        header(w={**GOOD, "shape": [1] * 65}) + b"1234",
        (100).to_bytes(8, "little") + b"{",
        (2).to_bytes(8, "little") + b"{]",
        (200_000).to_bytes(8, "little") + b"{" + b'"a":{' * 39_999 + b" " * 4,
        (60).to_bytes(8, "little") + b'{"a":1,"a":1}'.ljust(60),
    ],
)
def test_a_header_that_lies_is_turned_down(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a").write_bytes(data)
    with pytest.raises((Damaged, Refused)):
        read(tmp_path / "a")
