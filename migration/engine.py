"""The one way of a file through the tool: disk → Tree → Overlay → gates → transaction → disk."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from migration.codemods import Context, Finding, Outcome, run_step
from migration.errors import BadInput, DecisionNeeded, GateFailed
from migration.gates import Check, Verdict, run_gates
from migration.plan import Plan, Step, parse_plan
from migration.transaction import Store, changes_of
from migration.tree import Overlay, Tree

OnStep = Callable[[Step, Outcome], None]


@dataclass(frozen=True)
class Run:
    """A plan carried out in memory: nothing of it is on the disk yet."""

    plan: Plan
    before: Overlay
    after: Overlay
    outcomes: dict[str, Outcome]
    verdicts: list[Verdict]
    seconds: float

    @property
    def decisions(self) -> list[Finding]:
        """What a person has to decide before this can be applied."""
        return [f for outcome in self.outcomes.values() for f in outcome.findings if f.level == "decision"]

    @property
    def failed(self) -> list[Verdict]:
        return [v for v in self.verdicts if not v.holds]

    def settle(self) -> None:
        """Raise DecisionNeeded or GateFailed where this may not be applied."""
        if self.decisions:
            first = self.decisions[0]
            raise DecisionNeeded(
                f"{len(self.decisions)} decision(s) needed, the tree is unchanged. First: {first.path}: {first.message}"
            )
        if self.failed:
            verdict = self.failed[0]
            failure = next(f for f in verdict.failures if f.fatal)
            place = failure.path + (f":{failure.line}" if failure.line else "")
            raise GateFailed(f"gate {verdict.gate!r} failed, the tree is unchanged: {place}: {failure.message}")


def rehearse(before: Overlay, plan: Plan, on_step: OnStep | None = None) -> Run:
    """Carry the plan out on an overlay and ask the gates. Raises BadInput."""
    began = time.perf_counter()
    _check_roots(before, plan)
    after = Overlay(before)
    context = Context(plan)
    outcomes: dict[str, Outcome] = {}
    for step in plan.step:
        outcome = run_step(step, after, context)
        _check_places(after, step, outcome, plan)
        after.edit(outcome.edits, outcome.modes)
        outcomes[step.id] = outcome
        if on_step:
            on_step(step, outcome)
    undecided = any(f.level == "decision" for o in outcomes.values() for f in o.findings)
    verdicts = [] if undecided or not after.edits else run_gates(Check(before, after, plan, outcomes))
    return Run(plan, before, after, outcomes, verdicts, time.perf_counter() - began)


def _check_roots(tree: Overlay, plan: Plan) -> None:
    """Raise BadInput for a root that is no folder of the tree, and that no step makes."""
    made = [str(getattr(step, name, "")) + "/" for step in plan.step for name in ("target", "package", "moved_to")]
    for root in plan.python.roots:
        if root != "." and not any(path.startswith(root + "/") for path in [*made, *tree.paths()]):
            raise BadInput(f"{plan.file}: field 'python.roots': {root!r} is no folder with files in {tree.root}")


def _check_places(tree: Overlay, step: Step, outcome: Outcome, plan: Plan) -> None:
    """Raise BadInput where a step makes a file that the disk has no place for."""
    for path, content in outcome.edits.items():
        if content is not None and not tree.exists(path) and (why := tree.obstacle(path)):
            field = "field 'target': " if path == getattr(step, "target", None) else ""
            raise BadInput(f"{plan.file}: step {step.id!r}: {field}{path}: {why}")


def apply(run: Run, store: Store) -> bool:
    """Put a run on the disk in one transaction; False where there is nothing to change.

    Raises DecisionNeeded, GateFailed, or BadInput where a file is no longer what the run saw.
    """
    run.settle()
    changes = changes_of(run.before, run.after)
    if not changes:
        return False
    if edited := store.conflicts(changes):
        raise DecisionNeeded(
            f"{len(edited)} file(s) to be changed have uncommitted edits, the tree is unchanged: {', '.join(edited)}. Commit or stash them, then apply again"
        )
    store.apply(changes, _record(run))
    return True


def _record(run: Run) -> dict[str, Any]:
    """What the journal keeps of a run: enough to say what was done, and to ask the gates again later."""
    return {
        "plan": run.plan.name,
        "title": run.plan.title,
        "digest": run.plan.digest,
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "steps": [step.id for step in run.plan.step if run.outcomes[step.id].edits],
        "carried_out": [step.id for step in run.plan.step],
        "plan_data": run.plan.model_dump(by_alias=True, exclude={"digest", "file"}, exclude_none=True),
    }


def verify(repo: Path, store: Store) -> Run | None:
    """Ask the gates about the tree as it stands, against what it was before the applied migrations; None if there are none."""
    history = store.history()
    if not history:
        return None
    data = dict(history[-1]["plan_data"])
    wanted = {i for record in history if record["digest"] == history[-1]["digest"] for i in record["carried_out"]}
    names = {step["id"]: step for record in history for step in record["plan_data"]["step"] if step["id"] in wanted}
    order = [step["id"] for record in history for step in record["plan_data"]["step"]]
    data["step"] = [names[i] for i in dict.fromkeys(order) if i in names]
    plan = parse_plan(data, "the applied plan", str(history[-1]["digest"]))
    now = Tree(repo)
    earliest: dict[str, bytes | None] = {}
    for n in reversed(range(len(history))):
        if history[n]["digest"] == history[-1]["digest"]:
            earliest |= store.before(n)
    before = Overlay(now)
    before.edit(earliest)
    run = rehearse(before, plan)
    check = Check(before, Overlay(now), plan, run.outcomes)
    return Run(plan, before, Overlay(now), run.outcomes, run_gates(check), run.seconds)
