"""Calls whose result is known without making them: the containers and numbers that pickle spells as calls."""

from __future__ import annotations

import struct
from typing import Any, Final

from legacy.checkpoint.pickles.keys import Keys
from legacy.checkpoint.records import ABSENT, Call, Global, Ordered

ORDERED_DICT: Final = Global("collections", "OrderedDict")
SET: Final = Global("builtins", "set")
FROZENSET: Final = Global("builtins", "frozenset")
BYTES: Final = Global("builtins", "bytes")
BYTEARRAY: Final = Global("builtins", "bytearray")
COMPLEX: Final = Global("builtins", "complex")
ENCODE: Final = Global("_codecs", "encode")
DEFAULTDICT: Final = Global("collections", "defaultdict")
DEQUE: Final = Global("collections", "deque")
TENSOR: Final = Global("torch._utils", "_rebuild_tensor_v2")

PLAIN_HOMES: Final = frozenset({"collections", "builtins", "_codecs"})
_LATIN: Final = ("latin1", "latin-1")


def plain_result(function: Global, args: Any, keys: Keys) -> object:
    """What `function(*args)` is where it is a plain container or number, else `ABSENT`.

    Only the shapes that pickle itself writes are taken; anything else stays a call.
    """
    match args:
        case () if function == ORDERED_DICT:
            return Ordered()
        case () if function in (SET, BYTES, BYTEARRAY):
            return {SET: set[object], BYTES: bytes, BYTEARRAY: bytearray}[function]()
        case ([*pairs],) if function == ORDERED_DICT:
            if all(type(pair) in (list, tuple) and len(pair) == 2 for pair in pairs):
                keys.check_all(key for key, _ in pairs)
                return Ordered(pairs)
        case (list() as members,) if function in (SET, FROZENSET):
            keys.check_all(members)
            return set(members) if function == SET else frozenset(members)
        case (str() as text, str() as codec) if function in (ENCODE, BYTEARRAY) and codec in _LATIN:
            data = text.encode("latin-1")
            return data if function == ENCODE else bytearray(data)
        case (bytes() as data,) if function == BYTEARRAY:
            return bytearray(data)
        case (float() | int() as real, float() | int() as imaginary) if function == COMPLEX:
            return complex(real, imaginary)
    return ABSENT


SCALARS: Final = {Global(f"numpy.{package}.multiarray", "scalar") for package in ("core", "_core")}  # numpy 2 moved it
CODES: Final = {"b1": "?", "i1": "b", "u1": "B", "i2": "h", "u2": "H", "i4": "i", "u4": "I", "i8": "q", "u8": "Q"} | {
    "f2": "e",
    "f4": "f",
    "f8": "d",
    "c8": "ff",
    "c16": "dd",
}


def number(value: object) -> int | float | complex | bool | None:
    """The Python number equal to a pickled numpy scalar; None for anything else. No precision is lost."""
    match value:
        case Call(
            function=Global() as function,
            args=(
                Call(function=Global("numpy", "dtype"), args=(str() as code, *_), state=(3 | 4, str() as order, *_)),
                bytes() as data,
            ),
        ) if function in SCALARS and code in CODES:
            form = (">" if order == ">" else "<") + CODES[code]
            if struct.calcsize(form) == len(data):
                parts = struct.unpack(form, data)
                return complex(*parts) if len(parts) == 2 else parts[0]
    return None
