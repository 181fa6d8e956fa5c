"""
Two runs that are not deterministic, judged by how far repeated old runs are from each other.

No tolerance is chosen. For each value of each step the *floor* is the largest distance between any two of the old runs, at that step or
an earlier one, since what differs once goes on to differ. The new run's value is outside where it is further than the floor from the nearest
old one. Many values are looked at, so some are outside by chance: how many is measured by treating each old run in turn as the new
one, against the others. The new run differs where more of its values are outside than any old run's were, and one of them further. A value that all old runs agree on to the bit
(a learning rate, a key, a batch) has no floor: there the new run has to agree, too.

A new run that is one more old run is as likely as any of them to be the odd one out of k + 1, so that a false alarm has at most a chance of
1 / (k + 1) with k old runs; in 200 simulated runs whose loss wanders it was 5 % with 5 of them and 1 % with 10.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from regression.compare.flatten import Key, Row, values
from regression.compare.judge import Comparison, Divergence, _by_cause, apart, equal, incomparable, keyed, notes
from regression.compare.meaning import meaning
from regression.trace import Trace, TraceError

FEWEST = 3
Place = tuple[str, int, int, Key]


def compare_within_noise(olds: Sequence[Trace], new: Trace) -> Comparison:
    """
    Raises:
        TraceError: fewer than three old runs, or old runs that are not of the same training
    """
    if len(olds) < FEWEST:
        raise TraceError(
            f"a noise floor is measured from at least {FEWEST} old runs, {len(olds)} given; record the old one again"
        )
    for other in olds[1:]:
        why = incomparable(olds[0], other)
        if why:
            raise TraceError(f"{other.path} is no repetition of {olds[0].path}: {why}")
    tables = [dict(_values(trace)) for trace in olds]
    mine = dict(_values(new))
    outside = _outside(tables, mine)
    each = [_outside([t for j, t in enumerate(tables) if j != i], table) for i, table in enumerate(tables)]
    by_chance, furthest = [len(places) for places in each], max(max(places.values(), default=0.0) for places in each)
    certain = [place for place in outside if _agreed(tables, place)]
    found: list[Divergence] = []
    beyond = len(outside) > max(by_chance) and max(outside.values()) > furthest
    if certain or beyond:
        found = sorted(_divergences(olds[0], tables[0], mine, outside), key=_by_cause)
        found = [replace(d, meaning=meaning(d, found)) for d in found]
    noise = {
        "repetitions": len(olds),
        "values": len(mine),
        "outside": len(outside),
        "outside_of_old_runs": by_chance,
        "exact": len(certain),
    }
    return Comparison(found, incomparable(olds[0], new), {"values": len(mine)}, notes(olds[0], new), noise=noise)


def _values(trace: Trace) -> Iterator[tuple[Place, Any]]:
    for (kind, step, n), record in keyed(trace).items():
        for key, value in values(trace, record).items():
            yield (kind, step, n, key), value


def _agreed(tables: Sequence[dict[Place, Any]], place: Place) -> bool:
    first = tables[0].get(place)
    return all(equal(first, table.get(place)) for table in tables[1:])


def _outside(olds: Sequence[dict[Place, Any]], new: dict[Place, Any]) -> dict[Place, float]:
    """The values that are further than the floor from the nearest old one, and how many times as far."""
    floors: dict[Key, float] = {}
    found: dict[Place, float] = {}
    for place in dict.fromkeys((*olds[0], *new)):
        its = new.get(place)
        if _agreed(olds, place):
            if not equal(olds[0].get(place), its):
                found[place] = math.inf
            continue
        numbers = [_number(table.get(place)) for table in olds]
        number = _number(its)
        if number is None or any(one is None for one in numbers):
            continue  # hashes, and texts that old runs do not agree on either
        known = [one for one in numbers if one is not None]
        floor = max(floors.get(place[3], 0.0), max(known) - min(known))
        floors[place[3]] = floor
        distance = min(abs(number - one) for one in known)
        if distance > floor:
            found[place] = distance / floor if floor else math.inf
    return found


def _number(value: Any) -> float | None:
    if isinstance(value, Row):
        value = value.norm
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def _divergences(
    trace: Trace, old: dict[Place, Any], new: dict[Place, Any], outside: dict[Place, float]
) -> Iterator[Divergence]:
    """One a quantity of a record, with how many of its values are outside."""
    grouped: dict[tuple[str, int, int, str, str], list[Place]] = {}
    for place in outside:
        grouped.setdefault((*place[:3], *place[3][:2]), []).append(place)
    epochs = {(kind, step, n): record["epoch"] for (kind, step, n), record in keyed(trace).items()}
    for (kind, step, n, phase, quantity), places in grouped.items():
        place = places[-1] if phase in ("backward", "clip") else places[0]
        both = apart(old.get(place, "absent"), new.get(place, "absent"))
        yield Divergence(
            step, epochs.get((kind, step, n), 0), phase, quantity, place[3][2], *both, others=len(places) - 1
        )
