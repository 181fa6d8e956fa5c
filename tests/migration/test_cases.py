"""Every case comes out as written down, passes all gates, and a second run changes nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from migration.engine import rehearse
from migration.plan import KINDS
from migration.tree import Overlay
from tests.migration.cases import Case, cases
from tests.migration.codemod_docs import page
from tests.migration.support import overlay

CASES = cases()


@pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c.kind}/{c.name}")
def test_case(case: Case) -> None:
    run = rehearse(overlay(case.before), case.plan)
    assert {p: run.after.read(p).decode() for p in run.after.paths()} == {p: c.decode() for p, c in case.after.items()}
    assert [(v.gate, f.path, f.message) for v in run.failed for f in v.failures if f.fatal] == []
    again = rehearse(Overlay(overlay(case.after).base), case.plan)
    assert again.after.edits == {}


def test_every_kind_has_a_case() -> None:
    assert {c.kind for c in CASES} == set(KINDS)


def test_the_documentation_is_made_from_the_cases() -> None:
    written = (Path(__file__).parents[2] / "docs" / "codemods.md").read_text()
    assert written == page(), "run: python -m tests.migration.codemod_docs > docs/codemods.md"
