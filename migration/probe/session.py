"""One fresh process for all gates: each says beforehand which doors it wants gone through, the first to need an answer asks for all."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import PurePosixPath
from typing import Literal

from migration.analysis import modules
from migration.gates import Check
from migration.probe import Door, DoorResult, probe_states, python_paths
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
        self.lost, self.external = top_level_names(check.before, check.after, check.plan.python.roots)
        self._answers: dict[tuple[Side, Door], DoorResult] = {}
        self._ask([question for planner in PLANNERS for question in planner(check)])

    def _ask(self, questions: Iterable[tuple[Side, Door]]) -> None:
        new = [q for q in dict.fromkeys(questions) if q not in self._answers]
        doors = [(0 if side == "before" else 1, door) for side, door in new]
        results = probe_states([self.check.before, self.check.after], doors, lost=self.lost, external=self.external)
        self._answers.update(zip(new, results, strict=True))

    def result(self, side: Side, door: Door) -> DoorResult:
        if (side, door) not in self._answers:
            self._ask([(side, door)])
        return self._answers[side, door]

    def before(self, door: Door) -> DoorResult | None:
        """What came of the same door before; None where the file that it leads to is new."""
        return self.result("before", door) if self.check.before.exists(door.path) else None


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


def top_level_names(before: Overlay, after: Overlay, roots: list[str]) -> tuple[frozenset[str], frozenset[str]]:
    """(lost, external): names that only the tree can mean, and names that people install.

    A name is external where it is installed here, or imported in the tree before, and the tree had no module that could have been meant.
    """
    own = _tree_names(before) | _tree_names(after)
    resolved: set[str] = set()
    unresolved: set[str] = set()
    paths = python_paths(before)
    known = {(modules.folder_of(p), n) for p, n in _importable(paths)}
    for path in paths:
        names = imported_names(before, path) - sys.stdlib_module_names
        if not names:
            continue
        folder = modules.folder_of(path)
        hints = modules.path_hints(before.source(path)) if b"sys.path" in before.read(path) else []
        searched = [*hints, *roots, *([] if before.exists(modules.join(folder, "__init__.py")) else [folder])]
        for name in names:
            (resolved if any((f, name) in known for f in searched) else unresolved).add(name)
    external = (unresolved | installed()) - resolved
    return frozenset(own - external), frozenset(external)


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
