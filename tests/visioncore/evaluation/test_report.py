from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console

from visioncore.data.prepare import prepare_session
from visioncore.data.synthetic import SyntheticStudy, load_truth, write_sessions
from visioncore.evaluation.plots import draw, read_metrics
from visioncore.evaluation.predictions import Predictions, predict
from visioncore.evaluation.receptive_fields import correlations, learnt_maps, true_maps
from visioncore.evaluation.report import report, sentence, table
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


def test_all_columns_are_legible_in_80() -> None:
    values = np.full(10, -0.1234)
    text = shown([SessionSummary("Allen_2022-02-16", 2179, np.r_[values[1:], np.nan], -10 * values, *[values] * 3)])
    assert "…" not in text and text.count("-0.123") == 4 and "1.234" in text and "samples" in text and "9 of 10" in text


def test_a_file_is_as_wide_as_the_table(
    study: SyntheticStudy, module: MultiDatasetModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config, session = prepared(study)[0]
    long = replace(session.val.session, name="a session of a name as long as some labs have it")  # type: ignore[attr-defined]
    val = type(session.val)(long, session.val.frames)  # type: ignore[attr-defined]
    data = SimpleNamespace(names=["a"], val_dsets={"a": val}, batch=256, cfgs=[config])
    trainer = SimpleNamespace(callback_metrics={}, is_global_zero=True)
    assert report(trainer, module, data, tmp_path, plots=False) is None
    told = capsys.readouterr().out
    assert long.name in told and "…" not in told


def test_rates_that_are_none_are_told_and_not_scored(study: SyntheticStudy) -> None:
    predictions, config = truly(study)
    rates = predictions.rates.copy()
    rates[:, 1] = np.nan
    made = summarise(replace(predictions, rates=rates), config)
    assert made.unscored == 1 and made.feve is not None and made.correlation is not None
    assert np.isnan([made.bits[1], made.feve[1], made.correlation[1]]).all() and np.isfinite(made.feve[0])
    assert sentence([made]).endswith("; the rates of 1 cell are NaN, infinite or negative, they are left out")
    nothing = summarise(replace(predictions, rates=np.full_like(rates, np.nan)), config)
    assert sentence([nothing]) == (
        "validation bits per spike: none, the rates of 3 cells are NaN, infinite or negative"
    )
    assert mean(nothing.feve) is None and "FEVE" not in shown([nothing])


def test_spikes_of_another_frame_are_held_against_the_rates_of_that_frame(study: SyntheticStudy) -> None:
    config = prepared(study)[0][0]
    lagged = {**config, "keys_lags": {**config["keys_lags"], "robs": 2}}  # type: ignore[dict-item]
    val = prepare_session(lagged).val
    everything = val.gather(torch.arange(len(val)))
    valid = (everything["dfs"] > 0).numpy()
    truth = load_truth(next(iter(study.sessions.values())) / "truth.npz")
    rates = np.concatenate([truth.rates["backimage"], truth.rates["fixrsvp"]])[val.frames - 2]
    made = summarise(Predictions(val, everything["robs"].double().numpy(), rates, valid), lagged)
    assert made.best is not None and made.best[:3] == pytest.approx(made.bits[:3]) and (made.best[:3] > 0).all()
    assert made.feve is not None and mean(made.feve) == pytest.approx(1.0, abs=0.1), "repeats are of that frame too"


def test_a_share_of_nothing_is_not_told() -> None:
    assert sentence([summary("a", [-1.0], [-0.5])]) == "validation bits per spike: -1.0000, the best reachable -0.5000"
    assert sentence([summary("a", [1.0], [2.0]), summary("b", [3.0])]) == "validation bits per spike: 2.0000"


def test_places_in_a_repeated_sequence_may_have_any_number(study: SyntheticStudy) -> None:
    predictions, config = truly(study)
    before = summarise(predictions, config)
    inside = predictions.session.session
    inds = inside.covariates["psth_inds"]
    far = replace(inside, covariates={**inside.covariates, "psth_inds": torch.where(inds < 0, inds, inds + 10**9)})
    after = summarise(replace(predictions, session=type(predictions.session)(far, predictions.session.frames)), config)
    assert before.feve is not None and after.feve == pytest.approx(before.feve, nan_ok=True)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"PK\x03\x04 not really", "is damaged"),
        ({"rates_backimage": np.ones((3, 4))}, "centres"),
        ({"filters": np.ones((4, 2, 9, 9))}, "there is no 'backimage'"),
        ({"rates_backimage": np.ones((9, 4)), "rates_fixrsvp": np.ones((9, 4))}, "18 frames"),
        ({"rates_backimage": np.ones((1500, 2)), "rates_fixrsvp": np.ones((1500, 2))}, "out of bounds"),
    ],
)
def test_a_truth_of_something_else_costs_its_columns_only(
    tmp_path: Path, study: SyntheticStudy, content: Any, told: str
) -> None:
    predictions, config = truly(study)
    folder = tmp_path / str(config["session"])
    folder.mkdir()
    if isinstance(content, bytes):
        (folder / "truth.npz").write_bytes(content)
    else:
        whole = {} if told == "centres" else {"centres": 0, "kernels": 0, "filters": np.ones((4, 2, 9, 9))}
        np.savez(folder / "truth.npz", **{**whole, **content})
    with pytest.warns(UserWarning, match=f"truth.npz.*{told}.*; what the session's cells could reach is not told"):
        made = summarise(predictions, {**config, "session_dir": str(tmp_path)}, lambda: np.ones((4, 9, 9)))
    assert made.best is made.fields is None and made.feve is not None


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


def test_receptive_fields_are_not_asked_of_compiled_code(study: SyntheticStudy) -> None:
    """torch's own compiler makes code that gives one gradient and lets go of what the next cell's would need."""

    def compiler(graph: Any, inputs: Any) -> Any:
        raise AssertionError("compiled")

    val = prepared(study)[0][1].val  # type: ignore[attr-defined]
    plain, compiled = (
        MultiDatasetModel(study.models["small"], study.configs_path, 1e-3, 0.0, 30, seed=0) for _ in range(2)
    )
    compiled.model.compile(backend=compiler)
    assert np.array_equal(learnt_maps(compiled, val, 0), learnt_maps(plain, val, 0))
    with pytest.raises(Exception, match="compiled"):
        compiled.eval()(val[0]["stim"][None], 0)


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
