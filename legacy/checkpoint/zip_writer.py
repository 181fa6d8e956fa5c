"""The archive that torch reads: stored records at multiples of 64 bytes, sizes and CRCs in both headers, 64-bit where needed.

There is no `.format_version` record: with one, `torch.load(map_location="meta")` computes places from torch's own layout
instead of looking them up, and this layout has no data descriptors.
"""

from __future__ import annotations

import struct
from typing import Final

from legacy.checkpoint.crc import crc32
from legacy.checkpoint.errors import Damaged
from legacy.checkpoint.files import Destination
from legacy.checkpoint.storages import Extent
from legacy.checkpoint.zip_reader import content

ALIGNMENT: Final = 64
_FULL16, _FULL32 = 0xFFFF, 0xFFFFFFFF
_UTF8, _DATE = 0x800, 0x21  # the name's encoding; 1 January 1980, as no time is told
_CRC_AT: Final = 14  # in a local header
_PADDING: Final = [b"FB" + count.to_bytes(2, "little") + b"Z" * count for count in range(ALIGNMENT)]


class ZipWriter:
    """Adds records to a destination; `close` writes the directory."""

    def __init__(self, made: Destination) -> None:
        self._made = made
        self._directory = bytearray()
        self._count = 0

    def add(self, name: str, data: bytes) -> None:
        crc = crc32(data)
        self._begin(name, len(data), crc)
        self._made.write(data)

    def add_copy(self, name: str, descriptor: int, extent: Extent, check: bool) -> None:
        """A record's bytes from another file. The CRC is taken over where there is one, and compared under `check`.

        Raises `Damaged` where it does not hold.
        """
        if extent.deflated:
            self._begin(name, extent.nbytes, extent.crc or 0)
            crc = 0
            for piece in content(descriptor, extent):
                crc = crc32(piece, crc)
                self._made.write(piece)
        elif extent.crc is not None and not check:
            self._begin(name, extent.nbytes, extent.crc)
            self._made.copy(descriptor, extent.offset, extent.nbytes)
            return
        else:
            self._begin(name, extent.nbytes, extent.crc or 0)
            crc = self._made.copy_checked(descriptor, extent.offset, extent.nbytes)
        if extent.crc is None:
            self._set_crc(crc)
        elif crc != extent.crc:
            raise Damaged(f"the bytes of {name} are corrupt: their CRC is {crc:08x}, the archive says {extent.crc:08x}")

    def close(self) -> None:
        start, length, count = self._made.position, len(self._directory), self._count
        self._made.write(self._directory)
        if count >= _FULL16 or length >= _FULL32 or start >= _FULL32:
            at = self._made.position
            self._made.write(struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, count, count, length, start))
            self._made.write(struct.pack("<4sLQL", b"PK\6\7", 0, at, 1))
        short = min(count, _FULL16)
        self._made.write(
            struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, short, short, min(length, _FULL32), min(start, _FULL32), 0)
        )

    def _begin(self, name: str, size: int, crc: int) -> None:
        encoded, at = name.encode(), self._made.position
        self._last = at, len(self._directory)
        wide = size >= _FULL32 or at >= _FULL32
        needed = 45 if wide else 20
        short = _FULL32 if wide else size
        common = struct.pack("<5H3LH", needed, _UTF8, 0, 0, _DATE, crc, short, short, len(encoded))
        extra = struct.pack("<2H2Q", 1, 16, size, size) if wide else b""
        extra += _PADDING[-(at + 30 + len(encoded) + len(extra) + 4) % ALIGNMENT]
        self._made.write(b"PK\3\4" + common + len(extra).to_bytes(2, "little") + encoded + extra)
        extra = struct.pack("<2H3Q", 1, 24, size, size, at) if wide else b""
        places = struct.pack("<4H2L", len(extra), 0, 0, 0, 0, _FULL32 if wide else at)
        self._directory += b"PK\1\2" + needed.to_bytes(2, "little") + common + places + encoded + extra
        self._count += 1

    def _set_crc(self, crc: int) -> None:
        header, entry = self._last
        self._made.rewrite(header + _CRC_AT, crc.to_bytes(4, "little"))
        self._directory[entry + _CRC_AT + 2 : entry + _CRC_AT + 6] = crc.to_bytes(4, "little")
