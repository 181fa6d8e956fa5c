"""From a mapping, as YAML gives it, to a dataclass; what does not fit is told with its key.

Keys are matched here, so that a misspelt one is answered with the nearest. The values of the keys are pydantic's to judge; it is
imported when the first one comes, and on a machine without it configs are read with a warning and without that judgement.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, Field, fields, is_dataclass
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from visioncore.errors import ConfigError, nearest, one_of

T = TypeVar("T")


def read(cls: type[T], raw: Any, where: str, source: str) -> T:
    """Fill the dataclass `cls`. `where` is the key that holds it ("" for the file itself). Raises ConfigError."""
    at = f"{where}." if where else ""
    if isinstance(raw, cls):
        return raw
    if not isinstance(raw, Mapping):
        raise ConfigError(f"{source}: {where} is a mapping, {shown(raw)} found")
    known = {_key(item): item for item in fields(cls)}  # type: ignore[arg-type]
    check_keys(raw, known, where, source)
    hints = get_type_hints(cls)
    filled = {}
    for key, item in known.items():
        if key in raw:
            filled[item.name] = _value(hints[item.name], raw[key], f"{at}{key}", source)
        elif item.default is MISSING and item.default_factory is MISSING:
            raise ConfigError(f"{source}: {at}{key} is missing; {_expected(hints[item.name])} is expected")
    try:
        return cls(**filled)
    except ConfigError:
        raise
    except ValueError as error:
        raise ConfigError(f"{source}: {f'{where}: ' if where else ''}{error}") from error


def _key(item: Field[Any]) -> str:
    return str(item.metadata.get("key", item.name))


def check_keys(raw: Mapping[Any, Any], known: Mapping[str, Any] | Sequence[str], where: str, source: str) -> None:
    for key in raw:
        if key not in known:
            place = f" in {where}" if where else ""
            expected = f"; known are {', '.join(known)}" if known else "; none is expected"
            raise ConfigError(f"{source}: unknown key {key!r}{place}{nearest(str(key), known) or expected}")


def _value(hint: Any, value: Any, where: str, source: str) -> Any:
    """A field's value: another dataclass, a list of them, or something for pydantic."""
    if get_origin(hint) in (Union, UnionType) and NoneType in get_args(hint):
        inner = [arg for arg in get_args(hint) if arg is not NoneType]
        if value is None or (value == "none" and is_dataclass(inner[0])):
            return None
        if len(inner) == 1:
            hint = inner[0]
    if is_dataclass(hint):
        # an empty block (`norm_params:` with nothing behind it) is a block of defaults
        return read(hint, {} if value is None else value, where, source)  # type: ignore[arg-type]
    if get_origin(hint) is tuple and is_dataclass(item := get_args(hint)[0]):
        if not isinstance(value, list | tuple):
            raise ConfigError(f"{source}: {where} is a list, {shown(value)} found")
        return tuple(read(item, entry, f"{where}.{i}", source) for i, entry in enumerate(value))  # type: ignore[arg-type]
    return _checked(hint, value, where, source)


def _checked(hint: Any, value: Any, where: str, source: str) -> Any:
    """A plain value, as `hint` has it."""
    if hint is Any or is_dataclass(value):
        return value
    literals = [arg for part in (hint, *get_args(hint)) if get_origin(part) is Literal for arg in get_args(part)]
    if literals and isinstance(value, str) and value.lower() in literals:
        return value.lower()
    judge = _judge(hint)
    try:
        return judge(value)
    except ValueError as error:
        near = nearest(value, map(str, literals)) if literals and isinstance(value, str) else ""
        raise ConfigError(f"{source}: {where} is {_expected(hint)}, {shown(value)} found{near}") from error


@functools.cache
def _judge(hint: Any) -> Callable[[Any], Any]:
    """pydantic's verdict on a value of type `hint`; without pydantic, every value is taken."""
    try:
        from pydantic import TypeAdapter
    except ImportError:
        _warn_once()
        return _as_tuples
    adapter: TypeAdapter[Any] = TypeAdapter(hint)

    def judge(value: Any) -> Any:
        # pydantic takes true for 1; in a config that is a slip
        if isinstance(value, bool) and bool not in (hint, *get_args(hint)):
            raise ValueError("a truth value")
        return adapter.validate_python(value)

    return judge


def _as_tuples(value: Any) -> Any:
    """Lists as the tuples that they stand for, those of a mapping too."""
    if isinstance(value, dict):
        return {key: _as_tuples(part) for key, part in value.items()}
    return tuple(value) if isinstance(value, list) else value


@functools.cache
def _warn_once() -> None:
    warnings.warn(
        "pydantic is not installed: the keys of configs are checked, their values are not (pip install pydantic)",
        stacklevel=2,
    )


_NAMES = {int: "a whole number", float: "a number", bool: "true or false", str: "a text", NoneType: "none"}
_MANY = {int: "whole numbers", float: "numbers", str: "texts"}


def _expected(hint: Any) -> str:
    """The type in words."""
    if get_origin(hint) is Literal:
        return one_of(map(str, get_args(hint)))
    if get_origin(hint) in (Union, UnionType):
        return " or ".join(_expected(arg) for arg in get_args(hint))
    if get_origin(hint) is Mapping:
        item = get_args(hint)[1]
        return "a block of keys" if item is Any else f"a block of keys, each {_expected(item)}"
    if get_origin(hint) in (tuple, list, Sequence):
        item, *rest = get_args(hint)
        if item is Any:
            return "a list"
        count = f"{len(rest) + 1} " if get_origin(hint) is tuple and rest != [...] else ""
        return f"a list of {count}{_MANY.get(item, _expected(item))}"
    return _NAMES.get(hint, "a block of keys" if is_dataclass(hint) else str(hint))


def shown(value: Any) -> str:
    text = "nothing" if value is None else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"
