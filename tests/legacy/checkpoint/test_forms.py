"""Calls of torch's own: what torch never writes is damaged, what the oldest files hold is not."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest
import torch

from legacy.checkpoint import Checkpoint, Damaged, read, write_ckpt
from tests.legacy.checkpoint.support import saved


def calling(path: Path, name: str, args: bytes = b")") -> Path:
    """A checkpoint that is one call of `torch.name`."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02ctorch\n" + name.encode() + b"\n" + args + b"R.")
        archive.writestr("archive/version", b"3\n")
    path.write_bytes(made.getvalue())
    return path


def test_the_oldest_files_call_a_class_of_tensors(tmp_path: Path) -> None:
    assert str(read(calling(tmp_path / "old.pt", "FloatTensor")).root.function) == "torch.FloatTensor"


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("float32", b")"),
        ("FloatStorage", b")"),
        ("Size", b"J\xff\xff\xff\xff\x85\x85"),  # (-1,)
        ("Size", b"K\x01\x85"),  # a number, not a tuple of them
        ("device", b"X\x04\x00\x00\x00disk\x85"),
    ],
)
def test_a_call_that_would_not_load_is_damaged(tmp_path: Path, name: str, args: bytes) -> None:
    with pytest.raises(Damaged, match=f"torch.{name}"):
        read(calling(tmp_path / "old.pt", name, args))


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("Size", b"K\x02K\x03\x86\x85"),
        ("device", b"X\x04\x00\x00\x00cudaK\x01\x86"),
        ("device", b"X\x03\x00\x00\x00cpu\x85"),
    ],
)
def test_sizes_and_devices_are_sound(tmp_path: Path, name: str, args: bytes) -> None:
    assert read(calling(tmp_path / "old.pt", name, args)).globals.allowed


def other(checkpoint: Checkpoint, shape: int) -> object:
    """A vector of that length from the same file."""
    return next(value for value in checkpoint.root["vectors"] if value.args[2] == (shape,))


DENSE = torch.eye(4).repeat(2, 1, 1)
SPARSE = {
    "coo": torch.eye(4).to_sparse(),
    "coo with dense values": DENSE.to_sparse(2),
    "csr": torch.eye(4).to_sparse_csr(),
    "batched csr": DENSE.to_sparse_csr(),
    "csc": torch.eye(4).to_sparse_csc(),
    "bsr": torch.eye(4).to_sparse_bsr((2, 2)),
}


@pytest.mark.parametrize("form", SPARSE)
def test_indices_and_values_of_a_sparse_tensor_are_as_many(tmp_path: Path, form: str) -> None:
    vectors = [torch.ones(7), torch.ones(9, dtype=torch.int64)]
    checkpoint = saved(tmp_path / "a", {"sparse": SPARSE[form], "vectors": vectors})
    call = checkpoint.root["sparse"]
    layout, data = call.args
    values = len(data) - (3 if len(data) == 4 and "coo" in form else 2)
    call.args = (layout, (*data[:values], other(checkpoint, 7), *data[values + 1 :]))
    write_ckpt(checkpoint, checkpoint.root, tmp_path / "b", {})
    with pytest.raises(Damaged, match="a sparse tensor is not made of"):
        read(tmp_path / "b")


def test_sizes_and_strides_of_a_nested_tensor_are_as_many(tmp_path: Path) -> None:
    nested = torch.nested.nested_tensor([torch.ones(2, 3), torch.ones(1, 3)])
    checkpoint = saved(tmp_path / "a", {"nested": nested, "vectors": [torch.ones(9, dtype=torch.int64)]})
    call = checkpoint.root["nested"]
    call.args = (*call.args[:3], other(checkpoint, 9))
    write_ckpt(checkpoint, checkpoint.root, tmp_path / "b", {})
    with pytest.raises(Damaged, match="a nested tensor is not made of"):
        read(tmp_path / "b")


def test_a_tensor_of_a_class_that_torch_does_not_take_is_refused_by_name(tmp_path: Path) -> None:
    """A jagged one: plain torch loads it once `torch.nested` and `torch._dynamo` are imported, and not before."""
    jagged = torch.nested.nested_tensor([torch.ones(2, 3), torch.ones(1, 3)], layout=torch.jagged)
    checkpoint = saved(tmp_path / "a", {"jagged": jagged})
    assert "torch.nested._internal.nested_tensor.NestedTensor" in checkpoint.globals.refused
    write_ckpt(checkpoint, checkpoint.root, tmp_path / "b", {}, allow=checkpoint.globals.refused)
    again = torch.load(tmp_path / "b", weights_only=False)["jagged"]
    assert [part.shape for part in again.unbind()] == [(2, 3), (1, 3)]
