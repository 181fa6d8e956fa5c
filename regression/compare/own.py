"""
What is a run's own, and no difference between two: folders that are made anew for every run, and clocks.

A checkpoint has the paths of the ones before it, and callbacks keep where they write. The part of such a path that no run shares with
another is taken out of both: a temporary folder, and a date with its time. How many files there are, their names and what is in
them is compared.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from regression.trace import Trace

PHASES = ("checkpoint", "end")
# as tempfile and pytest make them, with all that comes before
_TEMPORARY = re.compile(r"(?:/[^/\s']+)*/(?:tmp[a-z0-9_]{8}|pytest-of-[^/]+/pytest-\d+)(?=/|$)")
_DATE = r"(?<!\d)20\d\d[-_.]?(?:0[1-9]|1[0-2])[-_.]?(?:[0-2]\d|3[01])"
_TIME = r"[T/ _-]?(?:[01]\d|2[0-3])[:h._-]?[0-5]\d(?:[:m._-]?[0-5]\d)?(?:[.,]\d+)?(?!\d)"
_MOMENT = re.compile(_DATE + _TIME)
_CLOCK = re.compile(r"Timer\b.*\.time_elapsed\.")


def neutral(phase: str, value: Any) -> Any:
    """A path without the parts that are new in every run; everything else as it is."""
    if not isinstance(value, str) or phase not in PHASES or not _is_path(value):
        return value
    return _MOMENT.sub("MOMENT", _TEMPORARY.sub("TEMPORARY", value))


def is_clock(phase: str, name: str) -> bool:
    """Whether a value is how long something took: the state of Lightning's Timer."""
    return phase in PHASES and _CLOCK.search(name) is not None


def told(old: Trace, new: Trace) -> Iterator[str]:
    """Notes on what was taken out."""
    parts = [dict.fromkeys(part for text in _texts(trace) for part in _parts(text)) for trace in (old, new)]
    if list(parts[0]) != list(parts[1]):
        shown = [", ".join(side) or "none" for side in parts]
        yield f"parts of paths that are new in every run, and taken for equal: {shown[0]} and {shown[1]}"
    if any(_CLOCK.search(text) for trace in (old, new) for text in _texts(trace)):
        yield "not compared: the seconds that Timer has counted"


def _is_path(text: str) -> bool:
    return "/" in text or text.endswith(".ckpt")


def _parts(text: str) -> Iterator[str]:
    if _is_path(text):
        for pattern in (_TEMPORARY, _MOMENT):
            yield from (match.group() for match in pattern.finditer(text))


def _texts(trace: Trace) -> Iterator[str]:
    """Names and texts of the phases in which paths are."""

    def within(value: Any, path: str) -> Iterator[str]:
        if isinstance(value, dict):
            for key, part in value.items():
                yield from within(part, f"{path}.{key}")
        elif isinstance(value, str):
            yield value
        yield path

    for record in trace.records:
        for phase in PHASES:
            yield from within(record["phases"].get(phase, {}), "")
