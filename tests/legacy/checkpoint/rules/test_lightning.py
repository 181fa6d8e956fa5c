"""Lightning's own upgrades, one by one; real files of the old versions are in `test_old_lightnings`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from legacy.checkpoint.rules.lightning import UPGRADES, version_of
from tests.legacy.checkpoint.rules.support import applied, translated

W = torch.arange(6.0)


def saved(version: str, **more: Any) -> dict[str, Any]:
    return {"pytorch-lightning_version": version, "epoch": 2, "global_step": 4, "state_dict": {"a": W}, **more}


@pytest.mark.parametrize(
    "low, high",
    [("1.9.5", "1.10.0"), ("1.5.0rc1", "1.5.0"), ("1.5.0.dev", "1.5.0"), ("0.9", "0.9.1"), ("1.5.0", "2.0")],
)
def test_versions_in_order(low: str, high: str) -> None:
    assert version_of(low) < version_of(high)


def test_the_index_is_in_order_and_every_upgrade_names_its_version() -> None:
    assert list(UPGRADES) == sorted(UPGRADES, key=version_of)
    for version, steps in UPGRADES.items():
        assert all(step.__doc__ and step.__doc__.startswith(version.removesuffix(".0")) for step in steps)


def test_callback_states_of_before_0_10(tmp_path: Path) -> None:
    old = saved(
        "0.9.0",
        checkpoint_callback_best_model_score=torch.tensor(0.5),
        checkpoint_callback_best_model_path="a.ckpt",
        early_stop_callback_wait=2,
        early_stop_callback_patience=3,
    )
    loaded, report = translated(tmp_path, old)
    assert [warning.split(" will")[0] for warning in report.warnings] == [
        "the state of ModelCheckpoint",
        "the state of EarlyStopping",
    ]
    assert loaded["callbacks"]["EarlyStopping"] == {"wait_count": 2, "patience": 3}
    assert loaded["callbacks"]["ModelCheckpoint"] == {
        "best_model_score": torch.tensor(0.5),
        "best_model_path": "a.ckpt",
    }
    assert not any(key.startswith(("checkpoint_callback", "early_stop")) for key in loaded)


class Callback:
    """A user's own: up to 1.4 the class itself was the key."""


@pytest.mark.parametrize("best, current, mode", [(0.5, 0.7, "min"), (0.7, 0.5, "max"), (0.5, 0.5, "min")])
def test_callback_classes_as_names(tmp_path: Path, best: float, current: float, mode: str) -> None:
    from pytorch_lightning.callbacks import ModelCheckpoint

    state = {"monitor": "val_loss", "best_model_score": torch.tensor(best), "current_score": torch.tensor(current)}
    loaded, report = translated(tmp_path, saved("1.4.9", callbacks={ModelCheckpoint: state, Callback: {"x": 1}}))
    assert loaded["callbacks"]["Callback"] == {"x": 1}
    key = ModelCheckpoint(monitor="val_loss", mode=mode).state_key
    assert key in loaded["callbacks"], list(loaded["callbacks"])
    assert len(applied(report)["lightning-upgrade: callback-classes-as-names"]) == 2


@pytest.mark.parametrize("best, found", [(0.5, True), (0.4, False)])
def test_early_stopping_watches_what_has_the_best_score(tmp_path: Path, best: float, found: bool) -> None:
    from pytorch_lightning.callbacks import EarlyStopping, ModelCheckpoint

    saving = {"monitor": "val_loss", "best_model_score": torch.tensor(0.5), "current_score": torch.tensor(0.7)}
    stopping = {"wait_count": 1, "stopped_epoch": 0, "best_score": torch.tensor(best), "patience": 3}
    old = saved("1.4.9", callbacks={EarlyStopping: stopping, ModelCheckpoint: saving})
    loaded, report = translated(tmp_path, old)
    key = EarlyStopping(monitor="val_loss", mode="min").state_key
    assert (key in loaded["callbacks"]) == found and ("EarlyStopping" in loaded["callbacks"]) != found
    assert any("EarlyStopping will not be restored" in warning for warning in report.warnings) != found


def test_a_model_checkpoint_that_monitored_nothing(tmp_path: Path) -> None:
    from pytorch_lightning.callbacks import ModelCheckpoint

    loaded, _ = translated(
        tmp_path, saved("1.0.7", callbacks={ModelCheckpoint: {"monitor": None, "best_model_path": "a"}})
    )
    assert list(loaded["callbacks"]) == [ModelCheckpoint().state_key]


def test_two_callbacks_of_one_name(tmp_path: Path) -> None:
    from pytorch_lightning.callbacks import EarlyStopping

    class Other(Callback):
        pass

    Other.__qualname__ = Other.__name__ = "EarlyStopping"
    Other.__module__ = __name__
    globals()["EarlyStopping"] = Other
    loaded, _ = translated(tmp_path, saved("1.4.9", callbacks={EarlyStopping: {"x": 1}, Other: {"x": 2}}))
    assert loaded["callbacks"] == {"EarlyStopping": {"x": 1}, f"{__name__}.EarlyStopping": {"x": 2}}


@pytest.mark.parametrize("stored, counted", [(4, 4), (5, 4), (5, None)])
def test_counts_become_loops(tmp_path: Path, stored: int, counted: int | None) -> None:
    state = {0: {"exp_avg": W} | ({} if counted is None else {"step": counted})}
    old = saved("1.5.10", global_step=stored, optimizer_states=[{"state": state, "param_groups": [{"params": [0]}]}])
    loaded, _ = translated(tmp_path, old)
    steps = stored if counted is None else counted
    fit = loaded["loops"]["fit_loop"]
    assert loaded["global_step"] == steps
    assert fit["epoch_progress"]["current"]["completed"] == 2
    assert fit["epoch_loop.batch_progress"]["total"]["completed"] == steps
    assert fit["epoch_loop.automatic_optimization.optim_progress"]["optimizer"]["step"]["total"]["completed"] == steps
    assert fit["epoch_loop.state_dict"]["_batches_that_stepped"] == steps


def test_steps_of_two_optimizers_add_up(tmp_path: Path) -> None:
    one = {"state": {0: {"step": torch.tensor(3.0)}}, "param_groups": [{"params": [0]}]}
    loaded, _ = translated(tmp_path, saved("1.5.10", global_step=7, optimizer_states=[one, one]))
    assert loaded["global_step"] == 6


def test_batches_that_stepped(tmp_path: Path) -> None:
    loops = {"fit_loop": {"epoch_loop.state_dict": {}, "epoch_progress": {}}}
    loaded, _ = translated(tmp_path, saved("1.6.0", loops=loops))
    assert loaded["loops"]["fit_loop"]["epoch_loop.state_dict"] == {"_batches_that_stepped": 4}


@pytest.mark.parametrize("value", ["None", "True", "False"])
def test_model_checkpoints_key(tmp_path: Path, value: str) -> None:
    from pytorch_lightning.callbacks import ModelCheckpoint

    new = ModelCheckpoint(monitor="a").state_key
    old = new[:-1] + f", 'save_on_train_epoch_end': {value}}}"
    loaded, _ = translated(tmp_path, saved("1.8.0", callbacks={old: {"x": 1}}))
    assert loaded["callbacks"] == {new: {"x": 1}}


def test_model_checkpoints_that_would_fall_together_are_told(tmp_path: Path) -> None:
    keys = [f"ModelCheckpoint{{'monitor': 'a', 'save_on_train_epoch_end': {value}}}" for value in (True, False)]
    loaded, report = translated(tmp_path, saved("1.8.0", callbacks={key: {"x": 1} for key in keys}))
    assert list(loaded["callbacks"]) == keys and "differ in save_on_train_epoch_end alone" in report.warnings[0]


def test_apex_is_dropped(tmp_path: Path) -> None:
    loaded, _ = translated(tmp_path, saved("1.9.0", amp_scaling_state={"a": 1}))
    assert "amp_scaling_state" not in loaded


def test_loops_are_flattened(tmp_path: Path) -> None:
    fit = {
        "epoch_loop.batch_loop.state_dict": {"x": 1},
        "epoch_loop.batch_loop.optimizer_loop.state_dict": {},
        "epoch_loop.batch_loop.optimizer_loop.optim_progress": {
            "optimizer": {"step": {"total": {}}},
            "optimizer_position": 0,
        },
        "epoch_loop.batch_loop.manual_loop.state_dict": {},
        "epoch_loop.val_loop.dataloader_progress": {},
        "epoch_loop.val_loop.epoch_loop.batch_progress": {},
        "epoch_loop.state_dict": {"_batches_that_stepped": 4},
    }
    validate = {"dataloader_progress": {}, "epoch_loop.state_dict": {}, "epoch_loop.batch_progress": {}}
    loaded, _ = translated(tmp_path, saved("1.9.0", loops={"fit_loop": fit, "validate_loop": validate}))
    assert loaded["loops"] == {
        "fit_loop": {
            "epoch_loop.automatic_optimization.state_dict": {},
            "epoch_loop.automatic_optimization.optim_progress": {"optimizer": {"step": {"total": {}}}},
            "epoch_loop.manual_optimization.state_dict": {},
            "epoch_loop.val_loop.batch_progress": {},
            "epoch_loop.state_dict": {"_batches_that_stepped": 4, "old_batch_loop_state_dict": {"x": 1}},
        },
        "validate_loop": {"state_dict": {}, "batch_progress": {}},
    }


@pytest.mark.parametrize("version", ["2.0.0", "2.6.6"])
def test_what_is_new_is_left(tmp_path: Path, version: str) -> None:
    loaded, report = translated(tmp_path, saved(version, callbacks={"A": {}}))
    assert report.rules == [] and "legacy_pytorch-lightning_version" not in loaded


@pytest.mark.parametrize(
    "more", [{"epoch": "two"}, {"global_step": None}, {"loops": []}, {"callbacks": 3}, {"loops": {"fit_loop": 3}}]
)
def test_odd_values_do_not_disturb(tmp_path: Path, more: dict[str, Any]) -> None:
    assert translated(tmp_path, saved("1.4.0", **more))[0]["pytorch-lightning_version"] == "2.0.0"
