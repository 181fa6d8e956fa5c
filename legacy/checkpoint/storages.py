"""The references to storages in a pickle: what torch calls persistent ids."""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple

from legacy.checkpoint.errors import Damaged, Refused
from legacy.checkpoint.records import STORAGE_DTYPES, Global, Storage


class Extent(NamedTuple):
    """Where a storage's bytes lie in the file; `crc` is None where the file has none for it."""

    offset: int
    length: int  # as stored
    nbytes: int  # as used: more, where it is deflated
    crc: int | None = None
    deflated: bool = False


class StorageTable:
    """The storages that one pickle names, each key once."""

    def __init__(self) -> None:
        self.storages: dict[str, Storage] = {}

    def resolve(self, identifier: object) -> object:
        """The storage that a persistent id names. Raises `Damaged` for any other shape than torch writes."""
        match identifier:
            case ("storage" | b"storage", kind, key, place, size) | (
                "storage" | b"storage",
                kind,
                key,
                place,
                size,
                None,
            ) if type(kind) is Global and type(key) is str and isinstance(place, (str, bytes)):
                return self.add(key, *described(kind, place, size))
            case ("storage" | b"storage", _, _, _, _, tuple()):
                raise Refused("a storage that is a window of another one, as torch wrote before 0.4")
            case ("module" | b"module", Global() as function, _, _):
                return function  # the older format keeps a module's source beside its class
        raise Damaged("a reference that is not one to a storage")

    def add(self, key: str, dtype: str, size: int, device: str) -> Storage:
        """The storage of that key. Raises `Damaged` where it was of another length before."""
        found = Storage(key, dtype, size, device)
        known = self.storages.setdefault(key, found)
        if known is found or (known.dtype, known.size) == (dtype, size):
            return known
        if known.nbytes != found.nbytes:
            raise Damaged(
                f"storage {key[:40]!r} is {known.nbytes:,} bytes long in one place and {found.nbytes:,} in another"
            )
        return found  # one block of bytes seen as two types


def described(kind: Global, location: str | bytes, size: object) -> tuple[str, int, str]:
    """Dtype, size and device of storages of that class in that place. Raises `Damaged` where there are none."""
    dtype = _dtype(kind)
    if type(size) is not int or not 0 <= size < _MAX_SIZE:
        raise Damaged(f"a storage has {size} elements")
    return dtype, size, _device(location)


_MAX_SIZE: Final = 1 << 60
_DEVICES: Final = frozenset(
    ["cpu", "cuda", "mps", "meta", "xpu", "xla", "hpu", "npu", "mtia", "ipu", "vulkan", "privateuseone"]
)


@lru_cache(maxsize=256)
def _dtype(kind: Global) -> str:
    if kind.name not in STORAGE_DTYPES or kind.module.partition(".")[0] != "torch":
        raise Damaged(f"{kind} where a class of storages should be")
    return STORAGE_DTYPES[kind.name]


@lru_cache(maxsize=256)
def _device(location: str | bytes) -> str:
    place = location.decode("latin-1") if isinstance(location, bytes) else location
    return place if is_device(place) else "cpu"  # torch would not know where to put it


def is_device(text: str) -> bool:
    """Whether torch takes it for the name of one: `cpu`, `cuda:0`."""
    kind, colon, index = text.partition(":")
    return kind in _DEVICES and (not colon or (index.isascii() and index.isdecimal() and len(index) < 4))
