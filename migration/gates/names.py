"""No name is newly undefined, no import newly unused, by pyflakes before and after.

A message counts as old where the same file had it, or a file whose code has moved here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from pyflakes import messages
from pyflakes.checker import Checker

from migration.analysis.source import Source
from migration.gates import Check, Failure, gate
from migration.plan import MoveModule, RemoveDuplicate

WATCHED: dict[type[messages.Message], str] = {
    messages.UndefinedName: "F821",
    messages.UndefinedExport: "F822",
    messages.UndefinedLocal: "F823",
    messages.UnusedImport: "F401",
    messages.ImportStarUsed: "F403",
    messages.ImportStarUsage: "F405",
    messages.RedefinedWhileUnused: "F811",
}
NOQA = re.compile(r"#\s*noqa(?::\s?(?P<codes>[A-Z]+[0-9]+(?:[\s,]+[A-Z]+[0-9]+)*))?", re.IGNORECASE)
Key = tuple[type[messages.Message], str]


@gate("names", "No new undefined name, no new unused import")
def names(check: Check) -> Iterator[Failure]:
    for path in check.touched_python:
        source = check.after.source(path)
        if not source.parses:
            continue
        for message in _reported(source):
            # An idle import has no business in a module that only definitions have moved to.
            whole = isinstance(message, messages.UnusedImport)
            if not any(_key(message) in _before(check, home) for home in _old_homes(check, path, whole)):
                yield Failure(path, message.lineno, _sentence(message))


def _old_homes(check: Check, path: str, whole: bool) -> set[str]:
    """Files of the old tree whose code is now in `path`: itself, modules moved whole, sources of definitions."""
    homes = {path}
    size = 0
    while len(homes) > size:
        size = len(homes)
        for step in check.plan.step:
            if isinstance(step, MoveModule) and step.target in homes:
                homes.add(step.source)
            if isinstance(step, RemoveDuplicate) and step.canonical in homes and not whole:
                homes.add(step.duplicate)
        if not whole:
            homes |= {m.source for m in check.moved if m.target in homes}
    return homes


def _before(check: Check, path: str) -> frozenset[Key]:
    """What pyflakes had to say about a file of the old tree. Asked once a check and file."""
    known: dict[str, frozenset[Key]] = check.__dict__.setdefault("_pyflakes_before", {})
    if path not in known:
        source = check.before.source(path) if check.before.exists(path) else None
        known[path] = frozenset(map(_key, _reported(source))) if source and source.parses else frozenset()
    return known[path]


def _key(message: messages.Message) -> Key:
    """Class and name. An import that was pointed elsewhere still binds the same name; line numbers change when code moves."""
    subject = str(message.message_args[0])
    if isinstance(message, messages.ImportStarUsed):
        subject = "*"
    elif isinstance(message, messages.UnusedImport):
        subject = subject.rpartition(" as ")[2].rpartition(".")[2]
    return type(message), subject


def _sentence(message: messages.Message) -> str:
    text = message.message % message.message_args
    hint = {
        messages.UndefinedName: "it has to be imported or defined here",
        messages.UnusedImport: "nothing here uses it any more; it should go, or be marked as a re-export",
        messages.RedefinedWhileUnused: "one of the two should go",
    }.get(type(message), "it was not so before")
    return f"{text}: {hint}"


def _reported(source: Source) -> Iterator[messages.Message]:
    """pyflakes' messages of the watched kinds, less what the file marks as meant."""
    spans = {n.lineno: (n.lineno, n.end_lineno or n.lineno) for n in source.imports}
    lines = source.text.splitlines()
    for message in Checker(source.tree, filename=source.path).messages:
        code = WATCHED.get(type(message))
        if code is None:
            continue
        first, last = spans.get(message.lineno, (message.lineno, message.lineno))
        if any(_silences(line, code) for line in lines[first - 1 : last]):
            continue
        if isinstance(message, messages.UnusedImport) and (
            source.path.endswith("__init__.py") or _reexports(source, message)
        ):
            continue
        yield message


def _silences(line: str, code: str) -> bool:
    found = NOQA.search(line)
    return found is not None and (found["codes"] is None or code in re.split(r"[\s,]+", found["codes"].upper()))


def _reexports(source: Source, message: messages.Message) -> bool:
    """`X as X`, by which a module says that it hands X on."""
    aliases = [a for n in source.imports if n.lineno == message.lineno for a in n.names]
    return any(a.asname == a.name and str(message.message_args[0]).rpartition(".")[2] == a.name for a in aliases)
