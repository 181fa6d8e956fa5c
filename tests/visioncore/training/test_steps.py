from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from tests.visioncore.training.support import NAMES, Watch, batch, logging, model_config, trainer, write_configs
from visioncore.compat import Compat
from visioncore.training.lightning import MultiDatasetDM, MultiDatasetModel, multidataset_dm
from visioncore.training.lightning.steps import mean_of_finite

A, B = NAMES


def module(tmp_path: Path, compat: Any = None, **config: Any) -> MultiDatasetModel:
    paths = write_configs(tmp_path, model_config(**{"regularization": [], **config}))
    return MultiDatasetModel(*paths, 1e-2, 1e-3, 30, compat=compat, seed=3).train()


def losses(model: MultiDatasetModel, groups: list[dict[str, Tensor]]) -> list[Tensor]:
    out = []
    for group in groups:
        rhat = model(group["stim"], int(group["dataset_idx"][0]), group["behavior"])
        out.append(torch.nn.functional.poisson_nll_loss(rhat, group["robs"], log_input=model.log_input))
    return out


def gradients(model: MultiDatasetModel, loss: Tensor) -> dict[str, Tensor]:
    model.zero_grad()
    loss.backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("compat", [None, "all"])
def test_the_step_is_the_mean_over_datasets(tmp_path: Path, compat: Any) -> None:
    model = module(tmp_path, compat)
    logged = logging(model)
    groups = batch()
    groups[1] = {key: value[:2] for key, value in groups[1].items()}
    each = losses(model, groups)
    assert torch.allclose(model.training_step(groups, 0), torch.stack(each).mean())
    assert logged[f"train_loss/{A}"][0] == pytest.approx(each[0].item()) and set(logged) - {"train_loss"} == {
        f"train_loss/{A}",
        f"train_loss/{B}",
    }
    flags = logged[f"train_loss/{B}"][1]
    assert (flags["on_step"], flags["on_epoch"], flags["sync_dist"], flags["rank_zero_only"]) == (
        True,
        True,
        False,
        True,
    )
    assert int(flags["batch_size"]) == 2


def test_q7_train_loss_is_logged(tmp_path: Path) -> None:
    for compat, there in ((None, True), ("heartbeat_key_never_logged", False)):
        model = module(tmp_path, compat)
        logged = logging(model)
        loss = model.training_step(batch(), 0)
        assert ("train_loss" in logged) == there
        assert not there or logged["train_loss"][0] == pytest.approx(loss.item())


@pytest.mark.parametrize("compat", [None, "all"])
def test_penalties_are_added_and_logged(tmp_path: Path, compat: Any) -> None:
    sparse = [{"name": "sparse", "type": "l1", "lambda": 0.5, "apply_to": ["readouts/features"]}]
    model = module(tmp_path, compat, regularization=sparse)
    logged = logging(model)
    loss = model.training_step(batch(), 0)
    penalty = 0.5 * sum(float(r.features.weight.detach().abs().sum()) for r in model.model.readouts)  # type: ignore[union-attr,operator,arg-type]
    assert logged["reg_loss/sparse"][0] == pytest.approx(penalty, rel=1e-5)
    assert float(loss.detach()) == pytest.approx(float(torch.stack(losses(model, batch())).mean()) + penalty, rel=1e-5)


def test_q6_a_penalty_of_zero_was_not_logged(tmp_path: Path) -> None:
    bias = [{"name": "bias", "type": "l1", "lambda": 0.5, "apply_to": ["readouts/bias"]}]
    for compat, there in ((None, True), ("sync_every_step", False)):
        model = module(tmp_path, compat, regularization=bias)
        logged = logging(model)
        model.training_step(batch(), 0)
        assert ("reg_loss/bias" in logged) == there


class Waits(TorchDispatchMode):
    """Counts what would wait for a device: a float or a truth value read by the host, a boolean index."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func._schema.name
        if name == "aten::nonzero" or (name == "aten::_local_scalar_dense" and args[0].dtype != torch.int64):
            self.count += 1
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize(("compat", "waits"), [(None, False), ("sync_every_step", True)])
def test_q6_nothing_in_a_step_waits_for_the_device(tmp_path: Path, compat: Any, waits: bool) -> None:
    sparse = [{"name": "sparse", "type": "l1", "lambda": 0.5, "apply_to": ["readouts/features"]}]
    model = module(tmp_path, compat, modulator="pc", regularization=sparse)
    model.log = lambda *args, **kwargs: None  # type: ignore[method-assign,assignment]
    groups = batch()
    with Waits() as mode:
        model.training_step(groups, 0).backward()
    assert (mode.count > 0) == waits


def test_q14_a_hidden_nan_does_not_skip_the_dataset(tmp_path: Path) -> None:
    groups = batch()
    groups[0]["robs"][0, 0], groups[0]["dfs"][0] = math.nan, 0
    model = module(tmp_path)
    logged = logging(model)
    assert model.training_step(groups, 0).isfinite() and logged[f"train_loss/{A}"][1]["batch_size"] == 5
    old = module(tmp_path, "nan_under_mask_skips,sync_every_step")
    logged = logging(old)
    old.training_step(groups, 0)
    assert f"train_loss/{A}" not in logged and logged[f"train_nan_skip/{A}"][0] == 1


BAD = {
    "target": lambda group: group["robs"].__setitem__((0, 0), math.nan),
    "mask of nothing": lambda group: group["dfs"].zero_(),
    "behavior": lambda group: group["behavior"].__setitem__((0, 0), math.inf),
    "stimulus": lambda group: group["stim"].__setitem__((0, 0, 0, 0, 0), math.nan),
}


@pytest.mark.parametrize("what", BAD)
@pytest.mark.parametrize("modulator", ["concat", "pc"])
def test_a_bad_dataset_leaves_no_trace_in_the_gradients(tmp_path: Path, what: str, modulator: str) -> None:
    model = module(tmp_path, modulator=modulator)
    logged = logging(model)
    groups = batch()
    BAD[what](groups[0])
    mixed = gradients(model, model.training_step(groups, 0))
    alone = gradients(model, model.training_step(groups[1:], 0))
    assert {name for name, value in mixed.items() if value.any()} == {
        name for name, value in alone.items() if value.any()
    }
    assert all(torch.allclose(mixed[name], value, atol=1e-7) for name, value in alone.items())
    assert logged[f"train_loss/{A}"][1]["batch_size"] == 0, "a skipped batch weighs nothing in the epoch's mean"
    model.on_train_epoch_end()
    assert logged[f"train_nan_skip/{A}"][0] == 1 and f"train_nan_skip/{B}" not in logged
    logged.clear()
    model.on_train_epoch_end()
    assert not logged, "counted from the beginning of the epoch"


@pytest.mark.parametrize("compat", [None, "all"])
def test_all_datasets_bad(tmp_path: Path, compat: Any) -> None:
    model = module(tmp_path, compat)
    logging(model)
    groups = batch()
    for group in groups:
        group["robs"][:] = math.nan
    loss = model.training_step(groups, 0)
    assert float(loss.detach()) == 0 and loss.requires_grad
    assert not any(value.any() for value in gradients(model, loss).values())


def test_mean_of_finite() -> None:
    values, finite = [torch.tensor(v) for v in (1.0, math.nan, 4.0)], [torch.tensor(v) for v in (True, False, True)]
    assert mean_of_finite(values, finite) == 2.5 and mean_of_finite(values[1:2], finite[1:2]) == 0


def test_q15_auxiliary_loss(tmp_path: Path) -> None:
    each = []
    seen = {}
    for compat in (None, "aux_last_dataset_only"):
        model = module(tmp_path, compat, modulator="pc", lambda_pred=0.2)
        logged = logging(model)
        loss = model.training_step(batch(), 0)
        seen[compat] = logged["aux_loss"][0]
        plain = float(torch.stack(losses(model, batch())).mean())
        assert float(loss.detach()) == pytest.approx(plain + seen[compat], rel=1e-5)
        if not each:
            for group in batch():
                model.training_step([group], 0)
                each.append(logged["aux_loss"][0])
    assert seen[None] == pytest.approx(sum(each) / 2, rel=1e-5)
    assert seen["aux_last_dataset_only"] == pytest.approx(each[1], rel=1e-5) != pytest.approx(each[0], rel=1e-2)


def test_a_batch_without_mask(tmp_path: Path) -> None:
    model = module(tmp_path)
    logging(model)
    groups = batch()
    with_mask = model.training_step(groups, 0)
    assert torch.allclose(
        model.training_step([{k: v for k, v in g.items() if k != "dfs"} for g in groups], 0), with_mask
    )


@pytest.mark.parametrize(("activation", "floor"), [("softplus", 1e-8), ("none", -20.0)])
def test_rates_are_clamped_from_below(tmp_path: Path, activation: str, floor: float) -> None:
    model = module(tmp_path, output_activation=activation)
    with torch.no_grad():
        for readout in model.model.readouts:
            readout.bias.fill_(-1e4)  # type: ignore[union-attr,operator]
    group = batch()[0]
    assert model(group["stim"], 0, group["behavior"]).min().item() == pytest.approx(floor)


def test_modulator_only_models_do_not_look_at_the_stimulus(tmp_path: Path) -> None:
    none = {stage: {"type": "none"} for stage in ("adapter", "frontend", "convnet")}
    model = module(tmp_path, **none)
    logging(model)
    groups = [{**group, "stim": group["stim"] * math.nan} for group in batch()]
    assert model.is_modulator_only and model.training_step(batch(), 0).isfinite()
    assert model(groups[0]["stim"], 0, groups[0]["behavior"]).isfinite().all()


def test_keys_of_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.visioncore.training.support import prepare_session

    monkeypatch.setattr(multidataset_dm, "prepare_session", prepare_session)
    paths = write_configs(tmp_path, model_config("pc"))
    seen = Watch()
    trainer(2, callbacks=[seen]).fit(
        MultiDatasetModel(*paths, 1e-2, 1e-3, 30, seed=0), datamodule=MultiDatasetDM(paths[1], 30, 8, 0, 3)
    )
    both = [
        f"{key}{suffix}"
        for key in (f"train_loss/{A}", f"train_loss/{B}", "aux_loss")
        for suffix in ("", "_step", "_epoch")
    ]
    once = [f"{key}/{name}" for key in ("val_loss", "val_bps") for name in NAMES]
    assert set(seen.metrics[-1]) == {*both, *once, "train_loss", "val_loss", "val_bps_overall", "reg_loss/sparse"}
    assert seen.metrics[-1]["val_bps_overall"] == pytest.approx(
        sum(seen.metrics[-1][f"val_bps/{name}"] for name in NAMES) / 2
    )
    assert all(math.isfinite(value) for value in seen.metrics[-1].values())


def test_compat_reaches_the_networks(tmp_path: Path) -> None:
    assert module(tmp_path, Compat(old_networks=True)).model.compat.lag_order
    assert not module(tmp_path).model.compat.lag_order
