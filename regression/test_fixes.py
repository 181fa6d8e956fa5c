"""The new trainer differs from the old one in what it mends, each thing where `fixes.toml` says, and in nothing else.

With every quirk switched on it is the old trainer (`test_old_and_new.py`). Here each is switched off by itself: the first thing to differ
has to be the quirk's own.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from regression.compare.judge import compare
from regression.record import ROOT, RecordingError
from regression.recordings import Recordings
from regression.scenarios import Side

pytestmark = pytest.mark.cpu
FIXES: dict[str, dict[str, Any]] = tomllib.loads(Path(__file__).with_name("fixes.toml").read_text())


@pytest.fixture
def quirky(new: Any) -> Side:
    if not isinstance(new, Side) or new.command[0] != "-m":
        pytest.skip("switches are visioncore's: --new is another trainer")
    return Side("new", new.command, new.python_path, new.arguments[: new.arguments.index("--compat")])


@pytest.mark.parametrize("flag", FIXES)
def test_a_fix_changes_what_it_says(recorded: Recordings, quirky: Side, flag: str) -> None:
    fix = FIXES[flag]
    scenario, options = fix["scenario"], fix.get("options", {})
    others = ",".join(name for name in FIXES if name != flag)
    original = recorded.start(quirky, scenario, "--compat", ",".join(FIXES), **options)
    mended = recorded(quirky, scenario, "--compat", others, **options)
    if "fails" in fix:
        with pytest.raises(RecordingError, match=fix["fails"]):
            original.result()
        assert mended.complete
        return
    found = compare(original.result(), mended)
    if "unseen" in fix:
        assert found.same, f"{flag} is said to be unseen ({fix['unseen']}), and {found.first}"
    else:
        assert found.first, f"{flag} changes nothing in {scenario}"
        near = [
            (d.phase, d.quantity)
            for d in found.divergences
            if (d.step, d.phase) == (found.first.step, found.first.phase)
        ]
        assert tuple(fix["first"]) in near, str(found.first)


def test_every_quirk_of_the_documentation_is_here() -> None:
    documented = re.findall(r"^\| `(\w+)` \|", (ROOT / "docs" / "compat.md").read_text(), re.M)
    assert documented == list(FIXES)


def test_all_switches_by_name_are_all_of_them(recorded: Recordings, quirky: Side, new: Side) -> None:
    assert compare(recorded(new, "small"), recorded(quirky, "small", "--compat", ",".join(FIXES))).same
