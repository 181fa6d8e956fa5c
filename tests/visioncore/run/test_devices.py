from __future__ import annotations

from typing import Any

import pytest

from visioncore.run.devices import Devices, Machine, choose, strategy
from visioncore.run.settings import SettingsError, from_values

LAPTOP, SERVER = Machine(cuda=0, mps=False, cores=4), Machine(cuda=4, mps=False, cores=32)


def test_by_default_what_there_is() -> None:
    assert (choose(from_values({}), SERVER).accelerator, choose(from_values({}), SERVER).count) == ("cuda", 2)
    laptop = choose(from_values({}), LAPTOP)
    assert (laptop.accelerator, laptop.count, laptop.workers) == ("cpu", 1, 0) and "no GPU" in laptop.notes[0]


def test_one_gpu_of_the_usual_two() -> None:
    chosen = choose(from_values({}), Machine(cuda=1, mps=False, cores=8))
    assert chosen.count == 1 and "1 of the usual 2" in chosen.notes[0]


@pytest.mark.parametrize(
    ("values", "machine", "sentence"),
    [
        ({"num_gpus": 8}, SERVER, "num_gpus 8: this machine has 4"),
        ({"num_gpus": 2}, LAPTOP, "--device cpu trains 2 processes"),
        ({"device": "cuda"}, LAPTOP, "this machine has none"),
        ({"num_workers": 5}, LAPTOP, "this machine has 4 cores; 4 or fewer"),
        ({"num_workers": 9, "num_gpus": 4}, SERVER, "8 or fewer"),
        ({"precision": "16"}, LAPTOP, "for GPUs"),
    ],
)
def test_more_than_there_is(values: dict[str, Any], machine: Machine, sentence: str) -> None:
    with pytest.raises(SettingsError, match=sentence):
        choose(from_values(values), machine)


def test_two_processes_on_a_processor() -> None:
    chosen = choose(from_values({"num_gpus": 2, "device": "cpu"}), LAPTOP)
    assert (chosen.accelerator, chosen.count) == ("cpu", 2)


def test_the_usual_workers_fit_the_cores() -> None:
    assert choose(from_values({}), SERVER).workers == 16
    assert choose(from_values({}), Machine(cuda=1, mps=False, cores=8)).workers == 7, "one core trains"


@pytest.mark.parametrize(
    ("given", "meant"), [("bf16", "bf16-mixed"), ("16", "16-mixed"), ("32", "32"), ("bf16-mixed", "bf16-mixed")]
)
def test_precisions_have_always_been_the_mixed_ones(given: str, meant: str) -> None:
    assert choose(from_values({"precision": given}), SERVER).precision == meant


@pytest.mark.parametrize(
    ("values", "count", "ddp"),
    [({}, 1, False), ({}, 2, True), ({"num_nodes": 2}, 1, True), ({"compat": "all"}, 1, True)],
)
def test_ddp_where_there_are_several_or_the_old_trainer_is_meant(values: dict[str, Any], count: int, ddp: bool) -> None:
    chosen = strategy(from_values(values), Devices("cpu", count, "32", 0))
    assert (chosen != "auto") == ddp
    if ddp:
        assert chosen._ddp_kwargs["find_unused_parameters"] and chosen.process_group_backend == "gloo"
