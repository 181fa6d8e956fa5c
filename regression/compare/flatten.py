"""A record as single values, each with its phase, quantity and name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from regression.compare.own import is_clock, neutral
from regression.trace import Record, Trace, is_table


@dataclass(frozen=True)
class Row:
    """A tensor in a table: a hash of its bits, and its 2-norm where it has one."""

    hash: str
    norm: float | None
    shape: tuple[int, ...]
    dtype: str


Key = tuple[str, str, str]


def values(trace: Trace, record: Record) -> dict[Key, Any]:
    """`{(phase, quantity, name): value}` in the order in which they were recorded, without what is a run's own (see `own`)."""
    phases = record["phases"]
    found: dict[Key, Any] = {}
    for phase, quantities in phases.items():
        for quantity, value in quantities.items():
            if isinstance(value, dict) and value.keys() == {"as"}:
                where, what = value["as"].split(".", 1)
                value = phases[where][what]
            for name, leaf in _logged(value) if quantity == "logged" else _leaves(trace, value):
                if is_clock(phase, name):
                    continue
                name = neutral(phase, name)
                while (phase, quantity, name) in found:
                    name += "'"  # two files that only their moments tell apart
                found[phase, quantity, name] = neutral(phase, leaf)
    for name, switch in record.get("flags", {}).items():  # of the end
        found["settings", "flags", name] = switch
    return found


def _leaves(trace: Trace, value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if is_table(value):
        norms = value.get("norm") or [None] * len(value["hash"])
        for (name, shape, dtype), number, norm in zip(trace.names[value["of"]], value["hash"], norms, strict=True):
            yield f"{path}.{name}" if path else name, Row(number, norm, tuple(shape), dtype)
    elif isinstance(value, dict):
        for key, part in value.items():
            yield from _leaves(trace, part, f"{path}.{key}" if path else key)
    else:
        yield path, value


def _logged(calls: list[Any]) -> Iterator[tuple[str, Any]]:
    seen: dict[str, int] = {}
    for hook, key, number, how in calls:
        name = f"{key} in {hook}" if hook else key
        seen[name] = seen.get(name, 0) + 1
        name = name if seen[name] == 1 else f"{name} ({seen[name]})"
        yield name, number
        for option, setting in how.items():
            yield f"{name}: {option}", setting
