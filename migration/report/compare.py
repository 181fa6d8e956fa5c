"""Two versions of a text line by line beside each other, with what changed within a line marked, safe to show to a person."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import zip_longest

from migration.report.diff import Hunk, hunks

# Control characters as pictures, so that no file can steer the terminal; marks that turn the reading direction as a plain box.
VISIBLE = {**{code: 0x2400 + code for code in range(32) if chr(code) not in "\t\n"}, 127: 0x2421} | dict.fromkeys(
    [*range(0x80, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x200E, 0x200F, *range(0xD800, 0xE000)], 0xFFFD
)
TOKEN = re.compile(r"\w+|\s+|[^\w\s]")
ALIKE = 0.35  # below it two lines are different lines, not two versions of one
MOST_PAIRS = 400  # removed times added lines whose likeness is looked at
LONGEST_RUN = 160  # characters of an unchanged stretch within an edited line that are shown
LONGEST_LINE = 4000  # longer lines (notebook outputs) are compared by their ends only

Segment = tuple[str, bool]


@dataclass(frozen=True)
class Row:
    """A line and its other version, either of which may be missing. Segments are (text, whether it changed)."""

    old_line: int | None
    new_line: int | None
    old: tuple[Segment, ...]
    new: tuple[Segment, ...]

    @property
    def changed(self) -> bool:
        return self.old_line is None or self.new_line is None or self.old != self.new


def visible(text: str) -> str:
    """`text` with nothing in it that acts on a terminal or a page."""
    return text.translate(VISIBLE)


def compare(old: str, new: str) -> list[list[Row]]:
    """The changed parts of two texts, each with its context."""
    return [rows(hunk) for hunk in hunks(old.encode("utf-8", "surrogatepass"), new.encode("utf-8", "surrogatepass"))]


def rows(hunk: Hunk) -> list[Row]:
    """A hunk as rows; removed and added lines that follow each other stand side by side."""
    found: list[Row] = []
    old_line, new_line = hunk.old_start + 1, hunk.new_start + 1
    removed: list[str] = []
    added: list[str] = []
    for sign, raw in [*hunk.lines, (b"", b"")]:
        if sign in (b"-", b"+"):
            (removed if sign == b"-" else added).append(_shown(raw))
            continue
        for i, j in _partners(removed, added):
            old, new = segments(None if i is None else removed[i], None if j is None else added[j])
            found.append(Row(None if i is None else old_line + i, None if j is None else new_line + j, old, new))
        old_line, new_line = old_line + len(removed), new_line + len(added)
        removed, added = [], []
        if sign:
            text = ((_shown(raw).removesuffix("␍"), False),)
            found.append(Row(old_line, new_line, text, text))
            old_line, new_line = old_line + 1, new_line + 1
    return found


def _partners(removed: list[str], added: list[str]) -> Iterator[tuple[int | None, int | None]]:
    """Which added line stands beside which removed one: in order, so that the likeness of the pairs is greatest."""
    if len(removed) == len(added) or not removed or not added or len(removed) * len(added) > MOST_PAIRS:
        yield from zip_longest(range(len(removed)), range(len(added)))
        return
    likeness = [[_likeness(a, b) for b in added] for a in removed]
    best = [[0.0] * (len(added) + 1) for _ in range(len(removed) + 1)]
    for i in range(len(removed) - 1, -1, -1):
        for j in range(len(added) - 1, -1, -1):
            best[i][j] = max(best[i + 1][j], best[i][j + 1], best[i + 1][j + 1] + likeness[i][j])
    i = j = 0
    while i < len(removed) and j < len(added):
        if likeness[i][j] and best[i][j] == best[i + 1][j + 1] + likeness[i][j]:
            yield i, j
            i, j = i + 1, j + 1
        elif best[i][j] == best[i + 1][j]:
            yield i, None
            i += 1
        else:
            yield None, j
            j += 1
    yield from ((k, None) for k in range(i, len(removed)))
    yield from ((None, k) for k in range(j, len(added)))


def _likeness(old: str, new: str) -> float:
    """Share of tokens in common, 0 where the lines are too different or too long to be versions of one."""
    if max(len(old), len(new)) > LONGEST_LINE or not old.strip() or not new.strip():
        return 0.0
    ratio = SequenceMatcher(None, TOKEN.findall(old.strip()), TOKEN.findall(new.strip()), autojunk=False).ratio()
    return ratio if ratio >= ALIKE else 0.0


def segments(old: str | None, new: str | None) -> tuple[tuple[Segment, ...], tuple[Segment, ...]]:
    """Both lines cut where they differ. Lines that have little in common are not cut."""
    if old is None or new is None:
        return ((old, False),) if old else (), ((new, False),) if new else ()
    if old.endswith("␍") and new.endswith("␍"):
        old, new = old[:-1], new[:-1]
    if max(len(old), len(new)) > LONGEST_LINE:
        return _by_ends(old, new)
    a, b = TOKEN.findall(old), TOKEN.findall(new)
    matcher = SequenceMatcher(None, a, b, autojunk=False)
    if matcher.ratio() < ALIKE:
        return ((old, False),) if old else (), ((new, False),) if new else ()
    left = [("".join(a[i0:i1]), tag != "equal") for tag, i0, i1, _, _ in matcher.get_opcodes() if i1 > i0]
    right = [("".join(b[j0:j1]), tag != "equal") for tag, _, _, j0, j1 in matcher.get_opcodes() if j1 > j0]
    return _shortened(left), _shortened(right)


def _by_ends(old: str, new: str) -> tuple[tuple[Segment, ...], tuple[Segment, ...]]:
    shorter = min(len(old), len(new))
    first = next((i for i in range(shorter) if old[i] != new[i]), shorter)
    last = next((i for i in range(shorter - first) if old[-1 - i] != new[-1 - i]), shorter - first)
    sides = (
        [(text[:first], False), (text[first : len(text) - last], True), (text[len(text) - last :], False)]
        for text in (old, new)
    )
    left, right = ([(_elided(text, LONGEST_LINE), changed) for text, changed in side if text] for side in sides)
    return _shortened(left), _shortened(right)


def _shortened(parts: Iterable[Segment]) -> tuple[Segment, ...]:
    return tuple((text if changed else _elided(text, LONGEST_RUN), changed) for text, changed in parts)


def _elided(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[: limit // 2]} … {text[-limit // 2 :]}"


def _shown(raw: bytes) -> str:
    text = raw.decode("utf-8", "replace")
    return visible(text.removesuffix("\n")) + ("" if text.endswith("\n") else " (no newline at the end)")
