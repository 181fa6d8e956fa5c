"""How each of several runs departs from the others, measured alike for every one of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from regression.compare.bits import ABSENT, equal
from regression.compare.flatten import Key, Row

# kind of the record, step, number of the record among its kind, value
Place = tuple[str, int, int, Key]
DIGIT_OF_A_NORM = 1e-5  # norms are recorded with six
SINGLE = 2.0**-23  # between 1 and the next number of float32


@dataclass
class Departures:
    """Of one run, from the others. `outside` has how many floors away a value is, `relative` is the largest of any value."""

    certain: dict[Place, None] = field(default_factory=dict)
    outside: dict[Place, float] = field(default_factory=dict)
    hard: dict[Place, None] = field(default_factory=dict)
    furthest: float = 0.0
    relative: float = 0.0
    floors: dict[Key, float] = field(default_factory=dict)

    @property
    def places(self) -> dict[Place, None]:
        return dict.fromkeys((*self.certain, *self.outside, *self.hard))

    def look(self, place: Place, value: Any, others: Sequence[Any]) -> None:
        agreed = all(equal(others[0], other) for other in others[1:])
        kinds = {_kind(other) for other in others}
        if len(kinds) == 1 and _kind(value) not in kinds and {_kind(value), *kinds} & {"absent", "not finite"}:
            self.hard[place] = None
        number, known = _number(value), [n for n in map(_number, others) if n is not None]
        before = self.floors.get(place[3], 0.0)
        if known:
            self.floors[place[3]] = max(before, max(known) - min(known))
        if agreed and not before and not equal(value, others[0]):
            self.certain[place] = None
        if number is None or not known:
            return
        distance = min(abs(number - other) for other in known)
        largest = max(map(abs, (number, *known)))
        self.relative = max(self.relative, distance / largest if largest else 0.0)
        if agreed and not before:
            return
        floor = max(self.floors[place[3]], largest * (DIGIT_OF_A_NORM if isinstance(value, Row) else SINGLE**2))
        away = distance / floor if floor else 0.0
        self.furthest = max(self.furthest, away)
        if away > 1:
            self.outside[place] = away

    def measures(self) -> tuple[float, ...]:
        """Each at least 1, so that the ratio of two is finite."""
        quantities = {(kind, key[:2]) for kind, _, _, key in self.certain}
        counts = len(self.certain), len(quantities), len(self.outside)
        return *(1.0 + n for n in counts), 1.0 + self.furthest, 1.0 + self.relative / SINGLE


def departures(tables: Sequence[dict[Place, Any]]) -> list[Departures]:
    """Of each run from all the others."""
    found = [Departures() for _ in tables]
    for place in dict.fromkeys(chain.from_iterable(tables)):
        there = [table.get(place, ABSENT) for table in tables]
        if all(equal(there[0], value) for value in there[1:]):
            continue
        for i, one in enumerate(found):
            one.look(place, there[i], there[:i] + there[i + 1 :])
    return found


def leads(of: Sequence[Departures]) -> list[float]:
    """How many times as far off as any other a run is, in the measure in which it is most so."""
    measured = [one.measures() for one in of]
    return [
        max(value / max(other[m] for j, other in enumerate(measured) if j != i) for m, value in enumerate(mine))
        for i, mine in enumerate(measured)
    ]


def _kind(value: Any) -> str:
    if isinstance(value, Row) and value.norm is not None:
        value = value.norm
    if isinstance(value, float) and not math.isfinite(value):
        return "not finite"
    return (
        "absent" if isinstance(value, str) and value == ABSENT else "number" if _number(value) is not None else "other"
    )


def _number(value: Any) -> float | None:
    if isinstance(value, Row):
        value = value.norm
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)
