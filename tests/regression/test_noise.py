"""The noise floor: old runs raise no alarm among themselves, and what is beyond them does."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from regression.compare.noise import compare_within_noise
from regression.trace import Trace, TraceError

STEPS = 30


def noisy(seed: int, shift: float = 0.0, rate: float = 0.1, first: int = 1) -> Trace:
    """A run whose loss and logged value wander, the further the later."""
    generator = random.Random(seed)
    records: list[dict[str, Any]] = [{"record": "start", "step": 0, "epoch": 0, "phases": {}}]
    wandering = 0.0
    for step in range(1, STEPS + 1):
        wandering += generator.gauss(0, 1e-3)
        loss = 1 / step + wandering + (shift if step >= first else 0)
        logged = [["training_step", "train_loss", loss + generator.gauss(0, 1e-4), {}]]
        phases = {"loss": {"loss": loss}, "step": {"options": {"0": {"lr": rate}}}, "metrics": {"logged": logged}}
        records.append({"record": "step", "step": step, "epoch": 0, "phases": phases})
    records.append({"record": "end", "step": STEPS, "epoch": 0, "phases": {}})
    header = {"versions": {"torch": "2"}, "level": "default", "deterministic": False}
    return Trace(Path(f"{seed}.trace"), header, records)


def test_fifty_repetitions_raise_no_alarm() -> None:
    alarms = [compare_within_noise([noisy(20 * i + j) for j in range(10)], noisy(20 * i + 19)).first for i in range(50)]
    assert [alarm for alarm in alarms if alarm] == []


def test_a_shift_beyond_the_floor_is_found_where_it_begins() -> None:
    found = compare_within_noise([noisy(i) for i in range(5)], noisy(99, shift=0.05, first=11))
    assert found.first and found.first.phase == "loss" and found.first.step in (11, 12)
    assert found.noise and found.noise["outside"] > max(found.noise["outside_of_old_runs"])


def test_what_all_old_runs_agree_on_has_no_floor() -> None:
    found = compare_within_noise([noisy(i) for i in range(5)], noisy(99, rate=0.1 * (1 + 1e-12)))
    assert found.first and (found.first.step, found.first.phase, found.first.quantity) == (1, "step", "options")


def test_too_few_old_runs() -> None:
    with pytest.raises(TraceError, match="at least 3"):
        compare_within_noise([noisy(1), noisy(2)], noisy(3))


def test_an_old_run_of_something_else() -> None:
    short = noisy(2)
    del short.records[5:]
    with pytest.raises(TraceError, match="no repetition"):
        compare_within_noise([noisy(1), short, noisy(4)], noisy(3))
