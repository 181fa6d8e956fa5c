"""What steps say and know: outcomes, findings, moved definitions, and the context they run in."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from migration.plan import Plan, Step

S = TypeVar("S", bound=Step)
Status = Literal["done", "already done", "kept", "nothing to do"]
Level = Literal["change", "note", "warning", "behaviour", "decision"]


@dataclass(frozen=True)
class Finding:
    """Something a person should see. `change`: an edited line; `behaviour`: a change of what the code does; `decision`:
    something the plan has to choose, which stops the migration with exit status 3."""

    level: Level
    path: str
    line: int | None
    message: str
    before: str = ""
    after: str = ""


@dataclass(frozen=True)
class Moved:
    """A definition that changed its home. `text` is the slice with its leading comments, newlines as "\\n"."""

    name: str
    source: str
    target: str
    source_lines: tuple[int, int]
    text: str
    why: str = ""


@dataclass
class Outcome:
    """What a step does: `edits` maps a path to its new bytes, or to None where the file goes.

    `removed_comments` are comment lines that go on purpose, so that the comment gate does not look for them.
    """

    status: Status = "done"
    summary: str = ""
    edits: dict[str, bytes | None] = field(default_factory=dict)
    modes: dict[str, int] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    moved: list[Moved] = field(default_factory=list)
    removed_comments: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Context:
    """What a codemod may know beside its own step: the whole plan as it will be carried out.

    `memo` is for what one step works out and its siblings need too; one context serves one run over one tree.
    """

    plan: Plan
    memo: dict[Any, object] = field(default_factory=dict, compare=False)

    @property
    def roots(self) -> list[str]:
        return self.plan.python.roots

    def steps(self, kind: type[S]) -> Iterable[S]:
        return (step for step in self.plan.step if isinstance(step, kind))
