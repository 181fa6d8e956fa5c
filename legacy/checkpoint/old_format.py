"""The format of torch before 1.6 (`_use_new_zipfile_serialization=False`): five pickles, then each storage's bytes.

The pickles: a magic number, the protocol (1001), the saving machine, the object, the list of storage keys. Each storage is an
int64 count of its elements and their bytes, little-endian whatever machine wrote them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from legacy.checkpoint.errors import Damaged, Refused
from legacy.checkpoint.files import read_at
from legacy.checkpoint.pickles import run
from legacy.checkpoint.pickles.machine import Machine, Truncated
from legacy.checkpoint.records import Global, Storage, itemsize
from legacy.checkpoint.storages import Extent, StorageTable

MAGIC: Final = 0x1950A86A20F9469CFC6C
_PROTOCOL: Final = 1001
MAX_PICKLE: Final = 1 << 28
_FIRST_WINDOW: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Parsed:
    """What the pickles of a file come to."""

    format: str  # "legacy-pickle": the format above; "pickle": one pickle and no storages
    root: object
    storages: dict[str, Storage]
    extents: dict[str, Extent]
    names: dict[Global, int]


def parse(descriptor: int, size: int) -> Parsed:
    """Reads either format. Raises `Damaged` or `Refused`."""
    window = _FIRST_WINDOW
    while True:
        try:
            return _parse(read_at(descriptor, 0, min(window, size)), descriptor, size)
        except Truncated as error:  # of what was read, not yet of the file
            if window >= size:
                raise Damaged(str(error)) from None
            if window + error.missing > MAX_PICKLE:
                raise Refused(f"its pickle is over {MAX_PICKLE:,} bytes long; tensors belong beside it") from None
            window *= 16


def _parse(code: bytes, descriptor: int, size: int) -> Parsed:
    first = Machine(code)
    root = run(first)
    if root != MAGIC or type(root) is not int:
        if first.position != size:
            raise Damaged(f"something follows the pickle, which ends at byte {first.position:,} of {size:,}")
        return Parsed("pickle", root, {}, {}, first.names)
    names: dict[Global, int] = {}
    position = first.position
    parts: list[object] = []
    table = StorageTable()
    for storages in (None, None, table, None):
        machine = Machine(code, position, storages)
        parts.append(run(machine))
        position = machine.position
        for name, at in machine.names.items():
            names.setdefault(name, at)
    protocol, _, root, keys = parts
    if protocol != _PROTOCOL:
        raise Damaged("it has the old format's magic number, but not its protocol")
    return Parsed(
        "legacy-pickle", root, table.storages, _extents(descriptor, position, size, keys, table.storages), names
    )


def _extents(
    descriptor: int, position: int, size: int, keys: object, storages: dict[str, Storage]
) -> dict[str, Extent]:
    extents: dict[str, Extent] = {}
    if type(keys) is not list:
        raise Damaged("its list of storages is none")
    for key in keys:
        if type(key) is not str or key not in storages or key in extents:
            raise Damaged("its list of storages does not fit the storages that its object uses")
        storage = storages[key]
        count = int.from_bytes(read_at(descriptor, position, 8), "little")
        if count != storage.size:
            raise Damaged(f"storage {key[:40]!r} has {count:,} elements where {storage.size:,} are expected")
        extents[key] = Extent(position + 8, storage.nbytes, storage.nbytes)
        position += 8 + count * itemsize(storage.dtype)
        if position > size:
            raise Damaged(f"the file is cut off in storage {key[:40]!r}")
    if len(extents) != len(storages):
        raise Damaged("its list of storages leaves some out that its object uses")
    if position != size:
        raise Damaged(f"{size - position:,} bytes follow the last storage")
    return extents
