"""One fresh process for all gates: each says beforehand which doors it wants gone through, the first to need an answer asks for all."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import PurePosixPath
from typing import Literal, NamedTuple

from migration.analysis import modules
from migration.gates import Check
from migration.probe import Door, DoorResult
from migration.probe.doors import door_before
from migration.probe.interpreter import Interpreter, Results, python_paths
from migration.tree import Overlay

Side = Literal["before", "after"]
Planner = Callable[[Check], Iterable[tuple[Side, Door]]]
PLANNERS: list[Planner] = []
IMPORT = re.compile(rb"(?:^|;)[ \t]*(?:from[ \t]+(\w+)[\w.]*[ \t]+import\b|import[ \t]+([^\r\n#;]+))", re.MULTILINE)


def asks(planner: Planner) -> Planner:
    """Register a gate's planner: the doors it will want to know about."""
    PLANNERS.append(planner)
    return planner


class Session:
    """The answers for one pair of trees."""

    def __init__(self, check: Check) -> None:
        self.check = check
        names = top_level_names(check.before, check.after, check.plan.python.roots)
        self._interpreter = Interpreter([check.before, check.after], **names._asdict())
        self._answers: dict[tuple[Side, Door], DoorResult] = {}
        self._pending: list[tuple[list[tuple[Side, Door]], Results]] = []
        self.ask([question for planner in PLANNERS for question in planner(check)])

    def ask(self, questions: Iterable[tuple[Side, Door]]) -> None:
        """Begin to go through those of the doors that nobody has asked about yet, all of them by one fresh interpreter."""
        asked = {q for questions, _ in self._pending for q in questions} | self._answers.keys()
        new = [q for q in dict.fromkeys(questions) if q not in asked]
        doors = [(0 if side == "before" else 1, door) for side, door in new]
        self._pending.append((new, self._interpreter.begin(doors)))

    def result(self, side: Side, door: Door) -> DoorResult:
        if (side, door) not in self._answers:
            self.ask([(side, door)])
        while self._pending:
            questions, results = self._pending.pop(0)
            self._answers.update(zip(questions, results(), strict=True))
        return self._answers[side, door]

    def before(self, door: Door) -> DoorResult | None:
        """What came of the same door before; None where the file that it leads to is new."""
        old = door_before(self.check, door)
        return None if old is None else self.result("before", old)


def session(check: Check) -> Session:
    """The session of a check, made at first use and kept on it like a cached property."""
    known = check.__dict__.get("_probe_session")
    if not isinstance(known, Session):
        known = check.__dict__["_probe_session"] = Session(check)
    return known


def broke(before: DoorResult | None, after: DoorResult) -> bool:
    """Whether a door that leads nowhere now is the migration's doing: it was open before, or it is new and no stand-in is in the way."""
    if after.ok:
        return False
    if before is None or (before.limitation and not before.ok):
        return not after.limitation
    return before.ok


def imported_names(tree: Overlay, path: str) -> set[str]:
    """Top-level names that the text of a file imports absolutely, found without parsing it."""
    found: set[str] = set()
    for module, listed in IMPORT.findall(tree.read(path)):
        names = (
            [module] if module else [part.split()[0].partition(b".")[0] for part in listed.split(b",") if part.split()]
        )
        found |= {name.decode(errors="replace") for name in names}
    return found


class Names(NamedTuple):
    """Top-level names that only the tree can mean, that people install, and the standard library's that the tree imports."""

    lost: frozenset[str]
    external: frozenset[str]
    library: frozenset[str]


def top_level_names(before: Overlay, after: Overlay, roots: list[str]) -> Names:
    """Who may be meant by the names that the tree imports.

    A name is external where it is installed here, or imported in the tree before, and the tree had no module that could have been meant.
    """
    own = _tree_names(before) | _tree_names(after)
    resolved: set[str] = set()
    unresolved: set[str] = set()
    library: set[str] = set()
    paths = python_paths(before)
    known = {(modules.folder_of(p), n) for p, n in _importable(paths)}
    for path in paths:
        names = imported_names(before, path)
        library |= names & sys.stdlib_module_names
        names -= sys.stdlib_module_names
        if not names:
            continue
        folder = modules.folder_of(path)
        hints = modules.path_hints(before.source(path)) if b"sys.path" in before.read(path) else []
        searched = [*hints, *roots, *([] if before.exists(modules.join(folder, "__init__.py")) else [folder])]
        for name in names:
            (resolved if any((f, name) in known for f in searched) else unresolved).add(name)
    external = (unresolved | installed()) - resolved
    return Names(frozenset(own - external), frozenset(external), frozenset(library - own - WITH_EFFECTS))


# Modules of the standard library that do something by being imported, or that the probe has stand-ins for.
WITH_EFFECTS = frozenset(
    {"antigravity", "this", "ctypes", "readline", "tkinter", "turtle", "idlelib", "lib2to3", "test"}
)


@cache
def installed() -> frozenset[str]:
    """Top-level names of what is installed beside this tool."""
    return frozenset(packages_distributions())


def _tree_names(tree: Overlay) -> set[str]:
    return {name for _, name in _importable(python_paths(tree))}


def _importable(paths: Iterable[str]) -> Iterator[tuple[str, str]]:
    """(path, name) of what can be imported by a single name: `name` lies in the folder that `path` lies in."""
    for path in paths:
        pure = PurePosixPath(path)
        yield path, pure.stem
        for folder in pure.parents:
            if folder.name:
                yield str(folder), folder.name
