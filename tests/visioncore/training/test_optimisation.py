from __future__ import annotations

import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from pytorch_lightning.plugins.precision import MixedPrecision

from tests.visioncore.training.support import batch, logging, model_config, prepare_session, trainer, write_configs
from visioncore.training.lightning import MultiDatasetDM, MultiDatasetModel, multidataset_dm

SHRINK = {"name": "shrink", "type": "proximal_l1", "lambda": 0.5, "apply_to": ["features/weight", "convnet/weight"]}


def module(tmp_path: Path, compat: Any = None, regularization: Any = None, **options: Any) -> MultiDatasetModel:
    config = model_config() if regularization is None else model_config(regularization=regularization)
    model = MultiDatasetModel(*write_configs(tmp_path, config), 1e-2, 1e-3, 30, compat=compat, seed=3, **options)
    model._trainer = SimpleNamespace(max_epochs=4, current_epoch=0, global_rank=0, global_step=0)  # type: ignore[assignment]
    return model


def optimizer_of(model: MultiDatasetModel) -> Any:
    made = model.configure_optimizers()
    return made["optimizer"] if isinstance(made, dict) else made


def test_q1_core_learning_rate(tmp_path: Path) -> None:
    for compat, core in ((None, 1e-3), ("core_lr_scale_ignored", 1e-2)):
        groups = optimizer_of(module(tmp_path, compat, core_lr_scale=0.1)).param_groups
        assert groups[0]["lr"] == pytest.approx(core) and groups[-1]["lr"] == 1e-2


def test_core_is_frontend_convnet_and_modulator(tmp_path: Path) -> None:
    model = module(tmp_path, core_lr_scale=0.5)
    rate = {id(p): group["lr"] for group in optimizer_of(model).param_groups for p in group["params"]}
    assert len(rate) == len(list(model.parameters()))
    for name, parameter in model.model.named_parameters():
        core = name.split(".")[0] in ("frontend", "convnet", "modulator")
        assert rate[id(parameter)] == (5e-3 if core else 1e-2), name


def test_q3_what_is_regularized_gets_no_weight_decay(tmp_path: Path) -> None:
    for compat, excluded in ((None, {"readouts.0.mean", "readouts.1.mean"}), ("weight_decay_on_regularized", set())):
        model = module(tmp_path, compat)
        names = {id(parameter): name for name, parameter in model.model.named_parameters()}
        groups = optimizer_of(model).param_groups
        assert {names[id(p)] for group in groups if group["weight_decay"] == 0 for p in group["params"]} == excluded
        assert {group["weight_decay"] for group in groups} <= {0.0, 1e-3}


def test_the_groups_have_no_names(tmp_path: Path) -> None:
    """The learning-rate monitor would show them in the place of pg1, pg2."""
    assert not any("name" in group for group in optimizer_of(module(tmp_path)).param_groups)


def test_q4_prox_once_a_step_with_the_rate_of_the_parameters_group(tmp_path: Path) -> None:
    shrunk = {}
    for compat in (None, "prox_per_group"):
        model = module(tmp_path, compat, [SHRINK], core_lr_scale=0.1)
        optimizer = optimizer_of(model)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.fill_(1.0)
        model._prox(optimizer)
        moved = {name: 1 - float(p.detach().flatten()[0]) for name, p in model.model.named_parameters()}
        shrunk[compat] = {
            part: value
            for name, value in moved.items()
            for part in ("features", "convnet")
            if part in name and "weight" in name
        }
    assert shrunk[None] == {
        "convnet": pytest.approx(0.5 * 1e-3, rel=1e-3),
        "features": pytest.approx(0.5 * 1e-2, rel=1e-3),
    }
    both = pytest.approx(0.5 * (1e-3 + 1e-2), rel=1e-3)
    assert shrunk["prox_per_group"] == {"convnet": both, "features": both}


def test_prox_leaves_frozen_parameters_alone(tmp_path: Path) -> None:
    model = module(tmp_path, None, [SHRINK])
    optimizer = optimizer_of(model)
    weight = model.model.get_parameter("readouts.0.features.weight")
    weight.requires_grad = False
    before = weight.clone()
    model._prox(optimizer)
    assert torch.equal(weight, before)


def fit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compat: Any, scaler: Any = None, **options: Any
) -> tuple[Any, Any, Any]:
    monkeypatch.setattr(multidataset_dm, "prepare_session", prepare_session)
    paths = write_configs(tmp_path, model_config(regularization=[SHRINK | {"lambda": 1e-3}]))
    model = MultiDatasetModel(*paths, 1e-2, 1e-3, 30, compat=compat, seed=3)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    plugins = [] if scaler is None else [MixedPrecision("16-mixed", "cpu", scaler)]
    run = trainer(1, plugins=plugins, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        run.fit(model, datamodule=MultiDatasetDM(paths[1], 30, 8, 0, 3, compat=compat))
    return run, model, before


@pytest.mark.parametrize(("compat", "steps"), [(None, True), ("step_without_closure", False)])
def test_q5_a_gradient_scaler_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compat: Any, steps: bool) -> None:
    run, model, before = fit(tmp_path, monkeypatch, compat, torch.amp.GradScaler("cpu"))
    assert run.global_step == 3
    assert bool(run.optimizers[0].state) == steps
    bias = "model.readouts.0.bias"
    assert torch.equal(model.state_dict()[bias], before[bias]) != steps


class Overflow(torch.amp.GradScaler):
    """Every gradient overflows."""

    def unscale_(self, optimizer: Any) -> None:
        super().unscale_(optimizer)
        found = self._per_optimizer_states[id(optimizer)]["found_inf_per_device"]
        for value in found.values():
            value.fill_(1.0)


def test_q5_no_prox_behind_a_step_that_was_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, model, before = fit(tmp_path, monkeypatch, None, Overflow("cpu"))
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize("compat", [None, "step_without_closure,prox_per_group"])
def test_prox_follows_every_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compat: Any) -> None:
    calls: list[int] = []
    monkeypatch.setattr(MultiDatasetModel, "_prox", lambda self, optimizer: calls.append(self.trainer.global_step))
    run, _, _ = fit(tmp_path, monkeypatch, compat, limit_train_batches=6, accumulate_grad_batches=2)
    assert len(calls) == run.global_step == 3


def test_both_ways_to_step_give_the_same_parameters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    both = [fit(tmp_path, monkeypatch, compat)[1].state_dict() for compat in (None, "step_without_closure")]
    assert all(torch.equal(value, both[1][name]) for name, value in both[0].items())


@pytest.mark.parametrize(
    ("kind", "name"),
    [("step", "StepLR"), ("cosine", "CosineAnnealingLR"), ("cosine_warmup", "LinearWarmupCosineAnnealingLR")],
)
def test_schedules_are_stepped_once_an_epoch(tmp_path: Path, kind: str, name: str) -> None:
    made = module(tmp_path, lr_scheduler=kind, warmup_epochs=2).configure_optimizers()["lr_scheduler"]
    assert type(made["scheduler"]).__name__ == name and made["interval"] == "epoch"
    if kind == "cosine_warmup":
        assert (made["scheduler"].warmup_epochs, made["scheduler"].max_epochs) == (2, 4)


def test_q9_plateau_works(tmp_path: Path) -> None:
    made = module(tmp_path, lr_scheduler="plateau").configure_optimizers()["lr_scheduler"]
    assert made["monitor"] == "val_loss" and (made["scheduler"].factor, made["scheduler"].patience) == (0.5, 3)
    with pytest.raises(TypeError, match="verbose"):
        module(tmp_path, "plateau_verbose", lr_scheduler="plateau").configure_optimizers()


def test_no_schedule(tmp_path: Path) -> None:
    assert isinstance(module(tmp_path).configure_optimizers(), torch.optim.AdamW)


def test_misspelt_schedule(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"lr_scheduler 'cosin' is unknown; .*; did you mean 'cosine'\?"):
        module(tmp_path, lr_scheduler="cosin")


def test_a_cosine_needs_an_end(tmp_path: Path) -> None:
    model = module(tmp_path, lr_scheduler="cosine")
    model.trainer.max_epochs = -1  # type: ignore[misc]
    with pytest.raises(ValueError, match="comes down over max_epochs, and the Trainer has none"):
        model.configure_optimizers()


def test_prox_is_not_part_of_the_graph(tmp_path: Path) -> None:
    model = module(tmp_path, None, [SHRINK])
    logging(model)
    optimizer = optimizer_of(model)
    model.training_step(batch(), 0).backward()
    optimizer.step()
    assert all(parameter.is_leaf for parameter in model.parameters())
