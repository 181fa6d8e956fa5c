"""A script's path, or a dotted name, in any text file of a repository: where it stands, and putting another in its place."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Collection, Iterable, Mapping

from migration.analysis.commands import Mention, Role
from migration.analysis.documents import in_makefile, in_shell, scanner
from migration.analysis.source import splice


def references(path: str, raw: bytes, script: str) -> list[Mention]:
    """Every place in the file `path` that names `script`; offsets are indices into `decoded(raw)`.

    For a notebook they are places in its JSON text.
    """
    text = decoded(raw)
    return sorted(scanner(path, text)(text, script), key=lambda mention: mention.start)


def rewrite(
    path: str,
    raw: bytes,
    script: str,
    to: str,
    roles: Collection[Role],
    unless: Callable[[Mention], bool] = lambda mention: False,
) -> tuple[bytes, list[Mention], list[Mention]]:
    """The file with `to` in place of `script` where that has one of `roles`; then the places done, and those left.

    `to` is a path or `-m package.module`. The latter takes a path's place only directly behind an interpreter and its
    options, or a launcher that knows it.
    """
    found = references(path, raw, script)
    done = [m for m in found if m.role in roles and (m.module or not to.startswith("-m ")) and not unless(m)]
    return replaced(path, raw, [(m, to) for m in done]), done, [m for m in found if m not in done]


def replaced(path: str, raw: bytes, targets: Iterable[tuple[Mention, str]]) -> bytes:
    """The file with each mention's path replaced; `./` and quotes stay as they are."""
    text = decoded(raw)
    quoted = scanner(path, text) in (in_shell, in_makefile)
    return encoded(splice(text, [_replacement(mention, to, quoted) for mention, to in targets]))


def decoded(raw: bytes) -> str:
    """Any bytes as text that `encoded` turns back into the same bytes."""
    return raw.decode("utf-8", "surrogateescape")


def encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def line_at(text: str, offset: int) -> str:
    """The line around `offset`, without its newline."""
    end = text.find("\n", offset)
    return text[text.rfind("\n", 0, offset) + 1 : end if end >= 0 else len(text)].rstrip("\r")


def _replacement(mention: Mention, to: str, quoted: bool) -> tuple[int, int, str]:
    if to.startswith("-m "):
        return *mention.outer, to
    if mention.path.startswith("./") and not to.startswith((".", "/")):
        to = "./" + to
    if quoted and mention.outer == (mention.start, mention.end) and mention.role != "call-in-string":
        to = shlex.quote(to)
    return mention.start, mention.end, to


# dotted names


def dotted_references(raw: bytes | str, dotted: str, prefix: bool = False) -> list[tuple[int, int]]:
    """(start, end) of `dotted` as a whole dotted token; with `prefix` also where a longer name begins with it."""
    text = raw if isinstance(raw, str) else decoded(raw)
    return [m.span() for m in re.finditer(_dotted([dotted], prefix), text)]


def rewrite_dotted(raw: bytes, renames: Mapping[str, str]) -> bytes:
    """Every dotted name that is, or begins with, a key of `renames` with the value in its place; the longest key wins."""
    if not renames:
        return raw
    pattern = _dotted(sorted(renames, key=len, reverse=True), prefix=True)
    return encoded(re.sub(pattern, lambda m: renames[m[0]], decoded(raw)))


def _dotted(names: Iterable[str], prefix: bool) -> str:
    behind = r"(?!\w)(?!\.py\b)" if prefix else r"(?!\w|\.\w)"
    return rf"(?<![\w./-])(?:{'|'.join(map(re.escape, names))}){behind}(?![/-]\w)"
