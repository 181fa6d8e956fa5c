"""Zip archives as torch writes them, read strictly: one way to understand the file, or none.

Layout after PKWARE's APPNOTE.TXT (sections 4.3.7, 4.3.12 to 4.3.16, 4.5.3). Only the central directory is believed; the local
headers are there to agree with it. What two readers could understand in two ways is refused.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator
from typing import Final, TypeAlias

from legacy.checkpoint.crc import crc32
from legacy.checkpoint.errors import Damaged, Refused
from legacy.checkpoint.files import CHUNK, Window, blocks, read_at
from legacy.checkpoint.storages import Extent

_END: Final = struct.Struct("<4s4H2LH")
_END64: Final = struct.Struct("<4sQ2H2L4Q")
_LOCATOR: Final = struct.Struct("<4sLQL")
# Versions, times and attributes are nobody's concern.
_CENTRAL: Final = struct.Struct("<4s4x2H4x3L4H6xL")
_LOCAL: Final = struct.Struct("<4s2x2H4x3L2H")

_DESCRIPTOR, _UTF8 = 0x8, 0x800  # sizes follow the data; the name is UTF-8
_UNKNOWN_FLAGS: Final = ~(_DESCRIPTOR | _UTF8 | 0x6)  # and how hard deflate tried
_FULL: Final = 0xFFFFFFFF  # what it stands for is in an extra field
_STORED, _DEFLATED = 0, 8
# Parts between slashes, none of them empty or one or two dots; a folder ends in a slash.
_PART: Final = r"(?:[^\\\0/.]|\.[^\\\0/.]|\.\.[^\\\0/])[^\\\0/]*+"
_SAFE: Final = re.compile(rf"{_PART}(?:/{_PART})*+/?\Z")
_MAX_DIRECTORY: Final = 1 << 28
_MAX_RATIO: Final = 40  # of what is held in memory; the pickle of a checkpoint shrinks about tenfold
_MAX_INFLATED: Final = 1 << 26
_MAX_GROWTH: Final = 100  # of an archive as a whole; weights shrink by a tenth, all zeros a thousandfold


# An entry of the directory: name, flags, method, CRC, bytes stored and in full, where its local header is.
_Entry: TypeAlias = tuple[bytes, int, int, int, int, int, int]


def read_directory(descriptor: int, size: int) -> dict[str, Extent]:
    """Each record's place by its name, in the order of the directory. Raises `Damaged` or `Refused`."""
    count, start, end = _find_directory(descriptor, size)
    headers = Window(descriptor)
    records: dict[str, Extent] = {}
    places: list[tuple[int, Extent]] = []
    for entry in _entries(read_at(descriptor, start, end - start), count):
        name = _safe_name(entry[0])
        if name in records:
            raise Refused(f"the archive has two records named {name!r}")
        records[name] = extent = _locate(headers, start, entry, name)
        places.append((entry[-1], extent))
    _check_apart(sorted(places), start)
    inflated = sum(extent.nbytes for extent in records.values() if extent.deflated)
    if inflated > max(_MAX_INFLATED, _MAX_GROWTH * size):
        raise Refused(f"the archive's {size:,} bytes would inflate to {inflated:,}, as no weights do")
    # torch leaves out all CRCs under `set_crc32_options(False)`, and those of the storages under `skip_data`.
    have_crcs = {"/data/" in name for name, extent in records.items() if extent.crc}
    return {
        name: extent if ("/data/" in name) in have_crcs else extent._replace(crc=None)
        for name, extent in records.items()
        if not name.endswith("/")
    }


def read_record(descriptor: int, name: str, extent: Extent, limit: int) -> bytes:
    """A whole record, its CRC checked. Raises `Refused` where it is larger than `limit` or inflates too well."""
    if extent.nbytes > limit:
        raise Refused(f"record {name!r} is {extent.nbytes:,} bytes long, over the limit of {limit:,}")
    if extent.deflated and extent.nbytes > min(_MAX_INFLATED, _MAX_RATIO * extent.length + 4096):
        raise Refused(f"record {name!r} inflates from {extent.length:,} to {extent.nbytes:,} bytes")
    return b"".join(checked(content(descriptor, extent), name, extent))


def checked(pieces: Iterator[bytes], name: str, extent: Extent) -> Iterator[bytes]:
    """The same pieces; raises `Damaged` after the last where the CRC is another than the archive says."""
    crc = 0
    for piece in pieces:
        crc = crc32(piece, crc)
        yield piece
    if extent.crc is not None and crc != extent.crc:
        raise Damaged(f"record {name!r} is corrupt: its CRC is {crc:08x}, the archive says {extent.crc:08x}")


def content(descriptor: int, extent: Extent, skip: int = 0) -> Iterator[bytes]:
    """The bytes of a record from `skip` on, inflated where need be, in pieces of up to `CHUNK`."""
    if not extent.deflated:
        yield from blocks(descriptor, extent.offset + skip, extent.nbytes - skip)
        return
    inflate = zlib.decompressobj(-zlib.MAX_WBITS)
    made = 0
    try:
        for block in blocks(descriptor, extent.offset, extent.length):
            full = True
            while block or full:  # what is held back comes out without further input
                piece = inflate.decompress(block, CHUNK)
                block, full = inflate.unconsumed_tail, len(piece) == CHUNK
                made += len(piece)
                if made > extent.nbytes or inflate.unused_data:
                    raise Damaged(f"a deflated record goes on after the {extent.nbytes:,} bytes it is said to have")
                if made > skip:
                    yield piece[max(0, len(piece) - (made - skip)) :]
    except zlib.error as error:
        raise Damaged(f"a deflated record cannot be inflated: {error}") from None
    if made != extent.nbytes or not inflate.eof:
        raise Damaged(f"a deflated record has {made:,} bytes, {extent.nbytes:,} are said to be there")


def _find_directory(descriptor: int, size: int) -> tuple[int, int, int]:
    """Number of entries, first byte and end of the central directory."""
    if size < _END.size:
        raise Damaged("the archive is cut off: it has no end record")
    at = size - _END.size
    mark, disk, disk_of_directory, here, count, length, start, comment = _END.unpack(read_at(descriptor, at, _END.size))
    if mark != b"PK\5\6":
        raise Damaged("the archive is cut off, or something follows it: its end record is not at the end")
    if disk or disk_of_directory or here != count or comment:
        raise Refused("the archive spans several disks or ends in a comment, as no checkpoint does")
    if at >= _LOCATOR.size:
        mark64, disk, at64, disks = _LOCATOR.unpack(read_at(descriptor, at - _LOCATOR.size, _LOCATOR.size))
        if mark64 == b"PK\6\7":
            if disk or disks > 1 or at64 + _END64.size + _LOCATOR.size != at:
                raise Damaged("the archive's 64-bit end record is not where it should be")
            short = (count, length, start)
            mark, _, _, _, disk, disk_of_directory, here, count, length, start = _END64.unpack(
                read_at(descriptor, at64, _END64.size)
            )
            if mark != b"PK\6\6" or disk or disk_of_directory or here != count:
                raise Damaged("the archive's 64-bit end record is not one")
            for narrow, wide, full in zip(short, (count, length, start), (0xFFFF, _FULL, _FULL), strict=True):
                if narrow not in (wide, full):
                    raise Refused("the archive's two end records disagree")
            at = at64
    if start + length != at:
        raise Damaged("the archive's directory is not where its end record says")
    if length > _MAX_DIRECTORY or count > length // _CENTRAL.size:
        raise Refused(f"the archive's directory claims {count:,} entries in {length:,} bytes")
    return count, start, at


def _entries(directory: bytes, count: int) -> Iterator[_Entry]:
    end = 0
    for _ in range(count):
        at = end + _CENTRAL.size
        if at > len(directory):
            raise Damaged("the archive's directory has fewer entries than its end record says")
        mark, flags, method, crc, stored, size, name, extra, comment, disk, header = _CENTRAL.unpack_from(
            directory, end
        )
        encoded, end = directory[at : at + name], at + name + extra + comment
        if mark != b"PK\1\2" or end > len(directory):
            raise Damaged("the archive's directory is corrupt")
        if disk or flags & _UNKNOWN_FLAGS or method not in (_STORED, _DEFLATED):
            raise Refused(f"record {_text(encoded)!r} is encrypted, patched or packed in a way torch never uses")
        if _FULL in (stored, size, header):
            size, stored, header = _wide(directory[at + name : at + name + extra], size, stored, header)
        if stored != size and method == _STORED:
            raise Refused(f"record {_text(encoded)!r} is stored as it is, yet in another size")
        yield encoded, flags, method, crc, stored, size, header
    if end != len(directory):
        raise Damaged("the archive's directory has more entries than its end record says")


def _wide(extra: bytes, *narrow: int) -> list[int]:
    """Sizes and offset where 32 bits do not hold them: those that are full are in the extra field, in this order."""
    at = 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from("<2H", extra, at)
        if kind == 1:
            field = extra[at + 4 : at + 4 + length]
            wide = iter(struct.unpack(f"<{len(field) // 8}Q", field[: len(field) // 8 * 8]))
            try:
                return [next(wide) if value == _FULL else value for value in narrow]
            except StopIteration:
                break
        at += 4 + length
    raise Damaged("a record of over 4 GiB does not say how long it is")


def _text(name: bytes) -> str:
    return name.decode("utf-8", "backslashreplace")


def _safe_name(raw: bytes) -> str:
    name = _text(raw)
    if not _SAFE.match(name):
        raise Refused(f"the archive has a record named {name[:100]!r}, which leads out of it or is no UTF-8")
    return name


def _locate(headers: Window, end: int, entry: _Entry, name: str) -> Extent:
    encoded, flags, method, crc, stored, size, at = entry
    if at + _LOCAL.size + len(encoded) > end:
        raise Damaged(f"record {name!r} begins behind the archive's records")
    header = headers.read(at, _LOCAL.size + len(encoded))
    mark, flags_here, method_here, crc_here, stored_here, size_here, length, extra = _LOCAL.unpack_from(header)
    if mark != b"PK\3\4":
        raise Damaged(f"there is no record at byte {at:,}, where {name!r} should be")
    agrees = length == len(encoded) and header.endswith(encoded) and flags_here == flags and method_here == method
    if not flags & _DESCRIPTOR:
        agrees = agrees and crc_here == crc and stored_here in (stored, _FULL) and size_here in (size, _FULL)
    if not agrees:
        raise Refused(f"record {name!r} is called, packed or checked otherwise in its own header than in the directory")
    return Extent(at + _LOCAL.size + length + extra, stored, size, crc, method == _DEFLATED)


def _check_apart(records: list[tuple[int, Extent]], end: int) -> None:
    begins = [header for header, _ in records]
    if begins and begins[0] != 0:
        raise Refused(f"{begins[0]:,} bytes lie before the archive's first record")
    for (header, extent), following in zip(records, [*begins[1:], end], strict=True):
        if header == following:
            raise Refused("two records of the archive begin at the same byte")
        if extent.offset + extent.length > following:
            raise Refused(f"a record reaches from byte {extent.offset:,} into what begins at byte {following:,}")
