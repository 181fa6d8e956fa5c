"""The three ways a command ends other than well, each with its exit status."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class MigrationError(Exception):
    """A sentence for the person at the terminal; `status` is the process's exit status."""

    status = 2


class GateFailed(MigrationError):
    """A gate did not hold; the tree is as it was."""

    status = 1


class BadInput(MigrationError):
    """The plan, the repository or an option is wrong; nothing was written."""

    status = 2


class DecisionNeeded(MigrationError):
    """A person has to choose (a diverged duplicate, uncommitted edits); nothing was written."""

    status = 3


def nearest(word: str, candidates: Iterable[str]) -> str:
    """`" (did you mean 'x'?)"` for the nearest spelling, or nothing where none is near."""
    close = difflib.get_close_matches(word, sorted(set(candidates)), n=1, cutoff=0.6)
    return f" (did you mean {close[0]!r}?)" if close else ""
