"""The old trainer and the new one, with the old one's quirks switched on: the same bits, but for what `expected.toml` lists."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from regression.compare.expected import read
from regression.compare.judge import Comparison, compare
from regression.conftest import COMPARED
from regression.recordings import Recordings
from regression.scenarios import Side, names
from regression.trace import PHASES

pytestmark = pytest.mark.cpu
EXPECTED = read(Path(__file__).with_name("expected.toml"))


@pytest.fixture(params=names(), scope="module")
def compared(request: pytest.FixtureRequest, recorded: Recordings, old: Any, new: Any) -> Comparison:
    both = recorded.both(old, new, request.param)
    found = compare(*both, EXPECTED)
    request.config.stash.setdefault(COMPARED, {})[request.param] = (*both, found)
    return found


@pytest.mark.parametrize("phase", PHASES)
def test_same(compared: Comparison, phase: str) -> None:
    assert not compared.incomparable
    assert compared.compared.get(phase, 0) > 0, f"nothing of phase {phase} was recorded"
    assert [str(d) for d in compared.divergences if d.phase == phase] == []


def test_each_difference_that_is_meant_is_there(recorded: Recordings, old: Any, new: Any) -> None:
    if not (isinstance(old, Side) and isinstance(new, Side) and new.command[0] == "-m"):
        pytest.skip("the differences are those between the old script and visioncore.train")
    seen: Counter[str] = Counter()
    for name in names():
        seen.update(compare(*recorded.both(old, new, name), EXPECTED).expected)
    assert {name for name, n in seen.items() if not n} == set()


def test_the_migrated_tree_is_the_old_one(recorded: Recordings, old: Any, migrated: Side) -> None:
    found = compare(recorded(old, "small"), recorded(migrated, "small"))
    assert found.same, "\n".join(map(str, found.divergences)) or found.incomparable
