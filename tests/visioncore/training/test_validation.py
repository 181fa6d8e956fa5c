from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from tests.visioncore.training.support import NAMES, Logged, batch, logging, model_config, write_configs
from visioncore.training.lightning import MultiDatasetModel
from visioncore.training.metrics import PoissonBPSAggregator

A, B = NAMES


def validated(tmp_path: Path, batches: Any, compat: Any = None, **config: Any) -> tuple[Logged, MultiDatasetModel]:
    model = MultiDatasetModel(*write_configs(tmp_path, model_config(**config)), 1e-2, 1e-3, 30, compat=compat, seed=3)
    model._trainer = SimpleNamespace(current_epoch=0, global_rank=0, global_step=0)  # type: ignore[assignment]
    logged = logging(model.eval())
    model.on_validation_epoch_start()
    for number, groups in enumerate(batches):
        model.validation_step(groups, number)
    model.on_validation_epoch_end()
    return logged, model


def by_hand(model: MultiDatasetModel, batches: Any, index: int, clamp: bool = False) -> float:
    sums = PoissonBPSAggregator(model.n_units[index])
    for groups in batches:
        for group in groups:
            if int(group["dataset_idx"][0]) == index:
                with torch.no_grad():
                    rates = model(group["stim"], index, group["behavior"])
                sums.update(group["robs"], rates.exp() if model.log_input else rates, group["dfs"])
    cells = sums.closure()
    cells = cells[~cells.isnan()]
    return float((cells.clamp(min=0) if clamp else cells).mean())


@pytest.mark.parametrize("activation", ["softplus", "none"])
def test_q13_mean_over_cells_then_over_datasets(tmp_path: Path, activation: str) -> None:
    batches = [batch(seed, size=20) for seed in range(2)]
    logged, model = validated(tmp_path, batches, output_activation=activation)
    expected = [by_hand(model, batches, index) for index in range(2)]
    assert [logged[f"val_bps/{name}"][0] for name in NAMES] == pytest.approx(expected, rel=1e-5)
    assert logged["val_bps_overall"][0] == pytest.approx(sum(expected) / 2, rel=1e-5)
    assert logged["val_bps_overall"][0] < 0, "an untrained network is worse than the mean, and that is said"


def test_q13_the_old_score_is_clamped(tmp_path: Path) -> None:
    batches = [batch(size=20)]
    batches[0][0]["dfs"] = batches[0][0]["dfs"].expand(-1, 4).clone()
    logged, model = validated(tmp_path, batches, "pooled_bps")
    assert logged[f"val_bps/{A}"][0] == pytest.approx(by_hand(model, batches, 0, clamp=True), abs=1e-5)
    assert logged["val_bps_overall"][0] >= 0


@pytest.mark.parametrize("compat", [None, "pooled_bps"])
def test_val_loss_is_the_mean_over_batches_and_datasets(tmp_path: Path, compat: Any) -> None:
    batches = [batch(0), batch(1)[:1]]
    logged, model = validated(tmp_path, batches, compat)
    each = []
    for group in (group for groups in batches for group in groups):
        with torch.no_grad():
            rates = model(group["stim"], int(group["dataset_idx"][0]), group["behavior"])
        each.append(float(model.loss_fn(rates, group["robs"], group["dfs"])))
    assert logged["val_loss"][0] == pytest.approx(sum(each) / 3, rel=1e-5)
    flags = {key: (value[1]["on_step"], value[1]["sync_dist"]) for key, value in logged.items()}
    assert flags["val_loss"] == flags["val_bps_overall"] == (False, True)
    assert flags[f"val_bps/{A}"] == flags[f"val_loss/{A}"] == (False, False)


@pytest.mark.parametrize("compat", [None, "pooled_bps"])
def test_a_dataset_that_did_not_come(tmp_path: Path, compat: Any) -> None:
    logged, _ = validated(tmp_path, [batch(size=20)[1:]], compat)
    assert f"val_bps/{A}" not in logged and logged["val_bps_overall"][0] == logged[f"val_bps/{B}"][0]


@pytest.mark.parametrize("compat", [None, "pooled_bps"])
def test_a_cell_without_valid_samples_is_left_out(tmp_path: Path, compat: Any) -> None:
    groups = batch(size=20)
    mask = torch.ones_like(groups[0]["robs"])
    mask[:, 1] = 0
    groups[0]["dfs"] = mask
    logged, model = validated(tmp_path, [groups], compat)
    assert math.isfinite(logged[f"val_bps/{A}"][0])
    if compat is None:
        assert logged[f"val_bps/{A}"][0] == pytest.approx(by_hand(model, [groups], 0), rel=1e-5)


@pytest.mark.parametrize("compat", [None, "pooled_bps", "all"])
def test_nothing_to_validate(tmp_path: Path, compat: Any) -> None:
    logged, _ = validated(tmp_path, [], compat)
    assert set(logged) == {"val_bps_overall"} and logged["val_bps_overall"][0] == 0


@pytest.mark.parametrize("compat", [None, {"all": True, "unseeded": False}])
def test_a_bad_batch_is_left_out_and_told(tmp_path: Path, compat: Any) -> None:
    good, bad = batch(0, size=20), batch(1, size=20)
    bad[0]["robs"][0] = math.nan
    logged, _ = validated(tmp_path, [good, bad], compat)
    alone, _ = validated(tmp_path, [good, bad[1:]], compat)
    assert logged.pop(f"val_nan_skip/{A}")[0] == 1
    assert {key: value[0] for key, value in logged.items() if key != f"val_loss/{A}"} == pytest.approx(
        {key: value[0] for key, value in alone.items() if key != f"val_loss/{A}"}
    )


def test_rates_that_are_no_numbers_are_no_score(tmp_path: Path) -> None:
    """Not 0 bits per spike, which would be better than what an untrained network reaches, and the best checkpoint."""
    broken = batch(0, size=20)
    for group in broken:
        group["stim"] = group["stim"].float() * math.nan
    logged, _ = validated(tmp_path, [broken])
    assert math.isnan(logged["val_bps_overall"][0]) and math.isnan(logged["val_loss"][0])


def test_without_a_spike_there_is_no_score_and_none_to_come(tmp_path: Path) -> None:
    silent = batch(0, size=20)
    for group in silent:
        group["robs"] = torch.zeros_like(group["robs"])
    logged, _ = validated(tmp_path, [silent])
    assert logged["val_bps_overall"][0] == 0 and math.isfinite(logged["val_loss"][0])


def test_an_epoch_begins_afresh(tmp_path: Path) -> None:
    logged, model = validated(tmp_path, [batch(0, size=20)])
    first = dict(logged)
    model.on_validation_epoch_start()
    model.validation_step(batch(0, size=20), 0)
    model.on_validation_epoch_end()
    assert {key: value[0] for key, value in logged.items()} == {key: value[0] for key, value in first.items()}


def test_validation_leaves_no_graph(tmp_path: Path) -> None:
    _, model = validated(tmp_path, [batch()])
    assert all(parameter.grad is None for parameter in model.parameters())
