"""A record as single values, each with its phase, quantity and name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from regression.trace import Record, Trace


@dataclass(frozen=True)
class Row:
    """A tensor in a table: a hash of its bits, and its 2-norm where it has one."""

    hash: str
    norm: float | None
    shape: tuple[int, ...]
    dtype: str


Key = tuple[str, str, str]


def values(trace: Trace, record: Record) -> dict[Key, Any]:
    """`{(phase, quantity, name): value}` in the order in which they were recorded."""
    phases = record["phases"]
    found: dict[Key, Any] = {}
    for phase, quantities in phases.items():
        for quantity, value in quantities.items():
            if isinstance(value, dict) and "as" in value:
                where, what = value["as"].split(".", 1)
                value = phases[where][what]
            for name, leaf in _leaves(trace, value):
                found[phase, quantity, name] = leaf
    return found


def _leaves(trace: Trace, value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and "of" in value:
        norms = value.get("norm") or [None] * len(value["hash"])
        for (name, shape, dtype), number, norm in zip(trace.names[value["of"]], value["hash"], norms, strict=True):
            yield f"{path}.{name}" if path else name, Row(number, norm, tuple(shape), dtype)
    elif isinstance(value, dict):
        for key, part in value.items():
            yield from _leaves(trace, part, f"{path}.{key}" if path else key)
    elif path == "" and _is_log(value):
        seen: dict[str, int] = {}
        for hook, key, number, how in value:
            name = f"{key} in {hook}" if hook else key
            seen[name] = seen.get(name, 0) + 1
            name = name if seen[name] == 1 else f"{name} ({seen[name]})"
            yield name, number
            for option, setting in how.items():
                yield f"{name}: {option}", setting
    else:
        yield path, value


def _is_log(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(part, list) and len(part) == 4 for part in value)
