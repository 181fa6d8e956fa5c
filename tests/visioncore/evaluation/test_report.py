from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console

from visioncore.data.prepare import prepare_session
from visioncore.data.synthetic import SyntheticStudy, load_truth, write_sessions
from visioncore.evaluation.plots import draw, read_metrics
from visioncore.evaluation.predictions import Predictions, predict
from visioncore.evaluation.receptive_fields import correlations, learnt_maps, true_maps
from visioncore.evaluation.report import sentence, table
from visioncore.evaluation.summary import SessionSummary, mean, overall, summarise
from visioncore.models import load_dataset_configs
from visioncore.training.lightning import MultiDatasetModel


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> SyntheticStudy:
    folder = tmp_path_factory.mktemp("study")
    return write_sessions(folder, 2, size=9, lags=4, frames=1500, n_units=4, types=("backimage", "fixrsvp"))


@pytest.fixture(scope="module")
def module(study: SyntheticStudy) -> MultiDatasetModel:
    return MultiDatasetModel(study.models["small"], study.configs_path, 1e-3, 0.0, 30, seed=0)


def prepared(study: SyntheticStudy) -> list[tuple[dict[str, object], object]]:
    configs = load_dataset_configs(sorted(study.configs_path.iterdir()))
    return [(config, prepare_session(config)) for config in configs]


def truly(study: SyntheticStudy, index: int = 0) -> tuple[Predictions, dict[str, object]]:
    """Predictions that are the true rates."""
    config, session = prepared(study)[index]
    val = session.val  # type: ignore[attr-defined]
    truth = load_truth(next(iter(study.sessions.values())) / "truth.npz")
    rates = np.concatenate([truth.rates["backimage"], truth.rates["fixrsvp"]])[val.frames]
    everything = val.gather(torch.arange(len(val)))
    valid = (everything["dfs"] > 0).numpy()
    return Predictions(val, everything["robs"].double().numpy(), rates, valid), config


def test_predictions_are_the_models_rates(study: SyntheticStudy, module: MultiDatasetModel) -> None:
    val = prepared(study)[1][1].val  # type: ignore[attr-defined]
    first = prepared(study)[0][1].val  # type: ignore[attr-defined]
    module.train()
    made = predict(module, [first, val], batch=50)[1]
    assert module.training and made.rates.shape == made.counts.shape == (len(val), 4)
    module.eval()
    with torch.no_grad():
        alone = module(val[7]["stim"][None], 1)
    module.train()
    assert made.rates[7] == pytest.approx(alone[0].numpy(), rel=1e-5)
    assert not made.valid[:, 3].any() and made.valid[:, :3].all(), "the last cell is dead"


def test_the_true_rates_reach_the_best(study: SyntheticStudy) -> None:
    summary = summarise(*truly(study))
    assert summary.best is not None and np.allclose(summary.bits[:3], summary.best[:3]) and np.isnan(summary.bits[3])
    assert summary.feve is not None and mean(summary.feve) == pytest.approx(1.0, abs=0.1)
    assert summary.correlation is not None and (mean(summary.correlation) or 0) > 0.8


def test_without_truth_and_repeats_there_is_less_to_tell(study: SyntheticStudy, tmp_path: Path) -> None:
    made = write_sessions(tmp_path, 1, size=9, lags=4, frames=600, n_units=3, types=("gaborium",))
    for path in made.sessions.values():
        (path / "truth.npz").unlink()
    ((config, session),) = prepared(made)
    val = session.val  # type: ignore[attr-defined]
    counts = val.gather(torch.arange(len(val)))["robs"].double().numpy()
    summary = summarise(Predictions(val, counts, np.ones_like(counts), np.ones_like(counts, dtype=bool)), config)
    assert summary.best is summary.correlation is summary.feve is None
    assert "best" not in shown([summary]) and "reachable" not in sentence([summary])


def shown(summaries: list[SessionSummary]) -> str:
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(table(summaries))
    return console.export_text()


def summary(name: str, bits: list[float], best: list[float] | None = None) -> SessionSummary:
    return SessionSummary(name, 10, np.array(bits), None if best is None else np.array(best), None, None)


def test_the_table_and_the_sentence() -> None:
    summaries = [summary("Allen_2022-02-16", [1.0, np.nan, 0.5], [2.0, np.nan, 1.0]), summary("Logan", [0.25], [0.5])]
    text = shown(summaries)
    assert "Allen_2022-02-16" in text and "2 of 3" in text and "0.750" in text and "mean" in text
    assert sentence(summaries) == "validation bits per spike: 0.5000, 0.50 of the best reachable 1.0000"
    assert overall(summaries, "bits") == 0.5


def test_no_cell_spikes() -> None:
    silent = [summary("a", [np.nan])]
    assert "none" in sentence(silent) and "0 of 1" in shown(silent)


def test_receptive_fields_are_found_where_they_are(study: SyntheticStudy, module: MultiDatasetModel) -> None:
    class Looks(torch.nn.Module):
        """Cells that look at one pixel each, at a lag of 2."""

        is_modulator_only, device = False, torch.device("cpu")

        def forward(self, stim: torch.Tensor, index: int, behavior: torch.Tensor) -> torch.Tensor:
            return torch.stack([stim[:, 0, 2, 3, 4], 2 * stim[:, 0, 2, 8, 0]], 1)

    val = prepared(study)[0][1].val  # type: ignore[attr-defined]
    maps = learnt_maps(Looks(), val, 0)
    expected = np.zeros((2, 9, 9))
    expected[0, 3, 4], expected[1, 8, 0] = 0.5, 1.0  # root of a quarter: one of four lags
    assert np.allclose(maps, expected)
    assert correlations(maps, expected) == pytest.approx([1, 1]) and np.isnan(correlations(maps, 0 * maps)).all()


def test_the_summary_compares_them_with_the_truth(study: SyntheticStudy) -> None:
    predictions, config = truly(study)
    filters = load_truth(next(iter(study.sessions.values())) / "truth.npz").filters
    fields = summarise(predictions, config, lambda: true_maps(filters)).fields
    assert fields is not None and fields[:3] == pytest.approx([1, 1, 1]) and np.isnan(fields[3]), "a dead cell has none"
    assert summarise(predictions, config, lambda: np.ones((4, 5, 5))).fields is None, "maps of another size"
    assert summarise(predictions, config).fields is None


def test_pictures(study: SyntheticStudy, module: MultiDatasetModel, tmp_path: Path) -> None:
    metrics = tmp_path / "metrics.csv"
    metrics.write_text("epoch,step,train_loss,val_loss,val_bps_overall\n0,3,0.5,,\n0,3,,0.6,0.1\n1,7,0.4,,\n")
    summaries = [summarise(*truly(study)), summary("Logan", [0.1, 0.2, 0.3, np.nan])]
    drawn = draw(tmp_path / "plots", module, summaries, metrics)
    assert [path.stem for path in drawn] == ["loss", "bits_per_spike", "temporal_filters", "readout_positions"]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in drawn)
    assert read_metrics(metrics)["train_loss"] == ([0.0, 1.0], [0.5, 0.4])


def test_a_model_without_filters_and_positions(study: SyntheticStudy, tmp_path: Path) -> None:
    blind = MultiDatasetModel(study.models["modulator_only"], study.configs_path, 1e-3, 0.0, 30, seed=0)
    drawn = draw(tmp_path, blind, [summary("a", [0.1]), summary("b", [0.1])], None)
    assert [path.stem for path in drawn] == ["bits_per_spike"]
