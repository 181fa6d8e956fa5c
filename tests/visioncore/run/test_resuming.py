from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from visioncore.run.resuming import check_resumable, checkpoint_to_resume, going_on, saved_step
from visioncore.run.settings import SettingsError, from_values


def test_nothing_to_resume() -> None:
    assert checkpoint_to_resume(from_values({})) is None and saved_step(None) is None


def test_auto_takes_the_runs_last_checkpoint_if_there_is_one(tmp_path: Path) -> None:
    settings = from_values({"resume": "auto", "checkpoint_dir": str(tmp_path), "experiment_name": "run"})
    assert checkpoint_to_resume(settings) is None
    (tmp_path / "run").mkdir()
    for age, name in enumerate(("last.ckpt", "last-v1.ckpt")):
        (tmp_path / "run" / name).touch()
        os.utime(tmp_path / "run" / name, (age, age))
    assert checkpoint_to_resume(settings) == str(tmp_path / "run" / "last-v1.ckpt")


def test_a_checkpoint_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"nope\.ckpt is no checkpoint file"):
        checkpoint_to_resume(from_values({"resume": str(tmp_path / "nope.ckpt")}))
    (tmp_path / "text.ckpt").write_text("not a checkpoint")
    torch.save({"weights": 1}, tmp_path / "weights.ckpt")
    for name in ("text.ckpt", "weights.ckpt"):
        with pytest.raises(SettingsError, match="no checkpoint that can be gone on from"):
            saved_step(str(tmp_path / name))


def test_the_step_that_was_saved(tmp_path: Path) -> None:
    torch.save({"global_step": 12}, tmp_path / "a.ckpt")
    assert saved_step(str(tmp_path / "a.ckpt")) == 12


def saved(path: Path, network: nn.Module, **parts: Any) -> str:
    """A checkpoint as far as it is looked at."""
    left = {"optimizer_states": [], "lr_schedulers": [], "loops": {}, "epoch": 1, "pytorch-lightning_version": "2.6.1"}
    torch.save({"global_step": 3, "state_dict": network.state_dict(), **left, **parts}, path)
    return str(path)


def test_a_checkpoint_of_the_same_network_is_resumable(tmp_path: Path) -> None:
    check_resumable(None, nn.Linear(2, 3))
    check_resumable(saved(tmp_path / "a.ckpt", nn.Linear(2, 3)), nn.Linear(2, 3))
    compiled = {f"_orig_mod.{name}": weight for name, weight in nn.Linear(2, 3).state_dict().items()}
    check_resumable(saved(tmp_path / "a.ckpt", nn.Linear(2, 3), state_dict=compiled), nn.Linear(2, 3))


@pytest.mark.parametrize(
    ("network", "told"),
    [
        (nn.Linear(2, 4), r"2 weights differ, first weight, \(3, 2\) in the checkpoint and \(4, 2\) in the network"),
        (nn.Linear(2, 3, bias=False), r"1 weights differ, first bias, \(3,\) in the checkpoint and missing"),
    ],
)
def test_a_checkpoint_of_another_network_is_not(tmp_path: Path, network: nn.Module, told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        check_resumable(saved(tmp_path / "a.ckpt", nn.Linear(2, 3)), network)


def test_weights_alone_are_not(tmp_path: Path) -> None:
    torch.save({"global_step": 3, "state_dict": nn.Linear(2, 3).state_dict()}, tmp_path / "a.ckpt")
    with pytest.raises(SettingsError, match="has no optimizer_states, lr_schedulers, loops"):
        check_resumable(str(tmp_path / "a.ckpt"), nn.Linear(2, 3))


def test_what_the_optimiser_keeps_is_what_the_run_says_of_itself(tmp_path: Path) -> None:
    kept = {"lr": 0.5, "wd": 0.25, "core_lr_scale": 1.0}
    checkpoint = saved(tmp_path / "a.ckpt", nn.Linear(2, 3), hyper_parameters=kept)
    before = from_values({"weight_decay": 0.25})
    after = going_on(before, checkpoint)
    assert (after.learning_rate, after.weight_decay, after.folder) == (0.5, 0.25, before.folder)
    assert going_on(before, None) == before
    with pytest.raises(SettingsError, match=r"learning_rate 0\.1: .*a\.ckpt was trained with 0\.5"):
        going_on(from_values({"learning_rate": 0.1}), checkpoint)


@pytest.mark.parametrize("found", [None, "lr", {"lr": None, "wd": "0.1"}])
def test_hyper_parameters_that_tell_nothing_change_nothing(tmp_path: Path, found: object) -> None:
    checkpoint = saved(tmp_path / "a.ckpt", nn.Linear(2, 3), hyper_parameters=found)
    before = from_values({"learning_rate": 0.1})
    after = going_on(before, checkpoint)
    assert (after.learning_rate, after.weight_decay) == (0.1, before.weight_decay)


@pytest.mark.parametrize("name", ["file/run", "a" * 300, "nul\0"])
def test_a_folder_that_cannot_be(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match=r"the run's folder .* cannot be made"):
        from_values({"checkpoint_dir": str(tmp_path), "experiment_name": name}).make_folder()
