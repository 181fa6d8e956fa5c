"""Whether two traces are of the same training, and what of their surroundings differs."""

from __future__ import annotations

from typing import Any

from regression.compare import own
from regression.compare.bits import ABSENT
from regression.compare.flatten import Key, values
from regression.trace import Trace

# what may differ between two runs of the same training
SETTINGS_OF_THE_MACHINE = ("threads", "cublas_workspace")


def incomparable(old: Trace, new: Trace) -> str:
    """Why two traces are not of the same training, or have no step in common, or nothing."""
    for trace in (old, new):
        if not trace.steps:
            return f"{trace.path} has no step of training, so that there is nothing to compare: record it again"
    for name in ("torch", "pytorch-lightning", "lightning"):
        mine, its = (trace.header["versions"].get(name) for trace in (old, new))
        if mine != its:
            return f"{name} was {mine or 'not there'} in the old run and is {its or 'not there'} in the new one: record both with the same, versions differ in bits"
    if old.header["level"] != new.header["level"]:
        return f"the old trace is of level {old.header['level']}, the new one {new.header['level']}: record both with the same --light"
    difference = _models_differ(old, new)
    if difference:
        return f"the two runs train different models: {difference}"
    (a, b), (c, d) = ((trace.began + 1, trace.steps[-1]["step"]) for trace in (old, new))
    return (
        f"the old run has steps {a} to {b} and the new one {c} to {d}: none is in both" if max(a, c) > min(b, d) else ""
    )


def too_short(old: Trace, new: Trace) -> str:
    """Why what the two have in common is not the whole of both, or nothing."""
    last = [trace.steps[-1]["step"] if trace.steps else trace.began for trace in (old, new)]
    for trace, step in zip((old, new), last, strict=True):
        if not trace.complete:
            return f"{trace.path} ends after step {step}, before the end of its run, which was killed or is not done yet: record it again"
    if last[0] != last[1]:
        return f"the old run has {last[0]} steps and the new one {last[1]}: record both with --steps {min(last)}, or see why one stopped"
    return ""


def _models_differ(old: Trace, new: Trace) -> str:
    tables = [{k[2]: v for k, v in started(trace).items() if k[1] == "parameters"} for trace in (old, new)]
    one, other = tables
    if not (old.start and new.start):
        return ""
    for name in dict.fromkeys((*one, *other)):
        if name not in one or name not in other:
            return f"only the {'old' if name in one else 'new'} one has a parameter {name}"
        mine, its = (table[name] for table in tables)
        if (mine.shape, mine.dtype) != (its.shape, its.dtype):
            return f"{name} is {mine.dtype} {list(mine.shape)} in the old one and {its.dtype} {list(its.shape)} in the new one"
    return ""


def started(trace: Trace) -> dict[Key, Any]:
    """What was recorded before the first step."""
    return values(trace, trace.start) if trace.start else {}


def notes(old: Trace, new: Trace) -> list[str]:
    """What differs and is no divergence: versions beside torch and Lightning, warnings, settings of the machine."""
    found = []
    mine, its = (trace.header["versions"] for trace in (old, new))
    for name in sorted({*mine, *its} - {"torch", "pytorch-lightning", "lightning"}):
        if mine.get(name) != its.get(name):
            found.append(f"{name}: {mine.get(name, ABSENT)} and {its.get(name, ABSENT)}")
    ends = [trace.records[-1].get("warnings", {}) if trace.complete else {} for trace in (old, new)]
    for text in ends[0].keys() ^ ends[1].keys():
        found.append(f"warned only in the {'old' if text in ends[0] else 'new'} run: {text}")
    for setting in SETTINGS_OF_THE_MACHINE:
        one, other = (started(trace).get(("settings", "flags", setting), ABSENT) for trace in (old, new))
        if one != other:
            found.append(f"{setting}: {one} and {other}")
    return sorted([*found, *own.told(old, new)])
