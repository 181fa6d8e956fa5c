"""What a file says, on a terminal: as text to look at, never as orders to it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from legacy.checkpoint.errors import CheckpointError

TRACEBACK: Final = "LEGACY_TRACEBACK"  # set to anything, the tool's own mistakes come with the place in its code


def visible(line: str) -> str:
    """One line, with control characters, line ends and what turns the direction of text as escapes: `\\x1b`."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in line)


def counted(count: int, what: str) -> str:
    """`1 weight`, `1,000 weights`."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def failure(path: Path, error: Exception) -> tuple[str, int]:
    """What went wrong with a file as a sentence, and the exit status for it."""
    if os.environ.get(TRACEBACK):
        import traceback

        traceback.print_exception(error)
    if isinstance(error, CheckpointError):
        return str(error), error.status
    if isinstance(error, OSError):
        return str(error), 2
    if isinstance(error, MemoryError):
        return f"{path}: there is not enough memory for it", 2
    return f"{path} holds what nobody was prepared for: {type(error).__name__}: {error}", 2
