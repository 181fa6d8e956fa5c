"""Which frames count: rates, masks, and the split by trials."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from visioncore.compat import Compat
from visioncore.data.config import DataFilter
from visioncore.data.errors import DataError
from visioncore.data.filters import QC, filtered
from visioncore.data.recording import Recording
from visioncore.data.resample import downsampled
from visioncore.data.splits import split_by_trial

NOW = Compat()


@given(st.integers(1, 5), st.integers(5, 40))
def test_downsampling(factor: int, frames: int) -> None:
    local = np.random.default_rng(frames)
    robs, stim = local.integers(0, 4, (frames, 2)), local.integers(0, 256, (frames, 2, 2), dtype=np.uint8)
    trials, eye = np.sort(local.integers(0, 4, frames)), local.normal(size=(frames, 2))
    given_ = {"robs": robs, "stim": stim, "trial_inds": trials, "eyepos": eye, "psth_inds": np.arange(frames)}
    recording = Recording({name: torch.from_numpy(value) for name, value in given_.items()})
    made = downsampled(recording, factor, NOW)
    n = frames // factor
    assert made["robs"].sum() == robs[: n * factor].sum() and made["robs"].shape == (n, 2)
    assert np.array_equal(made["stim"], stim[: n * factor : factor])
    assert set(made["trial_inds"].tolist()) <= set(trials.tolist())
    assert made["psth_inds"].tolist() == list(range(n))
    assert made["eyepos"].numpy() == pytest.approx(eye[: n * factor].reshape(n, factor, 2).mean(1))


def test_c31_the_old_trials_could_be_halves() -> None:
    recording = Recording({"trial_inds": torch.tensor([0.0, 0, 0, 1, 1, 1])})
    assert downsampled(recording, 2, Compat(downsample_averages_indices=True))["trial_inds"].tolist() == [0, 0.5, 1]
    assert downsampled(recording, 2, NOW)["trial_inds"].tolist() == [0, 0, 1]


@given(st.lists(st.tuples(st.integers(0, 2), st.booleans()), min_size=1, max_size=40), st.integers(1, 6))
def test_valid_nlags_against_a_loop(frames: list[tuple[int, bool]], n_lags: int) -> None:
    trials, eye = zip(*frames, strict=True)
    good = [t > 0 and eye[t] and trials[t] == trials[t - 1] for t in range(len(frames))]
    expected = [t >= n_lags - 1 and all(good[t - lag] for lag in range(n_lags)) for t in range(len(frames))]
    recording = Recording({"trial_inds": torch.tensor(trials), "dpi_valid": torch.tensor(eye).float()})
    block = DataFilter(({"valid_nlags": {"n_lags": n_lags}},))
    assert filtered(recording, {"dfs": block}, Path())["dfs"][:, 0].tolist() == [float(value) for value in expected]


def missing(tmp_path: Path, windows: list[tuple[float, float, int, float]], units: int = 2) -> list[list[float]]:
    path = tmp_path / QC
    path.parent.mkdir(parents=True, exist_ok=True)
    table = np.array(windows)
    np.savez(path, window_blocks=table[:, :2], cid=table[:, 2], mpcts=table[:, 3])
    recording = Recording({"t_bins": torch.arange(6.0), "robs": torch.zeros(6, units)})
    mask = filtered(recording, {"dfs": DataFilter(({"missing_pct": {}},))}, tmp_path)["dfs"]
    return [[float(value) for value in column] for column in mask.T]


def test_windows_under_the_threshold_count(tmp_path: Path) -> None:
    first, second = missing(tmp_path, [(0, 2, 0, 10), (2, 4, 0, 90), (4, 6, 0, 44), (0, 6, 1, 5)])
    assert first == [1, 1, 0, 0, 1, 1] and second == [1] * 6


def test_all_windows_where_the_median_is_not_under_it(tmp_path: Path) -> None:
    first, second = missing(tmp_path, [(0, 2, 0, 90), (2, 4, 0, 80)])
    assert first == [1, 1, 1, 1, 0, 0] and second == [1] * 6, "and a cell that the file does not know"


def test_quality_control_that_cannot_be_read(tmp_path: Path) -> None:
    recording = Recording({"t_bins": torch.arange(6.0), "robs": torch.zeros(6, 2)})
    block = {"dfs": DataFilter(("missing_pct",))}
    with pytest.raises(DataError, match="there is no such file"):
        filtered(recording, block, tmp_path)
    path = tmp_path / QC
    path.parent.mkdir(parents=True)
    path.write_bytes(b"PK\x03\x04 not really")
    with pytest.raises(DataError, match="damaged"):
        filtered(recording, block, tmp_path)
    np.savez(path, window_blocks=np.zeros((2, 3)), cid=np.zeros(2), mpcts=np.zeros(2))
    with pytest.raises(DataError, match=r"\(2, 3\)"):
        filtered(recording, block, tmp_path)
    np.savez(path, window_blocks=np.zeros((2, 2)), cid=np.zeros(2), mpcts=np.array(["5", "6"]))
    with pytest.raises(DataError, match="mpcts are numbers"):
        filtered(recording, block, tmp_path)
    np.savez(path, cid=np.zeros(2))
    with pytest.raises(DataError, match="window_blocks"):
        filtered(recording, block, tmp_path)


@settings(max_examples=60)
@given(st.lists(st.integers(0, 12), min_size=1, max_size=60), st.floats(0.05, 0.95), st.integers(0, 2**31 - 1))
def test_splits_are_of_whole_trials(trials: list[int], fraction: float, seed: int) -> None:
    indices = torch.tensor(trials)
    frames = torch.arange(len(trials))[::2]
    train, val = split_by_trial(indices, frames, fraction, seed, NOW)
    assert sorted(train.tolist() + val.tolist()) == frames.tolist()
    assert not set(indices[train].tolist()) & set(indices[val].tolist())
    present = len(set(indices[frames].tolist()))
    assert len(set(indices[train].tolist())) == int(present * fraction)
    assert train.tolist() == sorted(train.tolist()) and torch.equal(
        train, split_by_trial(indices, frames, fraction, seed, NOW)[0]
    )


def test_q19_the_split_is_the_same_whether_it_seeds_or_not() -> None:
    trials, frames = torch.arange(50) // 5, torch.arange(50)
    torch.manual_seed(5)
    before = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()  # type: ignore[index,union-attr]
    quiet = split_by_trial(trials, frames, 0.8, 1002, NOW)
    after = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()  # type: ignore[index,union-attr]
    assert torch.equal(before[0], after[0]) and before[1:] == after[1:]
    loud = split_by_trial(trials, frames, 0.8, 1002, Compat(unseeded=True))
    assert all(torch.equal(a, b) for a, b in zip(quiet, loud, strict=True))
    drawn = random.random(), np.random.rand()
    random.seed(1002), np.random.seed(1002)
    assert drawn == (random.random(), np.random.rand())
