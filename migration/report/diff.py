"""The difference of two overlays as a patch that `git apply` takes, bytes and executable bits included.

Format: https://git-scm.com/docs/diff-format#generate_patch_text_with_p. Lines end at "\\n" alone, as they do for git, so carriage
returns, undecodable bytes and a missing last newline go through as they are.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher

from migration.tree import Overlay

CONTEXT = 3
EXACT_UP_TO = (
    4000  # lines of both files together; above it difflib may skip very frequent lines, which is quadratic otherwise
)
NO_NEWLINE = b"\\ No newline at end of file\n"
ESCAPES = {
    ord("\a"): b"\\a",
    ord("\b"): b"\\b",
    ord("\t"): b"\\t",
    ord("\n"): b"\\n",
    11: b"\\v",
    12: b"\\f",
    13: b"\\r",
    34: b'\\"',
    92: b"\\\\",
}


@dataclass(frozen=True)
class Hunk:
    """Neighbouring changes with their context. `lines` are (b" ", b"-" or b"+", line with its newline); starts are 0-based."""

    old_start: int
    new_start: int
    lines: tuple[tuple[bytes, bytes], ...]

    @property
    def old_count(self) -> int:
        return sum(sign != b"+" for sign, _ in self.lines)

    @property
    def new_count(self) -> int:
        return sum(sign != b"-" for sign, _ in self.lines)

    @property
    def header(self) -> str:
        return f"@@ -{_range(self.old_start, self.old_count)} +{_range(self.new_start, self.new_count)} @@"


def changed_paths(before: Overlay, after: Overlay) -> list[str]:
    """Paths whose bytes, existence or executable bit differ, sorted."""
    at_stake = {*before.edits, *after.edits, *before.modes, *after.modes}
    return sorted(path for path in at_stake if _state(before, path) != _state(after, path))


def unified_diff(before: Overlay, after: Overlay) -> bytes:
    """One patch from `before` to `after`, files in order of their paths; empty where nothing differs."""
    return b"".join(file_diff(before, after, path) for path in changed_paths(before, after))


def file_diff(before: Overlay, after: Overlay, path: str) -> bytes:
    """The patch of one file that differs."""
    (old, old_mode), (new, new_mode) = _state(before, path), _state(after, path)
    head = [b"diff --git %s %s\n" % (_quoted("a/", path), _quoted("b/", path))]
    if old is None:
        head.append(b"new file mode %s\n" % new_mode)
    elif new is None:
        head.append(b"deleted file mode %s\n" % old_mode)
    elif old_mode != new_mode:
        head.append(b"old mode %s\nnew mode %s\n" % (old_mode, new_mode))
    if old == new:
        return b"".join(head)
    head.append(b"index %s..%s%s\n" % (_blob(old), _blob(new), b" " + new_mode if old_mode == new_mode else b""))
    found = hunks(old or b"", new or b"")
    if found:
        tab = b"\t" if " " in path else b""  # ends the name, as git does, for readers that would stop at the space
        head.append(b"--- %s\n" % (b"/dev/null" if old is None else _quoted("a/", path) + tab))
        head.append(b"+++ %s\n" % (b"/dev/null" if new is None else _quoted("b/", path) + tab))
    return b"".join([*head, *(_printed(hunk) for hunk in found)])


def hunks(old: bytes, new: bytes) -> list[Hunk]:
    """What has to change in `old` to make it `new`, with three lines of context."""
    a, b = _lines(old), _lines(new)
    first, last = _common_ends(a, b)
    first, last = max(0, first - CONTEXT), max(0, last - CONTEXT)
    a, b = a[first : len(a) - last], b[first : len(b) - last]
    matcher = SequenceMatcher(None, a, b, autojunk=len(a) + len(b) > EXACT_UP_TO)
    return [
        Hunk(first + group[0][1], first + group[0][3], tuple(_signed(a, b, group)))
        for group in matcher.get_grouped_opcodes(CONTEXT)
    ]


def line_counts(found: list[Hunk]) -> tuple[int, int]:
    """(lines added, lines removed)."""
    signs = [sign for hunk in found for sign, _ in hunk.lines]
    return signs.count(b"+"), signs.count(b"-")


def _signed(
    a: list[bytes], b: list[bytes], group: list[tuple[str, int, int, int, int]]
) -> Iterator[tuple[bytes, bytes]]:
    for tag, a0, a1, b0, b1 in group:
        if tag == "equal":
            yield from ((b" ", line) for line in a[a0:a1])
        else:
            yield from ((b"-", line) for line in a[a0:a1])
            yield from ((b"+", line) for line in b[b0:b1])


def _printed(hunk: Hunk) -> bytes:
    lines = (sign + line if line.endswith(b"\n") else sign + line + b"\n" + NO_NEWLINE for sign, line in hunk.lines)
    return hunk.header.encode() + b"\n" + b"".join(lines)


def _range(start: int, count: int) -> str:
    """`start,count` as patches write it: 1-based, and the line before where there are none."""
    return f"{start + 1}" if count == 1 else f"{start + 1 if count else start},{count}"


def _lines(content: bytes) -> list[bytes]:
    """Lines with their "\\n"; bytes.splitlines would also end them at a lone carriage return."""
    pieces = content.split(b"\n")
    return [piece + b"\n" for piece in pieces[:-1]] + ([pieces[-1]] if pieces[-1] else [])


def _common_ends(a: list[bytes], b: list[bytes]) -> tuple[int, int]:
    """How many lines are the same at the beginning and, behind those, at the end."""
    shorter = min(len(a), len(b))
    first = next((i for i in range(shorter) if a[i] != b[i]), shorter)
    last = next((i for i in range(shorter - first) if a[-1 - i] != b[-1 - i]), shorter - first)
    return first, last


def _state(tree: Overlay, path: str) -> tuple[bytes | None, bytes]:
    """(content or None, mode as git knows it)."""
    if not tree.exists(path):
        return None, b""
    return tree.read(path), b"100755" if tree.mode(path) & 0o100 else b"100644"


def _blob(content: bytes | None) -> bytes:
    """git's abbreviated name of the content, which lets `git apply --3way` find it."""
    if content is None:
        return b"0" * 10
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()[:10].encode()


def _quoted(prefix: str, path: str) -> bytes:
    """The path as git writes it: in double quotes with C escapes where a byte is not plain ASCII."""
    raw = os.fsencode(prefix + path)
    escaped = b"".join(ESCAPES.get(c) or (bytes([c]) if 32 <= c < 127 else b"\\%03o" % c) for c in raw)
    return raw if escaped == raw else b'"' + escaped + b'"'
