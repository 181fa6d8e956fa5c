"""A throughput result, from the object or from the JSON file that it was saved in, as the report shows it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

SLOWER = {"not slower": "No slower", "slower": "Slower", "undecided": "Undecided"}


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
    result: Mapping[str, Any]

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
