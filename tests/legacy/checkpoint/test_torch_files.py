"""Files that torch saves: read without torch, written again, loaded by plain torch under weights_only, bit for bit."""

from __future__ import annotations

import collections
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from legacy.checkpoint import Damaged, Refused, read, write_ckpt
from legacy.checkpoint.contents import digest
from legacy.checkpoint.names import LOADABLE
from legacy.checkpoint.records import DTYPES, Call, Global, Storage
from legacy.checkpoint.tensors import Tensor, tensors
from tests.legacy.checkpoint.support import bitwise, rewritten, same, saved

NUMBERS = [
    torch.float64,
    torch.float32,
    torch.float16,
    torch.bfloat16,
    torch.int64,
    torch.int32,
    torch.int16,
    torch.int8,
    torch.uint8,
    torch.uint16,
    torch.uint32,
    torch.uint64,
    torch.bool,
    torch.complex64,
    torch.complex128,
    torch.complex32,
    torch.float8_e4m3fn,
    torch.float8_e5m2,
    torch.float8_e4m3fnuz,
    torch.float8_e5m2fnuz,
    torch.float8_e8m0fnu,
]
FORMATS = [{}, {"_use_new_zipfile_serialization": False}]


def sample(dtype: torch.dtype, *shape: int) -> torch.Tensor:
    count = torch.Size(shape).numel() * torch.empty((), dtype=dtype).element_size()
    data = bytes((7 * n + 3) % (2 if dtype is torch.bool else 251) for n in range(count))
    return torch.frombuffer(bytearray(data), dtype=dtype).reshape(shape)


def described(path: Path, value: object, **how: Any) -> dict[str, Tensor]:
    return {str(trail[-1]): tensor for trail, tensor in tensors(saved(path, value, **how).root)}


@pytest.mark.parametrize("how", FORMATS, ids=["zip", "old"])
@pytest.mark.filterwarnings("ignore:ComplexHalf")
@pytest.mark.parametrize("dtype", NUMBERS, ids=str)
def test_every_dtype(tmp_path: Path, dtype: torch.dtype, how: dict[str, bool]) -> None:
    value = {"t": sample(dtype, 3, 5), "scalar": sample(dtype, 1)[0], "empty": torch.empty(0, 4, dtype=dtype)}
    assert same(rewritten(tmp_path / "a", value, **how), value)
    tensor = described(tmp_path / "b", value, **how)["t"]
    assert (f"torch.{tensor.dtype}", tensor.shape, tensor.stride) == (str(dtype), (3, 5), (5, 1))


def test_every_dtype_of_torch_is_known() -> None:
    of_torch = {str(value).removeprefix("torch.") for value in vars(torch).values() if isinstance(value, torch.dtype)}
    assert of_torch <= DTYPES


def test_what_is_loadable_is_what_torch_says() -> None:
    from torch._weights_only_unpickler import _get_allowed_globals  # type: ignore[attr-defined]

    assert set(_get_allowed_globals()) == LOADABLE


@pytest.mark.parametrize("how", FORMATS, ids=["zip", "old"])
def test_views_ties_and_parameters_stay(tmp_path: Path, how: dict[str, bool]) -> None:
    base = torch.arange(24.0).reshape(4, 6)
    tied = nn.Parameter(torch.ones(3))
    value = {
        "base": base,
        "row": base[2],
        "column": base[:, 1],
        "transposed": base.t(),
        "window": base[1:3, 2:4],
        "expanded": base[:1].expand(5, 6),
        "strided": base.as_strided((2, 3), (1, 2), 3),
        "tied": tied,
        "again": tied,
        "frozen": nn.Parameter(torch.zeros(2), requires_grad=False),
        "needs": torch.zeros(2, requires_grad=True),
        "buffer": nn.Buffer(torch.zeros(2)),
    }
    made = rewritten(tmp_path / "a", value, **how)
    for name, tensor in value.items():
        assert bitwise(made[name], tensor) or name == "buffer", name
    assert made["tied"] is made["again"]
    storage = made["base"].untyped_storage().data_ptr()
    assert {made[name].untyped_storage().data_ptr() for name in list(value)[:7]} == {storage}


def test_the_description_of_tensors(tmp_path: Path) -> None:
    base = torch.zeros(4, 6)
    found = described(tmp_path / "a", {"view": base[1:, 2:].t(), "p": nn.Parameter(base), "meta": base.to("meta")})
    view, parameter = found["view"], found["p"]
    assert (view.shape, view.stride, view.offset, view.requires_grad) == ((4, 3), (1, 6), 8, False)
    assert (parameter.parameter, parameter.requires_grad, parameter.storage) == (True, True, view.storage)
    assert isinstance(view.storage, Storage)
    assert (view.storage.dtype, view.storage.size, view.storage.location) == ("float32", 24, "cpu")
    assert found["meta"].storage is None
    assert list(found) == ["view", "p", "meta"]


def test_a_tied_tensor_is_listed_at_each_of_its_places(tmp_path: Path) -> None:
    weight = torch.zeros(2)
    found = [trail for trail, _ in tensors(saved(tmp_path / "a", {"s": {"a": weight, "b": weight}}).root)]
    assert found == [("s", "a"), ("s", "b")]


def test_containers(tmp_path: Path) -> None:
    ordered = collections.OrderedDict(b=1, a=[2])
    value = {
        "ordered": ordered,
        "same": ordered,
        "set": {1, "a", (2, "b")},
        "bytes": b"\x00\xff",
        "none": b"",
        "array": bytearray(b"ab"),
        "large": 1 << 2000,
        "negative": [-1, -(1 << 31), -(1 << 31) - 1, 1 << 31, 255, 256, 65535, 65536],
        "complex": 1 - 2j,
        "floats": [0.1, -0.0, float("inf")],
        "text": "naïve\n\ud800",
        "size": torch.Size([1, 2]),
        "device": torch.device("cuda", 1),
        "dtype": torch.bfloat16,
        "counter": collections.Counter("aab"),
        "tuples": ((), (1,), (1, 2), (1, 2, 3), tuple(range(40)), ([],)),
        3: {None: True, 1.5: False, (1, (2,)): "key"},
        "many": list(range(5000)),
        "wide": {str(n): n for n in range(5000)},
    }
    assert same(rewritten(tmp_path / "a", value), value)


def test_cycles_through_lists_and_dictionaries(tmp_path: Path) -> None:
    loop: dict[str, Any] = {"list": []}
    loop["list"].append(loop)
    made = rewritten(tmp_path / "a", loop)
    assert made["list"][0] is made


def test_a_state_dict_keeps_its_metadata(tmp_path: Path) -> None:
    state = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3)).state_dict()
    made = rewritten(tmp_path / "a", state)
    assert same(made, state)
    assert made._metadata == state._metadata  # type: ignore[attr-defined]


def test_an_optimizer_resumes(tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(net.parameters(), lr=0.1)
    net(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    made = rewritten(tmp_path / "a", {"optimizer_states": [optimizer.state_dict()]})
    assert same(made["optimizer_states"][0], optimizer.state_dict())
    optimizer.load_state_dict(made["optimizer_states"][0])


@pytest.mark.filterwarnings("ignore:Sparse")
def test_sparse_nested_meta_and_subclassed_tensors(tmp_path: Path) -> None:
    sparse = torch.sparse_coo_tensor(torch.tensor([[0, 2]]), torch.tensor([1.0, 2.0]), (3,)).coalesce()
    parameter = nn.Parameter(torch.ones(2))
    parameter.note = "kept"  # type: ignore[attr-defined]
    tensor = torch.ones(2)
    tensor.note = [1]  # type: ignore[attr-defined]
    made = rewritten(
        tmp_path / "a",
        {
            "sparse": sparse,
            "csr": torch.eye(3).to_sparse_csr(),
            "meta": torch.empty(2, 3, device="meta"),
            "parameter": parameter,
            "tensor": tensor,
            "conjugate": torch.tensor([1 + 2j]).conj(),
        },
    )
    assert torch.equal(made["sparse"].to_dense(), sparse.to_dense())
    assert torch.equal(made["csr"].to_dense(), torch.eye(3))
    assert (made["meta"].is_meta, made["meta"].shape) == (True, (2, 3))
    assert (made["parameter"].note, made["tensor"].note) == ("kept", [1])
    assert torch.equal(made["conjugate"], torch.tensor([1 - 2j]))


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
def test_quantised_tensors(tmp_path: Path) -> None:
    value = torch.quantize_per_tensor(torch.arange(6.0), 0.5, 1, torch.quint8)
    channels = torch.quantize_per_channel(
        torch.ones(2, 3), torch.tensor([0.1, 0.2]), torch.tensor([0, 1]), 0, torch.qint8
    )
    made = rewritten(tmp_path / "a", {"a": value, "b": channels})
    assert torch.equal(made["a"].int_repr(), value.int_repr())
    assert torch.equal(made["b"].dequantize(), channels.dequantize())
    assert described(tmp_path / "b", {"a": value})["a"].quantizer


def test_a_bare_storage(tmp_path: Path) -> None:
    made = rewritten(tmp_path / "a", {"s": torch.arange(3, dtype=torch.uint8).untyped_storage()})
    assert bytes(made["s"]) == b"\0\1\2"


def test_numbers_of_numpy_become_numbers(tmp_path: Path) -> None:
    kinds = "bool int8 uint8 int16 uint16 int32 uint32 int64 uint64 float16 float32 float64 complex64 complex128"
    value = {kind: getattr(np, kind + "_" * (kind == "bool"))(1) for kind in kinds.split()}
    value["third"] = np.float64(1) / 3
    value["big"] = np.dtype(">f8").type(2.5)
    made = rewritten(tmp_path / "a", value)
    assert {name: (type(item), item) for name, item in made.items()} == {
        name: (type(item.item()), item.item()) for name, item in value.items()
    }
    assert read(tmp_path / "a").globals.refused == {}


def test_containers_that_weights_only_refuses_become_their_plain_twins(tmp_path: Path) -> None:
    shared = collections.defaultdict(list, a=[1])
    checkpoint = saved(
        tmp_path / "a", {"d": shared, "e": shared, "q": collections.deque([1, 2], 3), "f": frozenset({1, 2})}
    )
    written = write_ckpt(checkpoint, checkpoint.root, tmp_path / "b", {})
    made = torch.load(tmp_path / "b", weights_only=True)
    assert made == {"d": {"a": [1]}, "e": {"a": [1]}, "q": [1, 2], "f": {1, 2}}
    assert made["d"] is made["e"]
    assert written.replaced == {"builtins.frozenset": 1, "collections.defaultdict": 2, "collections.deque": 1}


def test_whole_modules_are_read_and_named_but_not_written(tmp_path: Path) -> None:
    checkpoint = saved(tmp_path / "a", {"eval_modules": [nn.Linear(2, 2)]})
    assert list(checkpoint.globals.refused) == ["torch.nn.modules.linear.Linear"]
    use = checkpoint.globals.refused["torch.nn.modules.linear.Linear"]
    assert use.places == ["checkpoint['eval_modules'][0].function"]
    with pytest.raises(Refused, match=r"torch\.nn\.modules\.linear\.Linear at checkpoint\['eval_modules'\]\[0\]"):
        write_ckpt(checkpoint, checkpoint.root, tmp_path / "b", {})
    assert not (tmp_path / "b").exists()


def test_an_allowed_global_is_written_as_it_was(tmp_path: Path) -> None:
    checkpoint = saved(tmp_path / "a", {"path": Path("/x/y"), "p": os.path.join})
    write_ckpt(checkpoint, checkpoint.root, tmp_path / "b", {}, allow=["pathlib.PosixPath", "posixpath.join"])
    with pytest.raises(pickle.UnpicklingError):
        torch.load(tmp_path / "b", weights_only=True)
    assert torch.load(tmp_path / "b", weights_only=False) == {"path": Path("/x/y"), "p": os.path.join}


def test_a_tensor_outside_of_its_storage_is_damaged(tmp_path: Path) -> None:
    checkpoint = saved(tmp_path / "a", {"w": torch.zeros(4)})
    call = checkpoint.root["w"]
    call.args = (call.args[0], 1, *call.args[2:])
    write_ckpt(checkpoint, checkpoint.root, tmp_path / "b", {})
    with pytest.raises(Damaged, match=r"checkpoint\['w'\]: a tensor reaches to byte 20 of storage '0', which has 16"):
        read(tmp_path / "b")


@pytest.mark.parametrize("how", FORMATS, ids=["zip", "old"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.bool, torch.complex128, torch.int64], ids=str)
def test_equal_elements_have_equal_digests_however_they_lie(
    tmp_path: Path, dtype: torch.dtype, how: dict[str, bool]
) -> None:
    base = sample(dtype, 4, 3, 5, 2)
    views = [
        base,
        base.t() if base.ndim == 2 else base.permute(3, 1, 0, 2),
        base[1:, :, ::2],
        base[2, 1],
        base[:, :1].expand(4, 7, 5, 2),
        base[0, 0, 0, 0],
        base[:, :, :0],
        base.to(memory_format=torch.channels_last),
    ]
    torch.save({str(n): view for n, view in enumerate(views)}, tmp_path / "a", **how)
    torch.save({str(n): view.contiguous() for n, view in enumerate(views)}, tmp_path / "b")
    assert digests(tmp_path / "a") == digests(tmp_path / "b")
    assert len(set(digests(tmp_path / "b").values())) == len(views) - 1  # channels_last is the base again


def digests(path: Path) -> dict[str, str]:
    checkpoint = read(path)
    with checkpoint.source.open() as descriptor:
        return {str(trail[-1]): digest(checkpoint, descriptor, tensor) for trail, tensor in tensors(checkpoint.root)}


def test_an_absurd_expansion_is_refused(tmp_path: Path) -> None:
    checkpoint = saved(tmp_path / "a", torch.zeros(1).expand(1 << 20, 1 << 20))
    ((_, tensor),) = tensors(checkpoint.root)
    with checkpoint.source.open() as descriptor, pytest.raises(Refused, match="expands"):
        digest(checkpoint, descriptor, tensor)


def test_old_names_are_shimmed(tmp_path: Path) -> None:
    names = [
        Global("models.build", "build_model"),
        Global("DataYatesV1.models.modules.models", "ModularV1Model"),
        Global("__main__", "MultiDatasetModel"),
        Global("argparse", "Namespace"),
        Global("pytorch_lightning.utilities.parsing", "AttributeDict"),
    ]
    others = [
        Global("models.build", "os.system"),
        Global("__main__", "main"),
        Global("builtins", "eval"),
        Global("os", "system"),
    ]
    code = (
        b"("
        + b"".join(
            b"\x8c%c%s\x8c%c%s\x93" % (len(n.module), n.module.encode(), len(n.name), n.name.encode())
            for n in names + others
        )
        + b"t."
    )
    (tmp_path / "a").write_bytes(b"\x80\x04" + code)
    found = read(tmp_path / "a").globals
    assert set(found.shimmed) == set(map(str, names))
    assert set(found.refused) == set(map(str, others))


def test_a_call_that_the_program_throws_away_is_still_named(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"\x80\x02cposix\nsystem\nX\x02\x00\x00\x00ls\x85R0}.")
    checkpoint = read(tmp_path / "a")
    assert checkpoint.root == {}
    assert checkpoint.globals.refused["posix.system"].places == ["byte 16 of the pickle, left out of the result"]


def test_records_are_what_they_say(tmp_path: Path) -> None:
    root = saved(tmp_path / "a", {"w": torch.zeros(2), "d": torch.device("cpu")}).root
    assert isinstance(root["d"], Call)
    assert (repr(root["d"]), str(root["d"].function)) == ("<call of torch.device>", "torch.device")
