"""A throughput result, from the object or from the JSON file that it was saved in, as the report shows it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from regression.trace import TraceError

TITLES = {"not slower": "Not slower", "slower": "Slower", "undecided": "Undecided"}


class Measured(Protocol):
    """A result of `regression.throughput`, or one that was saved."""

    def to_json(self) -> dict[str, Any]: ...


@dataclass(frozen=True)
class Pair:
    """Milliseconds of an old and a new run made one after the other; `ratio` is of throughput, new over old."""

    order: str
    old: float
    new: float
    ratio: float


@dataclass(frozen=True)
class Timing:
    """`ratio` is the median of the pairs', `low` to `high` its interval; `threshold` is what it should reach. `result` is all of it."""

    pairs: list[Pair]
    ratio: float
    low: float
    high: float
    level: float
    threshold: float
    unit: str
    verdict: str
    more: int
    memory: float
    result: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        return self.result

    @property
    def title(self) -> str:
        return TITLES.get(self.verdict, self.verdict)

    def __str__(self) -> str:
        text = (
            f"{self.title}: {self.ratio:.3f} × the old throughput, interval {self.low:.3f} to {self.high:.3f} "
            f"({100 * self.level:.0f} %, {len(self.pairs)} pairs, by {self.unit}), at least {self.threshold:g} is asked for; "
            f"peak memory {self.memory:.3f} × the old"
        )
        if self.verdict == "undecided" and not self.more:
            return f"{text}; too close to be decided by more pairs"
        return text + (f"; {self.more} more pairs would decide" if self.more else "")


def measured(result: Measured) -> Timing:
    return result if isinstance(result, Timing) else timing(result.to_json())


def timing(result: Mapping[str, Any]) -> Timing:
    """Of a result's `to_json`. Raises KeyError, TypeError or ValueError where it is none."""
    low, high = map(float, result["interval"])
    return Timing(
        pairs=[Pair(str(p["order"]), float(p["old"]), float(p["new"]), float(p["ratio"])) for p in result["pairs"]],
        ratio=float(result["ratio"]),
        low=low,
        high=math.inf if high is None else high,
        level=float(result["level"]),
        threshold=float(result["threshold"]),
        unit=str(result["unit"]),
        verdict=str(result["verdict"]),
        more=int(result["more_pairs"]),
        memory=float(result["memory_ratio"]),
        result=dict(result),
    )


def read(path: str | Path) -> Timing:
    """
    Raises:
        TraceError: no JSON file, or not of a throughput result
    """
    try:
        return timing(json.loads(Path(path).read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError) as error:
        why = f"{type(error).__name__}: {error}"
        raise TraceError(
            f"{path}: no throughput result ({why}); `python -m regression throughput --save` makes one"
        ) from error
