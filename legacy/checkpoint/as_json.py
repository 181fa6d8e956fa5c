"""Structures as JSON, for people and reports: what has no JSON form is described in words."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from typing import Any, Final

from legacy.checkpoint.errors import Refused
from legacy.checkpoint.names import OMEGACONF
from legacy.checkpoint.pickles.plain import number
from legacy.checkpoint.records import Call, Global, Storage, name_of
from legacy.checkpoint.tensors import tensor_of

_MAX_DEPTH: Final = 100
_MAX_PARTS: Final = 1_000_000
_MAX_SHOWN: Final = 200_000
_PART_OF_TEXT: Final = 100  # characters that count for a part


def as_json(value: object) -> Any:
    """What `json.dumps` takes. Raises `Refused` where that would be endless: a structure that contains itself, or one
    that names its parts over and over."""
    return _Converter(_MAX_PARTS).convert(value, 0)


def shown(values: Mapping[Any, object]) -> dict[str, Any]:
    """Each by its name, to be looked at: in words where it contains itself, or where all that was before has taken the room."""
    converter = _Converter(_MAX_SHOWN)
    made: dict[str, Any] = {}
    for name, value in values.items():
        try:
            made[converter.key(name)] = converter.convert(value, 0)
        except Refused as error:
            made[str(name)] = f"<{error}>"
    return made


class _Converter:
    def __init__(self, most: int) -> None:
        self._most = self._left = most
        self._within: set[int] = set()  # of records: only those can hold themselves

    def convert(self, value: object, depth: int) -> Any:
        self._left -= 1 + (len(value) // _PART_OF_TEXT if isinstance(value, (str, bytes, bytearray)) else 0)
        if self._left < 0 or depth > _MAX_DEPTH:
            raise Refused(
                f"the structure has over {self._most:,} parts or is nested over {_MAX_DEPTH} deep, too much for JSON"
            )
        match value:
            case float() if not math.isfinite(value):
                return str(value)  # JSON has no name for these
            case str():
                return value.encode("utf-8", "backslashreplace").decode()
            case int() if value.bit_length() > 4096:
                return f"<a number of {value.bit_length()} bits>"
            case None | bool() | int() | float():
                return value
            case complex():
                return str(value)
            case bytes() | bytearray():
                return {"base64": base64.b64encode(value).decode()}
            case dict():
                return {self.key(key): self.convert(item, depth + 1) for key, item in value.items()}
            case list() | tuple():
                return [self.convert(member, depth + 1) for member in value]
            case set() | frozenset():
                return sorted((self.convert(member, depth + 1) for member in value), key=str)
            case Global():
                return str(value)
            case Storage():
                return f"<{value.size} elements of {value.dtype}>"
            case Call():
                return self._call(value, depth)
        return f"<a {type(value).__name__}>"

    def _call(self, value: Call, depth: int) -> Any:
        plain = number(value)
        if plain is not None:
            return self.convert(plain, depth)
        tensor = tensor_of(value)
        if tensor is not None:
            return f"<tensor {tensor.dtype} {list(tensor.shape)}>"
        held: Any = value.items if value.items is not None else value.state
        if type(held) is not dict or id(value) in self._within:
            return f"<{name_of(value.function)}>"
        if name_of(value.function) in OMEGACONF:  # the value of a node, or what its container holds
            held = held.get("_val", held.get("_content"))
        self._within.add(id(value))
        found = self.convert(held, depth + 1)
        self._within.discard(id(value))
        return found

    def key(self, key: object) -> str:
        return key if isinstance(key, str) else str(self.convert(key, _MAX_DEPTH - 5))
