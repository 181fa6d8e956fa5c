"""
Runs that are not deterministic, judged by how far repeated old runs are from each other. No tolerance is chosen.

Every run, the new one like each of the k old ones, is held against the k others (`departures`):

- *certain*: a value that the others agree on to the bit, at this step and before, and this run does not have; it is in a *steady* quantity
  where the others agree on all that is recorded of it
- *outside*: a number further from the nearest other than the others' *floor*, the largest distance between any two of them at this step or an
  earlier one, since what differs once goes on to differ; the floor is at least a digit of what is recorded

and is given one number, its *lead*: in steady quantities that it leaves, in certain places, in places outside, in floors and in relative distance, it
is off so many times as far as any other run; the largest of these ratios. The new run differs where its lead is above every old
run's, and above the lead that an old run has when the old ones are by themselves. Ties count for the same.

What holds: if the new run is one more old run, all k + 1 are exchangeable, and the lead is computed alike for each, so that the new one's is
the largest with a chance of at most 1 / (k + 1); the second condition can only lower that. No more can be claimed with k old runs: 3 of
them leave up to 25 %, 5 leave 17 %, 19 leave 5 %. A value that no old run ever changed, in a steady quantity, is found with 3, and the
claim is no more than this either. Where old runs have such changes themselves, one more cannot be told from chance.

What is no question of chance is told always, and the bound is not of it: a value that is NaN, infinite or absent where all old runs have a
number, or is there where none of them has it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from regression.compare.alignment import keyed
from regression.compare.bits import ABSENT, apart
from regression.compare.cause import last_turn, turn
from regression.compare.comparable import SETTINGS_OF_THE_MACHINE, incomparable, too_short
from regression.compare.departures import Place, departures, leads
from regression.compare.flatten import values
from regression.compare.judge import Comparison, Divergence, concluded
from regression.compare.meaning import Recorded
from regression.trace import Trace, TraceError

FEWEST = 3


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
        why = incomparable(olds[0], other) or too_short(olds[0], other)
        if why:
            raise TraceError(f"{other.path} is no repetition of {olds[0].path}: {why}")
    last = min(trace.records[-1]["step"] if trace.records else 0 for trace in (olds[0], new))
    whole = new.complete and not too_short(olds[0], new)
    tables = [dict(_values(trace, last, whole)) for trace in (*olds, new)]
    *each, mine = departures(tables)
    *others, lead = leads([*each, mine])
    among_old = max(leads(departures(tables[:-1])))
    differs = lead > max(*others, among_old)
    places = mine.beyond(each) if differs else mine.hard
    recorded: dict[int, set[tuple[str, str]]] = {}
    for kind, step, _, key in tables[-1]:
        if kind == "step":
            recorded.setdefault(step, set()).add(key[:2])
    found = list(_divergences(new, tables[0], tables[-1], places, recorded))
    noise = {
        "repetitions": len(olds),
        "values": len(tables[-1]),
        "outside": len(mine.places),
        "outside_of_old_runs": [len(one.places) for one in each],
        "exact": len(mine.certain),
        "not_finite_or_absent": len(mine.hard),
        "lead": lead,
        "lead_of_old_runs": max(*others, among_old),
        "chance_of_a_false_alarm": f"at most {1 / (len(olds) + 1):.3g}",
    }
    return concluded(olds[0], new, found, recorded, compared={"values": len(tables[-1])}, noise=noise)


def _values(trace: Trace, last: int, whole: bool) -> Iterator[tuple[Place, Any]]:
    """Up to step `last`; what comes at the end of that one only if both runs end with it."""
    for (kind, step, n), record in keyed(trace).items():
        if whole or step < last or (step == last and kind == "step"):
            for key, value in values(trace, record).items():
                if key[:2] != ("settings", "flags") or key[2] not in SETTINGS_OF_THE_MACHINE:
                    yield (kind, step, n, key), value


def _divergences(
    trace: Trace, old: dict[Place, Any], new: dict[Place, Any], places: dict[Place, None], recorded: Recorded
) -> Iterator[Divergence]:
    """One a quantity of a record, with how many of its values are outside."""
    grouped: dict[tuple[str, int, int, str, str], list[Place]] = {}
    for place in places:
        grouped.setdefault((*place[:3], *place[3][:2]), []).append(place)
    epochs = {(kind, step, n): record["epoch"] for (kind, step, n), record in keyed(trace).items()}
    for (kind, step, n, phase, quantity), here in grouped.items():
        place = here[-1] if phase in ("backward", "clip") else here[0]
        both = apart(old.get(place, ABSENT), new.get(place, ABSENT))
        epoch = epochs.get((kind, step, n), 0)
        order = turn(phase, quantity, last_turn(recorded.get(step, ())))
        yield Divergence(step, epoch, phase, quantity, place[3][2], *both, len(here) - 1, order)
