"""Defaults: told only where the sessions and the network are, old and new train with the same settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from regression.compare.expected import read
from regression.compare.judge import compare
from regression.recordings import Recordings
from regression.scenarios import Side

pytestmark = pytest.mark.cpu
EXPECTED = read(Path(__file__).with_name("expected.toml"))


def test_defaults(recorded: Recordings, old: Any, new: Any) -> None:
    """Batches of 64, bf16, 16 worker processes, 1,000 steps an epoch: two of them tell."""
    if not (isinstance(old, Side) and isinstance(new, Side)):
        pytest.skip("a trace does not know the defaults")
    found = compare(*recorded.both(old, new, "defaults", steps=2), EXPECTED)
    assert [str(d) for d in found.divergences] == [] and not found.incomparable
