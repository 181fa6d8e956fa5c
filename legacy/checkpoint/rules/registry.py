"""What a rule is, what it works on."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from legacy.checkpoint.kinds import Kind, kind_of
from legacy.checkpoint.reader import Checkpoint

NOTES: Final = 20  # of each rule; the count goes on


@dataclass(slots=True)
class Applied:
    """How often a rule changed something, and what, the first times."""

    count: int = 0
    notes: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Work:
    """A checkpoint on its way. Rules change `root` in place, and say so."""

    checkpoint: Checkpoint
    root: Any
    allow: Collection[str] = ()
    applied: dict[str, Applied] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    kind: Kind = "unknown"
    rule: str = ""

    def __post_init__(self) -> None:
        self.kind = kind_of(self.root)

    def note(self, what: str, count: int = 1) -> None:
        """The rule at work changed `count` things alike."""
        applied = self.applied.setdefault(self.rule, Applied())
        applied.count += count
        if len(applied.notes) < NOTES and what not in applied.notes:
            applied.notes.append(what)

    def warn(self, what: str) -> None:
        self.warnings.append(what)


Operation: TypeAlias = Callable[[Work], None]


@dataclass(frozen=True, slots=True)
class Rule:
    """One change of the format or of the lab's tree, and how a file from before it becomes one from after."""

    name: str
    since: str  # the version that brought the change
    operation: Operation

    @property
    def why(self) -> str:
        """What it does and why, as its docstring says it."""
        return " ".join((self.operation.__doc__ or "").split())

    def apply(self, work: Work) -> None:
        work.rule = self.name
        self.operation(work)


def rule(name: str, *, since: str) -> Callable[[Operation], Rule]:
    """Makes a rule of a function. `rules/__init__.py` has the index that it goes into."""
    return lambda operation: Rule(name, since, operation)
