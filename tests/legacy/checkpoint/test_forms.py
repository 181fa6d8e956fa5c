"""Calls of torch's own: what torch never writes is damaged, what the oldest files hold is not."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest

from legacy.checkpoint import Damaged, read


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
