"""`python -m regression compare OLD NEW`."""

from __future__ import annotations

import argparse
import json
import sys

from regression import trace
from regression.compare.judge import Comparison, compare

EXAMPLE = "example: python -m regression compare old.trace new.trace --report report.html"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("old", metavar="OLD", help="trace of the old trainer")
    parser.add_argument("new", metavar="NEW", help="trace of the new trainer")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.add_argument("--report", metavar="FILE.html", help="write the report, with pictures and a summary beside it")
    parser.set_defaults(run=run)


def run(told: argparse.Namespace) -> int:
    """0 the same, 1 different, 2 not comparable."""
    old, new = trace.read(told.old), trace.read(told.new)
    found = compare(old, new)
    if told.json:
        print(json.dumps(found.to_json()))
    else:
        print("\n".join(summary(found, len(old.steps))))
    if found.incomparable:
        print(found.incomparable, file=sys.stderr)
        return 2
    return 0 if found.same else 1


def summary(found: Comparison, steps: int) -> list[str]:
    """What a person wants to know, the verdict first."""
    n = sum(found.compared.values())
    if found.same:
        return [f"same: {steps} steps, {n} values, bit for bit"]
    lines = []
    if found.first:
        lines += [f"different: {found.first}", f"  {found.first.meaning}"]
        later = [d for d in found.divergences[1:] if d.step == found.first.step]
        lines += [f"  then {d.phase}: {d.quantity} {d.name}" for d in later[:5]]
    return lines + [f"  note: {text}" for text in found.notes]
