"""What comparing two files gives: one entry a definition, statement, import, comment or line, with both texts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Category = Literal[
    "identical",
    "cosmetic",
    "import-source",
    "path-only",
    "comment-only",
    "different",
    "only in duplicate",
    "only in canonical",
]
Lines = tuple[int, int]


@dataclass(frozen=True)
class Entry:
    """A piece of one or both files; lines are first and last, None where it is missing. `notes` say in words what differs."""

    name: str
    category: Category
    canonical: str
    duplicate: str
    canonical_lines: Lines | None
    duplicate_lines: Lines | None
    notes: tuple[str, ...] = ()

    @property
    def matters(self) -> bool:
        """Whether dropping the duplicate would drop behaviour."""
        return self.category in ("different", "only in duplicate")
