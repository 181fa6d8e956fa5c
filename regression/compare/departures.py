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
Quantity = tuple[str, str, str]
DIGIT_OF_A_NORM = 1e-5  # norms are recorded with six
DIGIT_OF_A_NUMBER = 2.0**-52
SINGLE = 2.0**-23  # between 1 and the next number of float32

STEADY = 10  # floors that a change of what never changes counts for; it moves what is found, and not the chance of a false alarm


@dataclass
class Departures:
    """Of one run, from the others. `outside` has how many floors away a value is, `apart` its relative distance."""

    certain: dict[Place, None] = field(default_factory=dict)
    outside: dict[Place, float] = field(default_factory=dict)
    hard: dict[Place, None] = field(default_factory=dict)
    apart: dict[Place, float] = field(default_factory=dict)
    furthest: float = 0.0
    relative: float = 0.0
    _floors: dict[Key, float] = field(default_factory=dict)
    _unsteady: set[Quantity] = field(default_factory=set)

    @property
    def places(self) -> dict[Place, None]:
        return dict.fromkeys((*self.certain, *self.outside, *self.hard))

    @property
    def steady(self) -> set[Quantity]:
        """Quantities in which the others agree on every value, and this run does not."""
        return {quantity(place) for place in self.certain} - self._unsteady

    def look(self, place: Place, value: Any, others: Sequence[Any]) -> None:
        """Places come in the order of time."""
        kinds = {_kind(other) for other in others}
        if len(kinds) == 1 and _kind(value) not in kinds and {_kind(value), *kinds} & {"absent", "not finite"}:
            self.hard[place] = None
        agreed = all(equal(others[0], other) for other in others[1:])
        if not agreed:
            self._unsteady.add(quantity(place))
        certain = agreed and not self._floors.get(place[3])
        if certain and not equal(value, others[0]):
            self.certain[place] = None
        number, known = _number(value), [n for n in map(_number, others) if n is not None]
        if not known:
            return
        floor = self._floors[place[3]] = max(self._floors.get(place[3], 0.0), max(known) - min(known))
        if number is None:
            return
        distance, largest = min(abs(number - other) for other in known), max(map(abs, (number, *known)))
        self.apart[place] = distance / largest if largest else 0.0
        self.relative = max(self.relative, self.apart[place])
        if certain or not distance:
            return
        away = distance / max(floor, largest * (DIGIT_OF_A_NORM if isinstance(value, Row) else DIGIT_OF_A_NUMBER))
        self.furthest = max(self.furthest, away)
        if away > 1:
            self.outside[place] = away

    def measures(self) -> tuple[float, ...]:
        """Each at least 1, so that the ratio of two is finite."""
        counts = STEADY * len(self.steady), len(self.certain), len(self.outside)
        return *(1.0 + n for n in counts), 1.0 + self.furthest, 1.0 + self.relative / SINGLE

    def beyond(self, others: Sequence[Departures]) -> dict[Place, None]:
        """Of all places those that none of the others is as far off in, if there are any: the rest may be chance."""
        furthest, relative = max(one.furthest for one in others), max(one.relative for one in others)
        steady = self.steady
        chosen = [
            place
            for place in self.places
            if place in self.hard
            or quantity(place) in steady
            or self.outside.get(place, 0.0) > furthest
            or self.apart.get(place, 0.0) > relative
        ]
        return dict.fromkeys(chosen or self.places)


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


def quantity(place: Place) -> Quantity:
    return place[0], *place[3][:2]


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
