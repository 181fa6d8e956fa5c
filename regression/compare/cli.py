"""`python -m regression compare OLD NEW`."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace

from regression import trace
from regression.compare import expected
from regression.compare.judge import Comparison, compare
from regression.compare.localize import bad_step, localize
from regression.compare.noise import compare_within_noise
from regression.record import RecordingError
from regression.report import cli as reporting

ABOUT = (
    "Say where two traces part. Where a step differs, the commands that the two traces name are run again up to that step, in the folders "
    "where they were recorded, and shown before: trust a trace as you would a script, or give --no-replay."
)
EXAMPLE = "example: python -m regression compare old.trace new.trace --report report.html"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("old", metavar="OLD", help="trace of the old trainer")
    parser.add_argument("new", metavar="NEW", help="trace of the new trainer")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    reporting.add_arguments(parser)
    parser.add_argument(
        "--expected", metavar="FILE.toml", help="differences that are meant, as regression/expected.toml has them"
    )
    parser.add_argument(
        "--noise",
        nargs="+",
        metavar="TRACE",
        help="more runs of the old trainer: differ is what is further off than they are from each other",
    )
    parser.add_argument(
        "--no-replay",
        action="store_true",
        help="do not run the traces' commands again to find the module where they part",
    )
    parser.set_defaults(run=run)


def run(told: argparse.Namespace) -> int:
    """0 the same, 1 different, 2 not comparable."""
    timing = reporting.check(told)
    old, new = trace.read(told.old), trace.read(told.new)
    found = compare(old, new, expected.read(told.expected) if told.expected else ())
    if told.noise:
        found = compare_within_noise([old, *map(trace.read, told.noise)], new)
    elif found.divergences and not found.incomparable and not (old.deterministic and new.deterministic):
        raise trace.TraceError(
            f"{told.new} differs from {told.old}, but not both runs are deterministic, so that two runs of one trainer would differ, too: "
            "record the old one at least twice more, and give these as --noise TRACE TRACE"
        )
    elif not (told.no_replay or found.incomparable):
        found = localized(old, new, found)
    _say([json.dumps(found.to_json(), allow_nan=False)] if told.json else summary(found, len(old.steps)))
    for line in reporting.report(told, old, new, found, timing):
        if told.json:
            print(line, file=sys.stderr)
        else:
            _say([line])
    if found.incomparable:
        print(found.incomparable, file=sys.stderr)
        return 2
    return 0 if found.same else 1


def _say(lines: Sequence[str]) -> None:
    """To whoever reads; `compare | head -1` may have stopped reading, and the exit status is the same."""
    try:
        print(*lines, sep="\n", end="\n" if lines else "", flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def localized(old: trace.Trace, new: trace.Trace, found: Comparison) -> Comparison:
    """`found` with the first module that differs, or a note why it is not known."""
    bad = bad_step(found)
    if bad is None:
        return found
    try:
        place = localize(old, new, bad.step)
    except RecordingError as error:
        return replace(found, notes=[*found.notes, f"not localised: {str(error).splitlines()[-1]}"])
    if place is None:
        return replace(found, notes=[*found.notes, f"not localised: run again, no module differs at step {bad.step}"])
    return replace(found, localized={**asdict(place), "sentence": str(place)})


def summary(found: Comparison, steps: int) -> list[str]:
    """What a person wants to know, the verdict first, and the notes last, whatever it is."""
    return [*verdict(found, steps), *(f"  note: {text}" for text in found.notes)]


def verdict(found: Comparison, steps: int) -> list[str]:
    n = sum(found.compared.values())
    settings = [d for d in found.divergences if d.phase == "settings"]
    if found.incomparable:  # the one verdict; settings may be why
        return [f"  settings differ: {d}" for d in settings]
    if found.same and found.noise:
        told = found.noise
        chance = ", ".join(map(str, told["outside_of_old_runs"]))
        return [
            f"same within noise: {steps} steps, {told['outside']} of {told['values']} values outside ({chance} of the old runs' own)"
        ]
    if found.same:
        return [f"same: {steps} steps, {n} values, bit for bit"]
    lines = []
    if found.first:
        lines += [f"different: {found.first}", f"  {found.first.meaning}"]
        later = [d for d in found.divergences[1:] if d.step == found.first.step]
        if found.localized:
            lines.append(f"  {found.localized['sentence']}")
        lines += [f"  then {d.phase}: {d.quantity} {d.name}" for d in later[:5]]
    lines += [f"  settings differ: {d}" for d in settings if d is not found.first]
    return lines
