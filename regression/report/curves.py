"""The numbers over time that two traces have in common."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from regression.compare.bits import equal
from regression.trace import Record, Trace

NAN = float("nan")


@dataclass(frozen=True)
class Line:
    """One quantity of both runs; NaN where a run has no value. `x`: batches trained so far, or epochs."""

    name: str
    x: list[int]
    old: list[float]
    new: list[float]

    @property
    def same(self) -> bool:
        return all(map(equal, self.old, self.new))

    @property
    def differences(self) -> list[float]:
        """(len(x),): |old − new|, 0 where both are the same bits, NaN where there is none."""
        return [0.0 if equal(a, b) else abs(a - b) for a, b in zip(self.old, self.new, strict=True)]

    @property
    def empty(self) -> bool:
        return not any(map(math.isfinite, (*self.old, *self.new)))


@dataclass(frozen=True)
class Curves:
    """`validated` is over epochs where there is one validation an epoch (`by_epoch`), else over steps."""

    loss: Line
    rates: list[Line]
    gradients: Line
    clipped: Line
    validated: list[Line]
    by_epoch: bool


def curves(old: Trace, new: Trace) -> Curves:
    """What the two recorded of loss, learning rates, gradients and validation; lines are empty where they recorded nothing."""
    sides = (old, new)
    losses = [dict(zip((r["step"] for r in t.steps), t.losses(), strict=True)) for t in sides]
    norms = {
        phase: [{r["step"]: gradient_norm(r, phase) for r in trace.steps} for trace in sides]
        for phase in ("backward", "clip")
    }
    by_epoch = all(_once_an_epoch(trace) for trace in sides)
    return Curves(
        loss=_line("loss", *losses),
        rates=_merged(_lines(*(_rates(trace) for trace in sides))),
        gradients=_line("before clipping", *norms["backward"]),
        clipped=_line("after clipping", *norms["clip"]),
        validated=_lines(*(_validated(trace, by_epoch) for trace in sides)),
        by_epoch=by_epoch,
    )


def gradient_norm(record: Record, phase: str) -> float:
    """The 2-norm of all gradients of a step, NaN where none were recorded."""
    table = record["phases"].get(phase, {}).get("gradients", {})
    if "as" in table:
        where, what = table["as"].split(".", 1)
        table = record["phases"][where][what]
    norms = [norm for norm in table.get("norm", []) if norm is not None]
    return math.hypot(*norms) if norms else NAN


def _line(name: str, old: Mapping[int, float], new: Mapping[int, float]) -> Line:
    x = sorted({*old, *new})
    return Line(name, x, [float(old.get(i, NAN)) for i in x], [float(new.get(i, NAN)) for i in x])


def _lines(old: Mapping[str, Mapping[int, float]], new: Mapping[str, Mapping[int, float]]) -> list[Line]:
    made = [_line(name, old.get(name, {}), new.get(name, {})) for name in dict.fromkeys((*old, *new))]
    return [line for line in made if not line.empty]


def _rates(trace: Trace) -> dict[str, dict[int, float]]:
    found: dict[str, dict[int, float]] = {}
    for record in trace.steps:
        for quantity, groups in record["phases"].get("step", {}).items():
            if quantity.partition(" ")[0] != "options":
                continue
            where = quantity.replace("options", "optimiser") + ", " if quantity != "options" else ""
            for group, options in groups.items():
                if _is_number(options.get("lr")):
                    found.setdefault(f"{where}group {group}", {})[record["step"]] = options["lr"]
    return found


def _merged(lines: Sequence[Line]) -> list[Line]:
    """Groups with the same learning rates as one."""
    alike: dict[Any, list[Line]] = {}
    for line in lines:
        alike.setdefault((tuple(line.x), repr(line.old), repr(line.new)), []).append(line)
    made = []
    for group in alike.values():
        numbers = ", ".join(line.name.removeprefix("group ") for line in group)
        first = group[0]
        name = first.name if len(group) == 1 else f"groups {numbers}" if len(numbers) < 30 else f"{len(group)} groups"
        made.append(Line(name, first.x, first.old, first.new))
    return made


def _validations(trace: Trace) -> Iterator[Record]:
    """Not the one before training, of which Lightning keeps nothing."""
    return (record for record in trace.records if record["record"] == "validation" and record["step"] > 0)


def _once_an_epoch(trace: Trace) -> bool:
    epochs = [record["epoch"] for record in _validations(trace)]
    return len(epochs) == len(set(epochs))


def _validated(trace: Trace, by_epoch: bool) -> dict[str, dict[int, float]]:
    found: dict[str, dict[int, float]] = {}
    for record in _validations(trace):
        metrics = record["phases"].get("metrics", {})
        logged = {entry[1] for entry in metrics.get("logged", [])}
        for name, value in metrics.get("callback_metrics", {}).items():
            if name in logged and _is_number(value):
                found.setdefault(name, {})[record["epoch" if by_epoch else "step"]] = value
    return found


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
