"""The elements of a tensor in logical order, little-endian, whatever its strides, its file's byte order and packing are."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterator
from typing import Final, Literal

from legacy.checkpoint.errors import Refused
from legacy.checkpoint.files import CHUNK, blocks
from legacy.checkpoint.reader import Checkpoint
from legacy.checkpoint.records import itemsize, swap_unit
from legacy.checkpoint.tensors import Tensor
from legacy.checkpoint.zip_reader import content

_MAX_EXPANDED: Final = 1 << 30
_FORMATS: Final[dict[int, Literal["B", "H", "I", "Q"]]] = {1: "B", 2: "H", 4: "I", 8: "Q"}


def digest(checkpoint: Checkpoint, descriptor: int, tensor: Tensor) -> str:
    """SHA-256 over dtype, shape and elements: equal for equal tensors, however they are laid out."""
    made = hashlib.sha256(repr((tensor.dtype, tensor.shape, tensor.flags)).encode())
    for piece in elements(checkpoint, descriptor, tensor):
        made.update(piece)
    return made.hexdigest()


def elements(checkpoint: Checkpoint, descriptor: int, tensor: Tensor) -> Iterator[bytes]:
    """The bytes in pieces of about a mebibyte; of a tensor that is not contiguous, its span is held in memory.

    Raises `Refused` where there are none (meta, packed) or where an expanded tensor is absurdly larger than its storage.
    """
    if tensor.storage is None or tensor.dtype in ("quint4x2", "quint2x4"):
        raise Refused(
            f"a tensor of torch.{tensor.dtype} {'on the meta device ' if tensor.storage is None else ''}has no elements to read"
        )
    if tensor.numel == 0:
        return
    if tensor.nbytes > tensor.storage.nbytes + _MAX_EXPANDED:
        raise Refused(f"a tensor expands {tensor.storage.nbytes:,} bytes to {tensor.nbytes:,}")
    begin, end = tensor.window
    pieces = _span(checkpoint, descriptor, tensor.storage.key, begin, end)
    if not tensor.contiguous:
        pieces = _gathered(b"".join(pieces), tensor)
    unit = swap_unit(tensor.dtype)
    yield from _swapped(pieces, unit) if checkpoint.byteorder == "big" and unit > 1 else pieces


def _span(checkpoint: Checkpoint, descriptor: int, key: str, begin: int, end: int) -> Iterator[bytes]:
    extent = checkpoint.extents[key]
    if not extent.deflated:
        yield from blocks(descriptor, extent.offset + begin, end - begin)
        return
    left = end - begin
    for piece in content(descriptor, extent, begin):
        yield piece[:left]
        left -= len(piece)
        if left <= 0:
            return


def _gathered(span: bytes, tensor: Tensor) -> Iterator[bytes]:
    dimensions = [(size, step) for size, step in zip(tensor.shape, tensor.stride, strict=True) if size != 1]
    unit = itemsize(tensor.dtype)
    if unit == 16:  # as pairs of the widest number that a memoryview knows
        dimensions = [(size, 2 * step) for size, step in dimensions] + [(2, 1)]
        unit = 8
    *outer, (count, step) = _merged(dimensions)
    view = memoryview(span).cast(_FORMATS[unit])
    made = bytearray()
    for first in _starts(outer):
        if step:
            made += view[first : first + (count - 1) * step + 1 : step].tobytes()
        else:
            for at in range(0, count, CHUNK // unit):
                made += view[first : first + 1].tobytes() * min(CHUNK // unit, count - at)
                if len(made) >= CHUNK:
                    yield bytes(made)
                    made.clear()
        if len(made) >= CHUNK:
            yield bytes(made)
            made.clear()
    yield bytes(made)


def _merged(dimensions: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The same walk in as few dimensions as it takes."""
    merged: list[tuple[int, int]] = []
    for size, step in dimensions:
        if merged and merged[-1][1] == size * step:
            merged[-1] = (merged[-1][0] * size, step)
        else:
            merged.append((size, step))
    return merged


def _starts(dimensions: list[tuple[int, int]]) -> Iterator[int]:
    """Where each innermost run begins."""
    index = [0] * len(dimensions)
    start = 0
    while True:
        yield start
        for axis in reversed(range(len(dimensions))):
            size, step = dimensions[axis]
            index[axis] += 1
            start += step
            if index[axis] < size:
                break
            index[axis] = 0
            start -= size * step
        else:
            return


def _swapped(pieces: Iterator[bytes], unit: int) -> Iterator[bytes]:
    rest = b""
    for piece in pieces:
        piece = rest + piece
        whole = len(piece) - len(piece) % unit
        numbers = array(_FORMATS[unit], piece[:whole])
        numbers.byteswap()
        rest = piece[whole:]
        yield numbers.tobytes()
