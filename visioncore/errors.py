"""What went wrong, as a sentence."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class ConfigError(ValueError):
    """A model or dataset config that no network can be built from: which file, which key, what was expected."""


class TrainingError(RuntimeError):
    """A run that began well and cannot go on, or came to nothing: what happened, and what is left of it."""


class SavingError(TrainingError):
    """A checkpoint could not be written; the one before is as it was."""


def nearest(word: str, candidates: Iterable[str]) -> str:
    """`"; did you mean 'x'?"` for the nearest spelling, or nothing where none is near."""
    close = difflib.get_close_matches(word, sorted(set(candidates)), n=1, cutoff=0.6)
    return f"; did you mean {close[0]!r}?" if close else ""


def one_of(candidates: Iterable[str]) -> str:
    """The candidates as a list to read: `'a', 'b' or 'c'`."""
    *head, last = [repr(name) for name in candidates]
    return f"{', '.join(head)} or {last}" if head else last
