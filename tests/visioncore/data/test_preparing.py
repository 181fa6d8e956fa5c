"""From dataset YAMLs and recordings to training and validation samples."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import pytest
import torch

from visioncore.data.config import parse_dataset_config, session_folder
from visioncore.data.errors import DataError
from visioncore.data.formats import write_recording
from visioncore.data.prepare import prepare_session
from visioncore.data.recording import Recording
from visioncore.errors import ConfigError


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
