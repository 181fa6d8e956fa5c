"""Runs that are not deterministic: what is claimed of false alarms, and what is found."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regression.compare.departures import departures, leads
from regression.compare.judge import Comparison
from regression.compare.noise import compare_within_noise
from regression.trace import Trace, TraceError
from tests.regression.made import HEADER, whole

STEPS = 12
Values = dict[str, Any]
Run = Callable[[random.Random, int], Values]


def wandering(generator: random.Random, step: int) -> Values:
    """Every value is off in every run."""
    return {f"v{i}": (1 + i) * (1 + 1e-7 * step * generator.gauss(0, 1)) for i in range(5)}


def rarely(chance: float, generator: random.Random, step: int) -> Values:
    """Most values are the same to the bit in all runs."""
    return {f"v{i}": (1 + i) * (1 + 1e-7 * generator.random() * (generator.random() < chance)) for i in range(5)}


def of_two(generator: random.Random, step: int) -> Values:
    """As an addition has it that goes in one of two orders."""
    return {f"v{i}": (1 + i) * (1 + 1e-7 * generator.choice([0, 1])) for i in range(5)}


NOISES: dict[str, Run] = {
    "wandering": wandering, "of two": of_two, "rare": partial(rarely, 0.1), "very rare": partial(rarely, 0.005),
}  # fmt: skip


def run(noise: Run, seed: int, fault: Callable[[int, dict[str, Any]], None] = lambda step, phases: None) -> Trace:
    generator, steps = random.Random(seed), []
    for step in range(1, STEPS + 1):
        values = noise(generator, step)
        phases = {"loss": {"loss": values["v0"]}, "backward": {"g": values}, "step": {"options": {"0": {"lr": 0.1}}}}
        fault(step, phases)
        steps.append(phases)
    header = {**HEADER, "deterministic": False}
    return Trace(Path(f"{seed}.trace"), header, whole(*steps)[1:])


def judged(noise: Run, k: int, seed: int, **fault: Any) -> Comparison:
    return compare_within_noise([run(noise, 1000 * seed + i) for i in range(k)], run(noise, 1000 * seed + k, **fault))


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("k", [3, 6])
def test_false_alarms_are_no_more_than_one_in_the_number_of_runs(noise: str, k: int) -> None:
    """Of 60 repetitions, where 1 / (k + 1) is the bound: the count may be two standard deviations above it."""
    n, bound = 60, 1 / (k + 1)
    alarms = sum(not judged(NOISES[noise], k, seed).same for seed in range(n))
    assert alarms <= n * bound + 2 * (n * bound * (1 - bound)) ** 0.5


NUMBERS = st.sampled_from([0.0, 1.0, 1.0 + 1e-7, 2.0, 50.0, float("nan"), float("inf")])


@given(st.lists(st.lists(NUMBERS, min_size=3, max_size=3), min_size=4, max_size=6), st.data())
def test_the_new_run_is_measured_as_each_of_the_old_ones(rows: list[list[float]], data: st.DataObject) -> None:
    """The lead goes with the run and not with its place, on which the bound rests; at most one run leads."""
    tables = [{("step", i, 0, ("loss", "loss", "")): value for i, value in enumerate(row)} for row in rows]
    order = data.draw(st.permutations(range(len(rows))))
    one, other = leads(departures(tables)), leads(departures([tables[i] for i in order]))
    assert [one[i] for i in order] == other
    assert sum(lead > max([*one[:i], *one[i + 1 :]]) for i, lead in enumerate(one)) <= 1


def no_number(value: float, step: int, phases: dict[str, Any]) -> None:
    if step == 7:
        phases["backward"]["g"]["v3"] = value


def absent(step: int, phases: dict[str, Any]) -> None:
    if step == 7:
        del phases["backward"]["g"]["v3"]


def added(step: int, phases: dict[str, Any]) -> None:
    phases["loss"]["another"] = 1.0


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize(
    "fault", [partial(no_number, float("nan")), partial(no_number, float("inf")), absent, added], ids=["nan", "inf", "absent", "added"]
)  # fmt: skip
def test_what_is_no_number_or_not_there_is_told_whatever_the_noise(noise: str, fault: Any) -> None:
    for seed in range(5):
        found = judged(NOISES[noise], 3, seed, fault=fault)
        assert found.noise and found.noise["not_finite_or_absent"]
        assert (1 if fault is added else 7) in [d.step for d in found.divergences]


def shifted(step: int, phases: dict[str, Any]) -> None:
    """By ten times the distance that old runs have, at the step where it is largest, of one value."""
    if step >= 6:
        phases["backward"]["g"]["v3"] += 4 * 10 * 3.2e-7 * step


@pytest.mark.parametrize("noise", NOISES)
def test_a_shift_of_ten_envelopes_is_found(noise: str) -> None:
    found = [judged(NOISES[noise], 6, seed, fault=shifted).first for seed in range(20)]
    assert sum(first is not None and first.phase == "backward" for first in found) >= 19


def once(step: int, phases: dict[str, Any]) -> None:
    if step == 7:
        phases["step"]["options"]["0"]["lr"] = 0.1 * (1 + 1e-6)


def test_a_value_that_no_old_run_ever_changed_is_found_with_three_of_them() -> None:
    found = judged(lambda generator, step: {"v0": 1.0}, 3, 0, fault=once)
    assert found.first and (found.first.step, found.first.quantity) == (7, "options")
    assert found.noise and found.noise["chance_of_a_false_alarm"] == "at most 0.25"


def test_a_value_that_no_old_run_ever_changed_is_found_beside_noise() -> None:
    found = [judged(wandering, 6, seed, fault=once).first for seed in range(10)]
    assert [first.quantity for first in found if first] == ["options"] * 10


def test_a_value_that_an_old_run_has_changed_is_not_told_from_chance() -> None:
    olds = [run(lambda generator, step: {"v0": 1.0}, i, once if not i else lambda step, phases: None) for i in range(4)]
    assert compare_within_noise(olds, run(lambda generator, step: {"v0": 1.0}, 9, once)).same


def test_runs_that_agree_to_the_bit_are_the_same() -> None:
    assert compare_within_noise([run(wandering, 1)] * 4, run(wandering, 1)).same


def test_too_few_old_runs() -> None:
    with pytest.raises(TraceError, match="at least 3"):
        compare_within_noise([run(wandering, 1), run(wandering, 2)], run(wandering, 3))


def test_an_old_run_of_something_else() -> None:
    short = run(wandering, 2)
    del short.records[5:]
    with pytest.raises(TraceError, match="no repetition"):
        compare_within_noise([run(wandering, 1), short, run(wandering, 4)], run(wandering, 3))


def test_a_new_run_that_was_killed_is_not_the_same_within_noise() -> None:
    killed = run(wandering, 9)
    del killed.records[5:]
    found = compare_within_noise([run(wandering, i) for i in range(4)], killed)
    assert not found.same and (
        "ends after step 4" in found.incomparable or "ends after step 4" in " ".join(found.notes)
    )
