"""`PLCoreVisionModel` and `MultiDatasetPLCore` train, save and load on today's Lightning, under either of its names."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import lightning.pytorch
import pytest
import pytorch_lightning
import torch
from torch import nn
from torch.utils.data import DataLoader

from legacy.lightning import classes
from tests.legacy.matrix.data import CELLS, SESSIONS, batches, dataset_configs, model_config, rates
from tests.legacy.matrix.make import trainer
from visioncore.models import build_model

SPACES: dict[str, Any] = {"lightning": lightning.pytorch, "pytorch_lightning": pytorch_lightning}
KINDS = ("PLCoreVisionModel", "MultiDatasetPLCore")


def module(kind: str, space: str = "pytorch_lightning", **more: Any) -> Any:
    torch.manual_seed(0)
    arguments: dict[str, Any] = {"model_class": build_model, "model_config": model_config(kind), **more}
    if kind == "MultiDatasetPLCore":
        arguments.setdefault("dataset_configs", dataset_configs())
    return getattr(classes(space), kind)(**arguments)


def fitted(made: Any, space: str, kind: str, val: bool = True) -> Any:
    fit = trainer(SPACES[space], 2)
    loaders = [DataLoader(batches(kind), batch_size=None) for _ in range(2)]
    fit.fit(made, *loaders[: 1 + val])
    return fit


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("space", SPACES)
def test_trains_saves_and_loads(tmp_path: Path, kind: str, space: str) -> None:
    made = module(kind, space, eval_modules=[object()], viz_n_epochs=0)
    before = {name: value.clone() for name, value in made.named_parameters()}
    fit = fitted(made, space, kind)
    assert fit.global_step == 6 and any(not torch.equal(before[name], value) for name, value in made.named_parameters())
    fit.save_checkpoint(tmp_path / "a.ckpt")
    saved = torch.load(tmp_path / "a.ckpt", weights_only=True)["hyper_parameters"]
    assert saved["model_class"] == "visioncore.models:build_model" and saved["eval_modules"] == []
    assert not any(saved["model_config"]["compat"].values())
    again = type(made).load_from_checkpoint(tmp_path / "a.ckpt", weights_only=True)
    assert all(torch.equal(a, b) for a, b in zip(rates(made, kind), rates(again, kind), strict=True))


@pytest.mark.parametrize("kind", KINDS)
def test_logs_what_it_always_logged(kind: str) -> None:
    fit = fitted(module(kind, viz_n_epochs=0), "pytorch_lightning", kind)
    if kind == "PLCoreVisionModel":
        expected = {"train_loss", "train_loss_step", "train_loss_epoch", "train_bps", "val_loss", "val_bps"}
    else:
        expected = {"train_loss_total", "train_loss_total_step", "train_loss_total_epoch", "val_loss_total"}
        for tag in ("train", "val"):
            expected |= {f"{tag}_loss_{name}" for name in SESSIONS} | {f"{tag}_bps_overall"}
            expected |= {f"{tag}_bps_dataset_{index}" for index in range(2)}
    assert set(fit.callback_metrics) == expected
    assert all(math.isfinite(value) for value in fit.callback_metrics.values())
    if kind == "PLCoreVisionModel":
        assert fit.callback_metrics["val_bps"] >= 0


def test_a_module_of_one_name_is_refused_by_the_other() -> None:
    with pytest.raises(TypeError, match="LightningModule"):
        fitted(module("PLCoreVisionModel", "lightning"), "pytorch_lightning", "PLCoreVisionModel")


def test_the_loss_of_several_sessions_is_their_mean() -> None:
    made = module("MultiDatasetPLCore")
    made.log = lambda *arguments, **more: None
    batch = batches("MultiDatasetPLCore")[0]
    losses = [made.loss_fn(made(dict(each), index)) for index, each in enumerate(batch.values())]
    torch.testing.assert_close(made.training_step(batch, 0), sum(losses) / 2)
    bare = made.training_step(dict(batch[SESSIONS[0]]), 0)
    torch.testing.assert_close(bare, losses[0] / 2)


class Silent(nn.Module):
    def forward(self, stim: torch.Tensor, index: int, behavior: torch.Tensor) -> torch.Tensor:
        return torch.zeros(len(stim), CELLS)


def test_validation_rates_of_several_sessions_are_clamped() -> None:
    made = module("MultiDatasetPLCore")
    made.log = lambda *arguments, **more: None
    made.model = Silent()
    batch = batches("MultiDatasetPLCore")[0]
    robs = batch[SESSIONS[0]]["robs"]
    expected = (1e-4 - robs * math.log(1e-4 + 1e-8)).mean()
    found = made.validation_step({SESSIONS[0]: batch[SESSIONS[0]]}, 0)
    torch.testing.assert_close(found, expected / 2)


class Single(nn.Module):
    """A stand-in for a network: rates that do not depend on the stimulus, and a modulator with an error."""

    def __init__(self, error: float | None = None, fail: bool = False) -> None:
        super().__init__()
        self.rate = nn.Parameter(torch.ones(CELLS))
        self.activation, self.fail = nn.Softplus(), fail
        self.seen: list[torch.Tensor] = []
        if error is not None:
            self.modulator = nn.Identity()
            self.modulator.pred_err = torch.full((3,), error)

    def forward(self, stim: torch.Tensor, behavior: torch.Tensor | None = None) -> torch.Tensor:
        if self.fail:
            raise RuntimeError("out of memory, say")
        self.seen.append(stim)
        return self.rate.expand(len(stim), -1)


def single(**more: Any) -> Any:
    made = classes("pytorch_lightning").PLCoreVisionModel(model=Single(**more), model_config={"lambda_pred": 0.5})
    made.log = lambda *arguments, **keywords: None
    return made


def test_the_prediction_error_is_part_of_the_loss() -> None:
    batch = batches("PLCoreVisionModel")[0]
    plain, predictive = single().training_step(dict(batch), 0), single(error=2.0).training_step(dict(batch), 0)
    torch.testing.assert_close(predictive - plain, torch.tensor(0.5 * 4))


def test_nan_in_the_stimulus_become_zero() -> None:
    made, batch = single(), batches("PLCoreVisionModel")[0]
    batch["stim"][0] = math.nan
    assert made(batch)["rhat"].shape == (5, CELLS)
    assert not made.model.seen[0][0].any() and made.model.seen[0][1].any()


def test_a_network_that_raises_gives_tiny_rates(capsys: pytest.CaptureFixture[str]) -> None:
    rhat = single(fail=True)(batches("PLCoreVisionModel")[0])["rhat"]
    assert rhat.requires_grad and torch.equal(rhat, torch.full((5, CELLS), 1e-6))
    assert "out of memory, say" in capsys.readouterr().out


def test_a_nan_loss_ends_the_training() -> None:
    made, batch = single(), batches("PLCoreVisionModel")[0]
    batch["robs"][0, 0] = math.nan
    with pytest.raises(KeyboardInterrupt):
        made.training_step(batch, 0)


def test_evaluation_modules_are_called_every_so_many_validations() -> None:
    calls: list[int] = []

    class Drawing:
        def wandb_logs(self, module: Any) -> None:
            calls.append(module.current_epoch)

    fitted(module("PLCoreVisionModel", eval_modules=[Drawing()], viz_n_epochs=2), "pytorch_lightning", KINDS[0])
    assert calls == [0]


@pytest.mark.parametrize(
    "name, optimizer", [("AdamW", torch.optim.AdamW), ("Adam", torch.optim.Adam), ("SGD", torch.optim.SGD)]
)
def test_optimizers_by_name(name: str, optimizer: type) -> None:
    made = module("PLCoreVisionModel", optimizer=name, optim_kwargs={"lr": 0.5}).configure_optimizers()
    assert type(made) is optimizer and made.param_groups[0]["lr"] == 0.5


def test_the_default_optimizer() -> None:
    group = module("PLCoreVisionModel").configure_optimizers().param_groups[0]
    assert (group["lr"], group["weight_decay"]) == (1e-3, 1e-4)


def test_an_unknown_optimizer_is_told_at_once() -> None:
    with pytest.raises(ValueError, match="'Lion' is unknown: AdamW, Adam, SGD"):
        module("PLCoreVisionModel", optimizer="Lion")


@pytest.mark.parametrize("kind", KINDS)
def test_there_must_be_a_network(kind: str) -> None:
    with pytest.raises(ValueError, match="model_config"):
        getattr(classes(), kind)()


def test_a_name_out_of_a_checkpoint_is_not_imported(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"this:that.*builder="):
        module("PLCoreVisionModel", model_class="this:that")


def test_names_of_other_namespaces() -> None:
    with pytest.raises(ValueError, match="'tensorflow'"):
        classes("tensorflow")
    assert classes() is classes("pytorch_lightning")  # both are imported here
