"""A throughput result, from the object or from the JSON file that it was saved in, as the report shows it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from regression.trace import TraceError

SLOWER = {"not slower": "No slower", "slower": "Slower", "undecided": "Undecided"}


class Measured(Protocol):
    """A result of `regression.throughput`, or one that was saved."""

    def to_json(self) -> dict[str, Any]: ...


@dataclass(frozen=True)
class Pair:
    """Milliseconds a step of an old and a new run made one after the other; `order` says which was first."""

    old: float
    new: float
    ratio: float
    order: str


@dataclass(frozen=True)
class Timing:
    """`ratio` is new over old, the median of the pairs'; `low` to `high` its interval. `result` is what was saved, whole."""

    pairs: list[Pair]
    ratio: float
    low: float
    high: float
    threshold: float
    verdict: str
    more: int
    memory: float | None
    result: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        return self.result

    @property
    def title(self) -> str:
        return SLOWER.get(self.verdict, self.verdict)

    def __str__(self) -> str:
        interval = f"{self.low:.3f} to {self.high:.3f}" if self.pairs else "none"
        text = f"{self.title}: × {self.ratio:.3f} the old time a step (interval {interval}, {len(self.pairs)} pairs, slower is above {self.threshold:.2f})"
        if self.more:
            text += f"; {self.more} more pairs would decide"
        if self.memory is not None:
            text += f"; peak memory × {self.memory:.2f}"
        return text


def measured(result: Measured) -> Timing:
    return result if isinstance(result, Timing) else timing(result.to_json())


def timing(result: Mapping[str, Any]) -> Timing:
    """Of a result's `to_json`. Raises KeyError, TypeError or ValueError where it is none."""
    low, high = result["interval"]
    return Timing(
        pairs=[Pair(pair["old"], pair["new"], pair["ratio"], pair["order"]) for pair in result["pairs"]],
        ratio=result["ratio"],
        low=low,
        high=high,
        threshold=result["threshold"],
        verdict=result["verdict"],
        more=result["more_pairs"],
        memory=result["memory_ratio"],
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
            f"{path}: no throughput result ({why}); `python -m regression throughput --json` prints one"
        ) from error
