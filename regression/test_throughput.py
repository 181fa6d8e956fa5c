"""The new trainer is not slower than the old one: at least 0.98 of its throughput, by the lower bound of the interval."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Any

import pytest

from regression.conftest import TIMED, device
from regression.scenarios import Side, Studies
from regression.throughput.command import Command
from regression.throughput.pairs import Throughput, benchmark_pairs

pytestmark = pytest.mark.cpu
PAIRS = 7


def command(who: Side, arguments: list[str], folder: Path, on: str) -> Command:
    text = shlex.join([sys.executable, *who.command, *arguments])
    # threads that wait for each other on a busy processor take ten times as long, and by chance
    threads = {"OMP_NUM_THREADS": "1"} if on == "cpu" else {}
    return Command(text, sys.executable, (*who.command, *arguments), {**threads, **who.environment()}, folder)


@pytest.mark.parametrize("scenario", ["timed", pytest.param("timed_convolutions", marks=pytest.mark.slow)])
def test_not_slower(
    benchmark: Any, pytestconfig: pytest.Config, studies: Studies, old: Any, new: Any, tmp_path: Path, scenario: str
) -> None:
    """The trainer as it is used, with what it mends: quirks that cost time are among that."""
    if not (isinstance(old, Side) and isinstance(new, Side)):
        pytest.skip("a trace cannot be timed again")
    on = device(pytestconfig)
    told = studies.options(scenario)
    ours = [part for part in new.arguments if part not in ("--compat", "all")]
    if new.command[0] == "-m":
        ours += ["--device", on]
    before, after = command(old, told, tmp_path, on), command(new, [*told, *ours], tmp_path, on)
    found: Throughput = benchmark_pairs(
        benchmark, before, after, PAIRS, overrides={"accelerator": on, "devices": 1}, warmup=5
    )
    pytestconfig.stash.setdefault(TIMED, []).append(found)
    assert found.verdict == "not slower", str(found)
