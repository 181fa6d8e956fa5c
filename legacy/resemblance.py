"""Which name was probably meant: keys that a network lacks and keys that it does not know, told side by side."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import SequenceMatcher
from typing import Final

_SHOWN: Final = 10
_NEAR: Final = 0.5


def told(missing: Sequence[str], left_over: Sequence[str], misshapen: Sequence[str] = ()) -> str:
    """Lines for a message: each name with the one of the other side that it most resembles."""
    lines = _lines("missing in the file", missing, left_over) + _lines("left over", left_over, missing)
    lines += [f"\n  of another shape: {line}" for line in misshapen[:_SHOWN]]
    return "".join(lines) + (f"\n  and {len(misshapen) - _SHOWN:,} more" if len(misshapen) > _SHOWN else "")


def _lines(what: str, names: Sequence[str], others: Sequence[str]) -> list[str]:
    lines = []
    for name in names[:_SHOWN]:
        near = nearest(name, others)
        lines.append(f"\n  {what}: {name}" + (f", most like {near}" if near else ""))
    return lines + ([f"\n  and {len(names) - _SHOWN:,} more"] if len(names) > _SHOWN else [])


def nearest(name: str, others: Iterable[str]) -> str | None:
    """The one with the most parts in common, from the end of the name on; letters decide between equals. None where none is near."""
    best, score = None, (0, _NEAR)
    for other in others:
        found = _common_end(name, other), SequenceMatcher(None, name, other, autojunk=False).quick_ratio()
        if found[1] >= _NEAR and found > score:
            best, score = other, found
    return best


def _common_end(left: str, right: str) -> int:
    count = 0
    for a, b in zip(reversed(left.split(".")), reversed(right.split(".")), strict=False):
        if a != b:
            break
        count += 1
    return count
