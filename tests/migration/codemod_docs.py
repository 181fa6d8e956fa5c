"""`python -m tests.migration.codemod_docs > docs/codemods.md`: the page is made from the codemods' own words and their cases."""

from __future__ import annotations

import difflib
import importlib

from migration.plan import KINDS
from tests.migration.cases import Case, cases

HEAD = """# Kinds of steps

Made from the cases in `tests/migration/cases` (`python -m tests.migration.codemod_docs > docs/codemods.md`): each is a small tree before
and after a plan, which the tests run through all gates, twice.
"""


def page() -> str:
    """The whole page as Markdown."""
    found = cases()
    return HEAD + "".join(_section(kind, [c for c in found if c.kind == kind]) for kind in KINDS)


def _section(kind: str, own: list[Case]) -> str:
    module = importlib.import_module(f"migration.codemods.{kind.replace('-', '_')}")
    text = (module.__doc__ or "").split(":", 1)[1].strip()
    return f"\n## {kind}\n\n{text[0].upper()}{text[1:]}\n" + "".join(_example(case) for case in own)


def _example(case: Case) -> str:
    steps = case.plan_text[case.plan_text.index("[[step]]") :].strip()
    return f"\n### {case.plan.title}\n\n```toml\n{steps}\n```\n\n```diff\n{_diff(case)}```\n"


def _diff(case: Case) -> str:
    lines: list[str] = []
    for path in sorted({*case.before, *case.after}):
        old, new = (side.get(path, b"").decode(errors="replace").splitlines() for side in (case.before, case.after))
        if old != new or (path in case.before) != (path in case.after):
            names = [
                f"{path} ({'gone' if path not in case.after else 'before'})",
                f"{path} ({'new' if path not in case.before else 'after'})",
            ]
            lines += [line.rstrip() for line in difflib.unified_diff(old, new, *names, n=2, lineterm="")] or [
                f"+++ {names[1]}, empty"
            ]
    return "".join(line + "\n" for line in lines)


if __name__ == "__main__":
    print(page(), end="")
