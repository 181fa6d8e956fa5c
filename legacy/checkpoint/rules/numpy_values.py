"""What numpy pickles, as plain values: numbers and text, nested lists, the names of dtypes. numpy itself is not asked."""

from __future__ import annotations

import codecs
import math
import struct
from collections.abc import Callable
from typing import Any, Final

from legacy.checkpoint.pickles.plain import CODES, SCALARS
from legacy.checkpoint.records import ABSENT, Call, Global

_MAX_ARRAY: Final = 1_000_000
_KINDS: Final = {"b": "bool", "i": "int", "u": "uint", "f": "float", "c": "complex"}


def text(call: Call) -> str | None:
    """The text that is a numpy string, or the name of a numpy dtype; None for anything else."""
    match call:
        case Call(function=Global("numpy", "dtype"), args=(str() as code, *_)) if (
            code[:1] in _KINDS and code[1:].isdecimal()
        ):
            return _KINDS[code[0]] + (str(8 * int(code[1:])) if code[0] != "b" else "")
        case Call(
            function=Global() as function,
            args=(
                Call(function=Global("numpy", "dtype"), args=(str() as code, *_), state=(3 | 4, str() as order, *_)),
                bytes() as data,
            ),
        ) if function in SCALARS and code[:1] == "U":
            return next(iter(_strings(code, order, data)), None)
    return None


def array(state: Any, convert: Callable[[list[Any]], list[Any]]) -> Any:
    """A numpy array as nested lists; `ABSENT` for one of another form than numpy writes."""
    match state:
        case (
            1,
            (*shape,),
            Call(function=Global("numpy", "dtype"), args=(str() as code, *_), state=(3 | 4, str() as order, *_)),
            bool() as fortran,
            bytes() | list() as data,
        ) if len(shape) <= 32 and all(type(size) is int and size >= 0 for size in shape):
            pass
        case _:
            return ABSENT
    if isinstance(data, list):
        flat = convert(data) if code == "O8" else []
    else:
        flat = _strings(code, order, data) if code[:1] == "U" else _numbers(code, order, data)
    if math.prod(shape) != len(flat) or len(flat) > _MAX_ARRAY:
        return ABSENT
    return _nested(flat, shape, fortran) if flat else []


def _numbers(code: str, order: str, data: bytes) -> list[Any]:
    form = CODES.get(code, "")
    width = struct.calcsize("<" + form)
    if not form or len(data) % width:
        return []
    flat: list[Any] = list(struct.unpack((">" if order == ">" else "<") + form * (len(data) // width), data))
    if len(form) == 2:
        flat = [complex(real, imaginary) for real, imaginary in zip(flat[::2], flat[1::2], strict=True)]
    return flat


def _strings(code: str, order: str, data: bytes) -> list[Any]:
    width = 4 * int(code[1:]) if code[1:].isdecimal() else 0
    if not width or len(data) % width:
        return []
    decode = (
        codecs.utf_32_be_decode if order == ">" else codecs.utf_32_le_decode
    )  # by name, a codec is a module to import
    parts = (data[at : at + width] for at in range(0, len(data), width))
    return [decode(part, "replace")[0].rstrip("\0") for part in parts]


def _nested(flat: list[Any], shape: list[int], fortran: bool) -> Any:
    if not shape:
        return flat[0]
    if len(shape) == 1:
        return flat
    if fortran:
        return [_nested(flat[index :: shape[0]], shape[1:], True) for index in range(shape[0])]
    step = len(flat) // shape[0] if shape[0] else 0
    return [_nested(flat[index * step : (index + 1) * step], shape[1:], False) for index in range(shape[0])]
