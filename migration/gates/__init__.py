"""One file a gate: (before, after, outcomes) → failures. A gate never edits.

@gate("parses", "Every touched file parses")
def parses(check: Check) -> Iterator[Failure]: ...
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property

from migration.outcome import Moved, Outcome
from migration.plan import Plan
from migration.tree import Overlay


@dataclass(frozen=True)
class Failure:
    """Why a gate does not hold. `fatal=False` is a warning: shown, and the gate still holds."""

    path: str
    line: int | None
    message: str
    fatal: bool = True


@dataclass(frozen=True)
class Check:
    """What a gate looks at: the tree before, the tree after, and what the steps say they did."""

    before: Overlay
    after: Overlay
    plan: Plan
    outcomes: dict[str, Outcome] = field(default_factory=dict)

    @cached_property
    def touched(self) -> list[str]:
        """Paths that differ between before and after, deleted ones included."""
        paths = {*self.before.edits, *self.after.edits}
        return sorted(p for p in paths if _content(self.before, p) != _content(self.after, p))

    @cached_property
    def touched_python(self) -> list[str]:
        """Touched Python files that exist afterwards."""
        return [p for p in self.touched if p.endswith(".py") and self.after.exists(p)]

    @cached_property
    def moved(self) -> list[Moved]:
        return [m for outcome in self.outcomes.values() for m in outcome.moved]


def _content(tree: Overlay, path: str) -> bytes | None:
    return tree.read(path) if tree.exists(path) else None


@dataclass(frozen=True)
class Gate:
    """`prepare`, where there is one, begins what takes long, while other gates are asked."""

    name: str
    claim: str
    run: Callable[[Check], Iterator[Failure]]
    prepare: Callable[[Check], object] | None = None


@dataclass(frozen=True)
class Verdict:
    gate: str
    claim: str
    failures: list[Failure]

    @property
    def holds(self) -> bool:
        return not any(f.fatal for f in self.failures)


GATES: dict[str, Gate] = {}


def gate(
    name: str, claim: str, prepare: Callable[[Check], object] | None = None
) -> Callable[[Callable[[Check], Iterator[Failure]]], Callable[[Check], Iterator[Failure]]]:
    """Register a gate under the name that reports show."""

    def register(function: Callable[[Check], Iterator[Failure]]) -> Callable[[Check], Iterator[Failure]]:
        GATES[name] = Gate(name, claim, function, prepare)
        return function

    return register


def all_gates() -> list[Gate]:
    """Every gate, importing their modules at first use."""
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
    return list(GATES.values())


def run_gates(check: Check) -> list[Verdict]:
    """Every gate's verdict, in the order the gates' files sort."""
    gates = all_gates()
    for preparation in dict.fromkeys(g.prepare for g in gates if g.prepare):
        preparation(check)
    verdicts = {g.name: list(g.run(check)) for g in sorted(gates, key=lambda g: g.prepare is not None)}
    return [Verdict(g.name, g.claim, verdicts[g.name]) for g in gates]
