"""What comparing two files gives: one entry a definition, statement, import, comment or line, with both texts."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
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
Marker = Literal[" ", "|", "<", ">"]


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


def side_by_side(a: str, b: str, width: int) -> list[tuple[str, str, Marker]]:
    """(left, right, marker) a row: `" "` equal, `"|"` changed, `"<"` only in `a`, `">"` only in `b`.

    Lines longer than `width` go on in the next row; nothing is cut off.
    """
    ours, theirs = a.splitlines(), b.splitlines()
    rows: list[tuple[str, str, Marker]] = []
    for _, i, k, j, m in difflib.SequenceMatcher(None, ours, theirs, autojunk=False).get_opcodes():
        for n in range(max(k - i, m - j)):
            left, right = (ours[i + n] if i + n < k else None), (theirs[j + n] if j + n < m else None)
            marker: Marker = " " if left == right else ">" if left is None else "<" if right is None else "|"
            pieces = list(_folded(left or "", width)), list(_folded(right or "", width))
            for row in range(max(map(len, pieces))):
                rows.append((*(p[row] if row < len(p) else "" for p in pieces), marker))  # type: ignore[arg-type]
    return rows


def _folded(line: str, width: int) -> Iterator[str]:
    line = line.expandtabs(4)
    yield line[:width]
    for start in range(width, len(line), width):
        yield line[start : start + width]
