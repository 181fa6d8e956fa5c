"""Pointing everyone who calls a script that goes at the one that stays."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Collection, Iterator

from migration.analysis.commands import CALLS, Mention, Role
from migration.analysis.paths import decoded, line_at, references, replaced
from migration.outcome import Finding
from migration.tree import Overlay

FOLDERS = re.compile(r"[\w./@+~-]*")
LONGEST = 4096  # of a path, as Linux has it
POINTED: frozenset[Role] = CALLS | {"assigned"}


def point_callers(
    tree: Overlay, gone: str, canonical: str, skip: Collection[str] = ()
) -> tuple[dict[str, bytes | None], list[Finding]]:
    """Edits and findings for every file but `skip` that runs `gone`, by a path from the repository or from its own folder.

    The new path is spelt so that it resolves from the same working directory. A place that only mentions the file is left
    and noted: a clean-up script that removes `gone` must not remove `canonical` in its stead.
    """
    edits: dict[str, bytes | None] = {}
    findings: list[Finding] = []
    for path in tree.mentioning(posixpath.basename(gone)):
        if path == gone or path in skip:
            continue
        raw = tree.read(path)
        targets, found = [], []
        for mention, base in _meant(tree, path, raw, gone):
            if base is not None and mention.role in POINTED:
                targets.append((mention, posixpath.relpath(canonical, base or ".")))
            else:
                found.append(_left(path, raw, mention, gone, base))
        if targets:
            edits[path] = new = replaced(path, raw, targets)
            found += changed_lines(path, raw, new, f"calls {canonical} in place of {gone}")
        findings += sorted(found, key=lambda finding: finding.line or 0)
    return edits, findings


def changed_lines(path: str, before: bytes, after: bytes, message: str) -> list[Finding]:
    """One `change` a line that differs, where lines were edited in place."""
    pairs = zip(decoded(before).split("\n"), decoded(after).split("\n"), strict=True)
    return [
        Finding("change", path, number, message, _shown(old), _shown(new))
        for number, (old, new) in enumerate(pairs, 1)
        if old != new
    ]


def folders(path: str, mention: Mention) -> list[str]:
    """Working directories, relative to the repository, that a mention in the file `path` may have: the likelier first."""
    own = posixpath.dirname(path)
    if mention.folder is None or mention.folder == "":
        return ["", own] if own else [""]
    if mention.folder.startswith("@"):
        return [_normal(own, mention.folder[1:].lstrip("/"))]
    return list(dict.fromkeys([_normal("", mention.folder), _normal(own, mention.folder)]))


def _meant(tree: Overlay, path: str, raw: bytes, gone: str) -> Iterator[tuple[Mention, str | None]]:
    """Mentions of `gone`, each with the folder that its path is relative to; None where a variable or an absolute path hides it."""
    name = posixpath.basename(gone)
    text = decoded(raw)
    # Found by its name first, then read backwards: read forwards, a picture of 100 kB in a notebook is one long folder.
    places = (found.start() for found in re.finditer(re.escape(name), text))
    folders_before = {FOLDERS.match(text[max(0, at - LONGEST) : at][::-1]) for at in places}
    spellings = {posixpath.normpath(found[0][::-1] + name) for found in folders_before if found}
    tails = [gone[at:] for at in range(len(gone)) if at == 0 or gone[at - 1] == "/"]
    for spelling in sorted(spellings | set(tails)):
        for mention in references(path, raw, spelling):
            if mention.role == "variable":
                if spelling in tails and ("/" in spelling or posixpath.dirname(path) == posixpath.dirname(gone)):
                    yield mention, None
            elif spelling.startswith(("/", "~")):
                if spelling.endswith("/" + gone):
                    yield mention, None
            else:
                readings = ((base, _normal(base, spelling)) for base in folders(path, mention))
                base, file = next(((b, f) for b, f in readings if f == gone or tree.exists(f)), ("", ""))
                if file == gone:
                    yield mention, base


def _left(path: str, raw: bytes, mention: Mention, gone: str, base: str | None) -> Finding:
    line = line_at(decoded(raw), mention.start)
    if base is None:
        return Finding(
            "warning",
            path,
            mention.line,
            f"may call {gone}: the folder is a variable or absolute, so it is left; look at it by hand",
            line,
        )
    return Finding("note", path, mention.line, f"names {gone} without calling it, left as it is", line)


def _normal(base: str, path: str) -> str:
    joined = posixpath.normpath(posixpath.join(base, path))
    return "" if joined == "." else joined


def _shown(line: str) -> str:
    return line.rstrip("\r").encode("utf-8", "surrogateescape").decode("utf-8", "replace")
