"""From dataset YAMLs and recordings to training and validation samples."""

from __future__ import annotations

import math
import os
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from visioncore.compat import Compat
from visioncore.data.adaptation import DynamicalAdaptation
from visioncore.data.config import DataFilter, Transform, parse_dataset_config, session_folder
from visioncore.data.errors import DataError
from visioncore.data.filters import QC, filtered
from visioncore.data.formats import write_recording
from visioncore.data.ops import apply
from visioncore.data.prepare import prepare_session
from visioncore.data.recording import Recording
from visioncore.data.resample import downsampled
from visioncore.data.splits import split_by_trial
from visioncore.data.transforms import transformed
from visioncore.errors import ConfigError

NOW = Compat()
rng = np.random.default_rng(0)
X = rng.normal(size=(30, 4)).astype(np.float32)


def smoothed(x: Any, sigma: float) -> Any:
    half = (int(6 * sigma) + 1) // 2
    kernel = np.exp(-0.5 * (np.arange(-half, half + 1) / sigma) ** 2)
    padded = np.pad(x, ((half, half), (0, 0)), mode="reflect")
    return np.stack([(padded[t : t + 2 * half + 1] * (kernel / kernel.sum())[:, None]).sum(0) for t in range(len(x))])


def whitened(x: Any) -> Any:
    grid = np.meshgrid(*(np.fft.fftfreq(size) for size in x.shape), indexing="ij")
    f = np.sqrt(sum(axis**2 for axis in grid))
    return np.fft.ifftn(np.fft.fftn(x) * f * np.exp(-((f / 0.4) ** 4))).real


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        ({"pixelnorm": {}}, (X - 127) / 255),
        ("maxnorm", X / np.abs(X).max()),
        ({"unsqueeze": 1}, X[:, None]),
        ({"unsqueeze": {"axis": 2}}, X[..., None]),
        ({"diff": {"axis": 0}}, np.diff(X, axis=0, prepend=X[:1])),
        ({"mul": 2.5}, 2.5 * X),
        ({"mul": {"factor": -1}}, -X),
        ({"symlog": None}, np.sign(X) * np.log1p(np.abs(X))),
        (
            {"splitrelu": {"split_dim": 1, "trainable_gain": False}},
            np.concatenate([np.maximum(X, 0), np.maximum(-X, 0)], 1),
        ),
        ({"cast": "int16"}, X.astype(np.int16)),
        ({"smooth": 1}, smoothed(X, 1)),
        ({"smooth": {"type": "gaussian", "params": {"sigma": 1.5}}}, smoothed(X, 1.5)),
        ({"smooth": [{"type": "gaussian"}, {"params": 2}]}, smoothed(X, 2)),
    ],
)
def test_ops(step: Any, expected: Any) -> None:
    assert apply(torch.from_numpy(X), step).numpy() == pytest.approx(expected, abs=1e-5)


def test_whitening_keeps_what_is_between_slow_and_fast() -> None:
    movie = rng.normal(size=(12, 5, 6)).astype(np.float32)
    assert apply(torch.from_numpy(movie), "fftwhitening").numpy() == pytest.approx(whitened(movie), abs=1e-4)


def test_temporal_basis_of_traces_and_movies() -> None:
    arguments = {"num_cosine_funcs": 3, "history_bins": 8}
    traces = apply(torch.from_numpy(X), {"temporal_basis": arguments})
    assert traces.shape == (30, 12)
    movie = apply(torch.from_numpy(X)[:, :, None], {"temporal_basis": arguments})
    assert movie.shape == (30, 3, 4, 1)
    assert movie[:, :, 2, 0].numpy() == pytest.approx(traces[:, 6:9].numpy(), abs=1e-6), (
        "columns: a trace's functions together"
    )
    past = torch.zeros(30, 1)
    past[10] = 1
    response = apply(past, {"temporal_basis": arguments})
    assert not response[:10].any() and response[10:20].any(), "causal"


def test_adaptation_by_the_formula() -> None:
    light = np.abs(rng.normal(size=50)) * 200
    model = DynamicalAdaptation(beta=0.01, filter_length=30)

    def kernel(n: float, tau: float) -> Any:
        t = np.arange(30.0)
        return t**n * np.exp(-t / tau) / (tau ** (n + 1) * math.gamma(n + 1))

    fast, slow = kernel(5, 5), kernel(2, 60)
    y = np.convolve(light, fast)[:50]
    z = np.convolve(light, 0.5 * fast + 0.5 * slow)[:50]
    assert model(torch.tensor(light[:, None]))[:, 0].numpy() == pytest.approx(y / (1 + 0.01 * z), rel=1e-5)


def test_the_labs_behaviour_has_42_columns() -> None:
    velocity: list[Any] = [{"diff": {"axis": 0}}, {"maxnorm": {}}, {"symlog": {}}]
    basis = {"num_delta_funcs": 0, "num_cosine_funcs": 10, "history_bins": 50, "log_spacing": False, "causal": False}
    velocity += [{"temporal_basis": {**basis, "peak_range_ms": [30, 200]}}, {"splitrelu": {"split_dim": 1}}]
    transforms = {
        "eye_vel": Transform("eyepos", tuple(velocity), "behavior", True),
        "eye_pos": Transform("eyepos", (), "behavior", True),
    }
    recording = Recording({"eyepos": torch.rand(80, 2)})
    made, _ = transformed(recording, transforms, NOW)
    assert made["behavior"].shape == (80, 42) and torch.equal(made["behavior"][:, 40:], recording["eyepos"])


@pytest.mark.parametrize(
    ("ops", "compat", "dtype", "later"),
    [
        (({"pixelnorm": {}}, {"unsqueeze": 1}), NOW, torch.uint8, True),
        (({"unsqueeze": 1},), NOW, torch.uint8, False),
        (({"pixelnorm": {}}, {"unsqueeze": 1}), Compat(float32_stimulus=True), torch.float32, True),
        (({"pixelnorm": {}}, {"splitrelu": {}}), NOW, torch.float32, False),
        (({"pixelnorm": {}}, {"splitrelu": {}}), Compat(normalise_last=True), torch.float32, True),
    ],
)
def test_q21_when_the_stimulus_is_normalised(
    ops: tuple[Any, ...], compat: Compat, dtype: torch.dtype, later: bool
) -> None:
    stim = torch.randint(0, 256, (20, 3, 3), dtype=torch.uint8)
    made, postponed = transformed(Recording({"stim": stim}), {"stim": Transform("stim", ops)}, compat)
    assert (made["stim"].dtype, postponed) == (dtype, later)
    if dtype == torch.float32 and not later:
        norm = (stim.float() - 127) / 255
        assert torch.equal(made["stim"], torch.cat([norm.relu(), (-norm).relu()], 1)), "in the order they are written"


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


def config(tmp_path: Path, **more: Any) -> dict[str, Any]:
    written: dict[str, Any] = {
        "session": "Allen_2022-02-16",
        "session_dir": "sessions",
        "types": ["gaborium"],
        "keys_lags": {"robs": 0, "stim": [0, 1, 2], "dfs": 0},
        "transforms": {"stim": {"source": "stim", "ops": [{"pixelnorm": {}}, {"unsqueeze": 1}]}},
        "datafilters": {"dfs": {"ops": [{"valid_nlags": {"n_lags": 3}}]}},
        "cids": [2, 0],
        "_config_path": str(tmp_path / "Allen.yaml"),
    }
    return {**written, **more}


def recorded(tmp_path: Path, kind: str = "gaborium", frames: int = 100, **more: torch.Tensor) -> Recording:
    covariates = {
        "stim": torch.randint(0, 256, (frames, 4, 4), dtype=torch.uint8),
        "robs": torch.arange(frames)[:, None] * 10.0 + torch.arange(3),
        "dpi_valid": torch.ones(frames),
        "trial_inds": torch.arange(frames) // 10,
        **more,
    }
    recording = Recording({name: value for name, value in covariates.items() if value is not None})
    write_recording(recording, tmp_path / "sessions" / "Allen_2022-02-16" / "datasets" / f"{kind}.dset")
    return recording


def test_a_session(tmp_path: Path) -> None:
    recording = recorded(tmp_path)
    made = prepare_session(config(tmp_path))
    assert len(made.train) == 8 * 7 and len(made.val) == 2 * 7, "three frames of ten have no history in their trial"
    frame = int(made.val.frames[4])
    sample = made.val[4]
    assert sample["robs"].tolist() == [frame * 10 + 2, frame * 10], "in the order of cids"
    assert torch.equal(sample["stim"][0, 1], (recording["stim"][frame - 1].float() - 127) / 255)
    assert made.train.stimulus is made.val.stimulus and made.train.stimulus.dtype == torch.uint8


def test_types_lie_behind_each_other_and_no_sample_looks_across(tmp_path: Path) -> None:
    first, second = recorded(tmp_path), recorded(tmp_path, "fixrsvp", 60, psth_inds=torch.arange(60) % 10)
    # without a filter every frame with a whole history counts, also the first ones of a trial
    made = prepare_session(config(tmp_path, types=["gaborium", "fixrsvp"], datafilters={}))
    frames = sorted(made.train.frames.tolist() + made.val.frames.tolist())
    assert frames == [*range(2, 100), *range(102, 160)]
    covariates = made.train.session.covariates
    assert torch.equal(covariates["stim"][100:, 0], second["stim"]) and torch.equal(
        covariates["stim"][:100, 0], first["stim"]
    )
    assert covariates["psth_inds"].tolist() == [-1] * 100 + [i % 10 for i in range(60)]


@pytest.mark.parametrize("dtype", [torch.uint16, torch.uint64])
def test_types_may_count_in_different_numbers(tmp_path: Path, dtype: torch.dtype) -> None:
    recorded(tmp_path)
    recorded(tmp_path, "fixrsvp", trial_inds=(torch.arange(100) // 10).to(dtype), robs=torch.ones(100, 3).to(dtype))
    half = {"source_rate": 240, "target_rate": 120}
    made = prepare_session(config(tmp_path, types=["gaborium", "fixrsvp"], sampling=half)).train.session.covariates
    assert made["trial_inds"].tolist() == [i // 5 for i in range(50)] * 2 and (made["robs"][50:] == 2).all()


def test_a_rate_that_is_half(tmp_path: Path) -> None:
    recording = recorded(tmp_path)
    made = prepare_session(config(tmp_path, sampling={"source_rate": 240, "target_rate": 120}))
    assert torch.equal(made.train.stimulus[:, 0], recording["stim"][::2])
    assert made.train.session.covariates["robs"][3, 1] == 60 + 70


@pytest.mark.parametrize(
    ("more", "covariates", "sentence"),
    [
        ({"cids": [0, 3]}, {}, "robs, which has 3; 3 found"),
        ({"types": ["gratings"]}, {}, "there is no recording"),
        ({"keys_lags": {"robs": 0, "stim": [0], "behavior": 0}}, {}, "keys_lags names 'behavior'"),
        (
            {"transforms": {"eye": {"source": "eyeposs", "ops": []}}},
            {"eyepos": torch.rand(100, 2)},
            "did you mean 'eyepos'",
        ),
        ({}, {"dpi_valid": torch.zeros(100)}, "no frame is left for training"),
        ({"train_val_split": 0.05}, {}, "no frame is left for training"),
        ({}, {"dpi_valid": None}, "needs the covariate 'dpi_valid'"),
        (
            {"transforms": {"stim": {"source": "stim", "ops": [{"unsqueeze": 0}]}}},
            {},
            "`unsqueeze: 1` adds the channel axis",
        ),
        ({"transforms": {"robs": {"source": "robs", "ops": [{"smooth": 40}]}}}, {}, "does not fit into 100 frames"),
        ({}, {"trial_inds": torch.zeros(100, 2)}, r"trial_inds is \(T,\), \(100, 2\) found"),
    ],
)
def test_sessions_that_cannot_be(
    tmp_path: Path, more: dict[str, Any], covariates: dict[str, Any], sentence: str
) -> None:
    recorded(tmp_path, **covariates)
    with pytest.raises(DataError, match=sentence):
        prepare_session(config(tmp_path, **more))


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({"key_lags": {}}, "unknown key 'key_lags'; did you mean 'keys_lags'"),
        ({"lab": "yate"}, "lab is 'yates' or 'rowley'"),
        ({"session": "Allen"}, "session is Subject_YYYY-MM-DD"),
        ({"cids": [1, 1]}, "cids names one twice"),
        ({"cids": [-1]}, "from 0 on"),
        ({"types": []}, "types is a list of at least one"),
        ({"train_val_split": 1.0}, "between 0 and 1"),
        ({"keys_lags": {"robs": 0, "stim": [0, -1]}}, "0 or more"),
        ({"keys_lags": {"robs": 0}}, "at least stim and robs"),
        ({"sampling": {"source_rate": 240, "target_rate": 100}}, "a multiple of target_rate"),
        ({"transforms": {"stim": {"source": "stim", "op": []}}}, "did you mean 'ops'"),
        ({"transforms": {"stim": {"source": "stim", "ops": [{"pixelnrm": {}}]}}}, "did you mean 'pixelnorm'"),
        ({"transforms": {"stim": {"source": "stim", "ops": [{"diff": {"axes": 0}}]}}}, "did you mean 'axis'"),
        ({"datafilters": {"dfs": {"ops": [{"missing_pct": {"theshold": 45}}]}}}, "did you mean 'threshold'"),
        ({"datafilters": {"dfs": {"ops": [{"valid_nlag": 3}]}}}, "did you mean 'valid_nlags'"),
        ({"datafilters": {"dfs": {"ops": [{"valid_nlags": "many"}]}}}, "n_lags is a number"),
        ({"datafilters": {"dfs": {"ops": [{"valid_nlags": math.nan}]}}}, "n_lags is a number, nan found"),
        ({"keys_lags": {"robs": 0, "stim": 0}}, r"keys_lags.stim is a list of frames back, 0 found"),
        ({"keys_lags": {"robs": [0, 1], "stim": [0]}}, r"keys_lags.robs is one number of frames back, \[0, 1\] found"),
        ({"keys_lags": {"robs": 0, "stim": [0], "dfs": [0, 1]}}, "keys_lags.dfs is one number"),
        ({"keys_lags": {"robs": 0, "stim": [0], "behavior": [0, 1]}}, "keys_lags.behavior is one number"),
        ({"seed": -1}, "seed is a whole number from 0"),
        ({"seed": 2**70}, "seed is a whole number"),
    ],
)
def test_configs_that_cannot_be_are_told_before_anything_is_read(
    tmp_path: Path, more: dict[str, Any], sentence: str
) -> None:
    (tmp_path / "sessions" / "Allen_2022-02-16").mkdir(parents=True)
    with pytest.raises(ConfigError, match=sentence) as caught:
        prepare_session(config(tmp_path, **more))
    assert str(tmp_path / "Allen.yaml") in str(caught.value)


@pytest.mark.parametrize(
    ("step", "sentence"),
    [
        ({"unsqueeze": "one"}, "op unsqueeze: axis is a whole number, 'one' found"),
        ("unsqueeze", "op unsqueeze: axis is missing"),
        ({"mul": "2x"}, "op mul: factor is a number, '2x' found"),
        ({"temporal_basis": {"peak_range_ms": 5}}, "op temporal_basis: peak_range_ms is a list of 2 numbers, 5 found"),
        ({"temporal_basis": {"history_bins": 0}}, "history_bins"),
        ({"unsqueeze": 9}, r"op {'unsqueeze': 9} does not fit a covariate of shape \(100, 2\): .*gaborium.dset"),
        ({"diff": {"axis": 5}}, r"does not fit a covariate of shape \(100, 2\)"),
        ({"splitrelu": {"split_dim": 7}}, r"does not fit a covariate of shape \(100, 2\)"),
    ],
)
def test_ops_that_cannot_be_are_told_with_their_transform(tmp_path: Path, step: Any, sentence: str) -> None:
    recorded(tmp_path, eyepos=torch.rand(100, 2))
    with pytest.raises(ConfigError, match=rf"Allen\.yaml: transforms\.eye: .*{sentence}"):
        prepare_session(config(tmp_path, transforms={"eye": {"source": "eyepos", "ops": [step]}}))


def test_a_pipe_does_not_hold_a_reader_up(tmp_path: Path) -> None:
    recorded(tmp_path)
    path = tmp_path / "sessions" / "Allen_2022-02-16" / "datasets" / "gaborium.dset"
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(DataError, match="neither file nor folder"):
        prepare_session(config(tmp_path))


def test_where_sessions_lie(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = config(tmp_path)
    for folder in ("sessions/Allen_2022-02-16", "env/Allen_2022-02-16", "configs", "sessions/2022-02-16_Allen"):
        (tmp_path / folder).mkdir(parents=True)
    assert session_folder(parse_dataset_config(written), written) == tmp_path / "sessions" / "Allen_2022-02-16"
    beside = {**written, "session_dir": None, "_config_path": str(tmp_path / "configs" / "a.yaml")}
    assert session_folder(parse_dataset_config(beside), beside).samefile(tmp_path / "sessions" / "Allen_2022-02-16")
    rowley = {**written, "lab": "rowley"}
    assert session_folder(parse_dataset_config(rowley), rowley).name == "2022-02-16_Allen"
    monkeypatch.setenv("VISIONCORE_SESSIONS", str(tmp_path / "env"))
    assert session_folder(parse_dataset_config(beside), beside) == tmp_path / "env" / "Allen_2022-02-16"
    with pytest.raises(ConfigError, match=r"there is no folder .*Logan_2020-01-01"):
        nowhere = {**beside, "session": "Logan_2020-01-01"}
        session_folder(parse_dataset_config(nowhere), nowhere)


def test_notes_and_what_the_model_reads_may_stand_in_the_yaml(tmp_path: Path) -> None:
    recorded(tmp_path)
    notes = {"visual": [1], "snr": 5, "missingth": 25, "adapter": {"type": "none"}, "behavior_dim": 3}
    assert len(prepare_session(config(tmp_path, **notes)).train) > 0
