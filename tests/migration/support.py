"""Small trees, small plans, and running one over the other without gates or disk writes."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from migration.codemods import Context, Outcome, run_step
from migration.plan import Plan, parse_plan
from migration.tree import Overlay, Tree


def write_tree(root: Path, files: Mapping[str, str | bytes]) -> Path:
    """Write `files` below `root`; text is written as it is, newlines included."""
    for path, content in files.items():
        full = root / path
        full.parent.mkdir(parents=True, exist_ok=True)
        full.write_bytes(content.encode() if isinstance(content, str) else content)
    return root


TREES = tempfile.TemporaryDirectory(prefix="trees-")  # gone with the process: hypothesis makes thousands


def overlay(files: Mapping[str, str | bytes]) -> Overlay:
    """An overlay, without edits, on a folder that holds `files`."""
    return Overlay(Tree(write_tree(Path(tempfile.mkdtemp(dir=TREES.name)), files)))


def plan_of(*steps: dict[str, Any], roots: list[str] | None = None) -> Plan:
    """A plan of `steps`; ids and titles are filled in where a test does not care."""
    filled = [{"id": str(i), "title": f"step {i}", **step} for i, step in enumerate(steps, 1)]
    return parse_plan(
        {"schema": 1, "name": "test", "title": "test", "python": {"roots": roots or ["."]}, "step": filled}, "test.toml"
    )


def run(tree: Overlay, plan: Plan) -> dict[str, Outcome]:
    """Run every step, each seeing the edits of those before it; the edits end up in `tree`."""
    outcomes = {}
    context = Context(plan)
    for step in plan.step:
        outcomes[step.id] = run_step(step, tree, context)
        tree.edit(outcomes[step.id].edits, outcomes[step.id].modes)
    return outcomes
