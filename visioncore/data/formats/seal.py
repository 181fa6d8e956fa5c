"""A CRC-32 behind the last byte of an HDF5 file, where HDF5 does not look, and which it cuts off when it writes to the file again.

Without it a flipped bit goes unseen, or takes the whole process along: the library trusts what it reads.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

from visioncore.data.errors import DataError
from visioncore.data.formats.content import missing

try:
    import h5py
except ImportError as error:
    raise missing("h5py") from error

MARK = b"\nvisioncore crc32 "
BLOCK = 1 << 24


@contextmanager
def sealed_file(path: Path) -> Iterator[Any]:
    """An HDF5 file to write into, in memory: on a full disk HDF5 cannot close a file, and crashes. Raises OSError: the disk is full."""
    image = BytesIO()
    with h5py.File(image, "w") as file:
        yield file
    with path.open("wb") as on_disk:
        on_disk.write(image.getbuffer())
        on_disk.write(MARK + b"%08x\n" % zlib.crc32(image.getbuffer()))


def check_seal(path: Path) -> None:
    """Nothing to check in a file without one. Raises DataError: the file is not what was written; OSError."""
    length = path.stat().st_size - len(MARK) - 9
    if length < 0:
        return
    with path.open("rb") as file:
        file.seek(length)
        found = file.read()
    if found.startswith(MARK) and found[len(MARK) :] != b"%08x\n" % _crc(path, length):
        raise DataError(f"{path} is damaged: its content is not what was written; get a copy, or write it again")


def _crc(path: Path, length: int) -> int:
    crc = 0
    with path.open("rb") as file:
        while length and (block := file.read(min(length, BLOCK))):
            crc = zlib.crc32(block, crc)
            length -= len(block)
    return crc
