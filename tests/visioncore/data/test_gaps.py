"""What is not known stays out of what is trained on, and changes nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from visioncore.compat import Compat
from visioncore.data.errors import DataError
from visioncore.data.formats import write_recording
from visioncore.data.gaps import bridged
from visioncore.data.prepare import prepare_session
from visioncore.data.recording import Recording
from visioncore.data.resample import downsampled

FRAMES, BLINK = 120, slice(30, 40)
NAN = torch.nan
VELOCITY = [{"diff": {"axis": 0}}, "maxnorm", "symlog", {"splitrelu": {}}]


def gaze() -> Tensor:
    return torch.randn(FRAMES, 2, generator=torch.Generator().manual_seed(0)).cumsum(0)


def tracked() -> Tensor:
    seen = torch.ones(FRAMES)
    seen[BLINK] = 0
    return seen


def lost(value: float = NAN) -> Tensor:
    eye = gaze()
    eye[BLINK] = value
    return eye


def prepared(folder: Path, ops: list[Any] | None = None, filters: list[Any] | None = None, **covariates: Tensor) -> Any:
    path = folder / "sessions" / "Allen_2022-02-16" / "datasets" / "gaborium.dset"
    everything = {
        "stim": torch.zeros(FRAMES, 3, 3, dtype=torch.uint8),
        "robs": torch.ones(FRAMES, 3),
        "trial_inds": torch.arange(FRAMES) // 10,
        "dpi_valid": tracked(),
        "eyepos": gaze(),
        **covariates,
    }
    write_recording(Recording(everything), path)
    config = {
        "session": "Allen_2022-02-16",
        "session_dir": "sessions",
        "types": ["gaborium"],
        "keys_lags": {"robs": 0, "stim": [0, 1], "behavior": 0, "dfs": 0},
        "transforms": {"eye": {"source": "eyepos", "ops": VELOCITY if ops is None else ops, "expose_as": "behavior"}},
        "datafilters": {"dfs": {"ops": [{"valid_nlags": 2}] if filters is None else filters}},
        "cids": [2, 0],
        "_config_path": str(folder / "Allen.yaml"),
    }
    return prepare_session(config).train.session.covariates


@pytest.mark.parametrize("value", [NAN, torch.inf])
@pytest.mark.parametrize("ops", [VELOCITY, [{"smooth": 2}], [{"temporal_basis": {"causal": False}}]])
def test_a_blink_is_not_seen_elsewhere(tmp_path: Path, ops: list[Any], value: float) -> None:
    assert prepared(tmp_path, ops, eyepos=lost(value))["behavior"].isfinite().all()


def test_where_the_eye_is_known_the_trace_is_what_it_would_be_without_the_blink(tmp_path: Path) -> None:
    whole = prepared(tmp_path / "whole")["behavior"]
    gap = prepared(tmp_path / "gap", eyepos=lost())["behavior"]
    known = torch.ones(FRAMES, dtype=torch.bool)
    known[30:41] = False  # frame 40's velocity is since frame 39
    assert torch.equal(gap[known], whole[known])


def test_what_is_finite_keeps_its_bits_and_its_memory() -> None:
    recording = Recording({"eyepos": gaze()})
    made = bridged(recording, ["eyepos"], torch.ones(FRAMES, dtype=torch.bool))
    assert made["eyepos"] is recording["eyepos"]


def test_a_gap_becomes_a_straight_line() -> None:
    trace = torch.tensor([NAN, 1.0, NAN, NAN, 4.0, NAN])
    made = bridged(Recording({"eye": trace}), ["eye"], torch.zeros(6, dtype=torch.bool))
    assert made["eye"].tolist() == [1, 1, 2, 3, 4, 4] and trace[0].isnan()


def test_half_a_blink_is_known_at_half_the_rate() -> None:
    eye = torch.tensor([1.0, 2.0, 3.0, NAN, NAN, NAN])
    made = downsampled(Recording({"eyepos": eye}), 2, Compat())["eyepos"]
    assert made[:2].tolist() == [1.5, 3.0] and made[2].isnan()


def test_spikes_that_the_mask_hides_may_be_unknown(tmp_path: Path) -> None:
    robs = torch.ones(FRAMES, 3)
    robs[BLINK] = NAN
    robs[:, 1] = NAN  # a cell that is not in cids
    assert prepared(tmp_path, robs=robs)["robs"][BLINK].isnan().all()


def spikes(value: float) -> Tensor:
    robs = torch.ones(FRAMES, 3)
    robs[57, 2] = value
    return robs


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (
            {"filters": [], "eyepos": lost()},
            r"eyepos is not finite where samples are taken, first in frame 30 \(10 in all\)",
        ),
        (
            {"eyepos": torch.full((FRAMES, 2), NAN), "dpi_valid": torch.zeros(FRAMES)},
            "eyepos has a column without one finite value",
        ),
        (
            {"eyepos": torch.zeros(FRAMES, 2)},
            "transforms.eye: op maxnorm divides by the greatest magnitude, and it is 0",
        ),
        ({"ops": [{"mul": 1e300}]}, "behavior is not finite once its ops are done, first in frame"),
        ({"robs": spikes(NAN)}, r"robs is 0 spikes or more .* nan found for cell 2, first in frame 57 \(1 in all"),
        ({"robs": spikes(torch.inf)}, ".*; inf found for cell 2"),
        ({"robs": spikes(-1)}, ".*; -1 found for cell 2"),
    ],
)
def test_what_would_be_trained_on_and_is_no_number_is_told(tmp_path: Path, more: dict[str, Any], sentence: str) -> None:
    with pytest.raises(DataError, match=rf"gaborium\.dset: {sentence}"):
        prepared(tmp_path, **more)
