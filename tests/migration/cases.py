"""Cases: small trees before and after a plan, one folder each, below `cases/<kind>/<case>/`.

`plan.toml` is a whole plan; its title says what the case shows. Files of the tree end in `.txt` on top of their own name, so that
no tool takes them for files of this project. They feed the tests and docs/codemods.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from migration.plan import Plan, load_plan

FOLDER = Path(__file__).parent / "cases"


@dataclass(frozen=True)
class Case:
    kind: str
    name: str
    plan: Plan
    plan_text: str
    before: dict[str, bytes]
    after: dict[str, bytes]


def cases() -> list[Case]:
    """Every case, by kind and name."""
    return [_case(plan.parent) for plan in sorted(FOLDER.glob("*/*/plan.toml"))]


def _case(folder: Path) -> Case:
    plan = folder / "plan.toml"
    return Case(
        folder.parent.name,
        folder.name,
        load_plan(str(plan)),
        plan.read_text(),
        _files(folder / "before"),
        _files(folder / "after"),
    )


def _files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)).removesuffix(".txt"): p.read_bytes() for p in sorted(folder.rglob("*.txt"))}
