"""A check made by hand: the tree before, what changed, and what the steps say."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from migration.codemods import Moved, Outcome
from migration.gates import GATES, Check, Failure, run_gates
from migration.plan import Plan
from migration.tree import Overlay
from tests.migration.support import overlay, plan_of

READING_GATES = frozenset({"parses", "definitions-intact", "comments-kept", "names", "references"})
ANY_STEP = {"kind": "unify-import", "from": "no_such_package", "to": "nor_such"}


def check_of(
    before: Mapping[str, str | bytes],
    edits: Mapping[str, str | bytes | None],
    outcomes: Mapping[str, Outcome] | None = None,
    steps: list[dict[str, Any]] | None = None,
    plan: Plan | None = None,
) -> Check:
    """`before` is the tree, `edits` what the migration made of it. Steps get the ids "1", "2", …"""
    old = overlay(before)
    new = Overlay(old)
    new.edit({path: text.encode() if isinstance(text, str) else text for path, text in edits.items()})
    return Check(old, new, plan or plan_of(*(steps or [ANY_STEP])), dict(outcomes or {}))


def moved(source: str, target: str, *names: str) -> dict[str, Outcome]:
    """The outcome of a step "1" that says it moved these names."""
    return {"1": Outcome(moved=[Moved(name, source, target, (1, 1), name) for name in names])}


def verdict(check: Check, name: str) -> list[Failure]:
    """What one gate says; its file has its name."""
    importlib.import_module(f"migration.gates.{name.replace('-', '_')}")
    return list(GATES[name].run(check))


def fatal(check: Check, name: str) -> list[str]:
    return [f"{f.path}:{f.line}: {f.message}" for f in verdict(check, name) if f.fatal]


def failing(check: Check) -> set[str]:
    """Which of the gates that import nothing do not hold."""
    return {name for name in READING_GATES if fatal(check, name)}


def failing_of_all(check: Check) -> set[str]:
    """Which of all gates do not hold."""
    return {v.gate for v in run_gates(check) if not v.holds}
