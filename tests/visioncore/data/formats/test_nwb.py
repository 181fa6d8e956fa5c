"""What other programs find in our NWB files, and what NWB cannot hold."""

from __future__ import annotations

import json
import re
from datetime import datetime
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from pynwb import NWBHDF5IO, validate
from torch import Tensor

from tests.visioncore.data.formats.support import recording, same
from visioncore.data.errors import DataError
from visioncore.data.formats import read_recording, write_recording
from visioncore.data.recording import Recording


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("nwb") / "gaborium.nwb"
    write_recording(recording(ori=torch.arange(40.0)), path)
    return path


def test_it_is_valid_nwb(path: Path) -> None:
    assert not validate(path=str(path))


def test_what_is_where(path: Path) -> None:
    made = recording()
    with NWBHDF5IO(path, "r") as io:
        nwb = io.read()
        frames = nwb.stimulus["stim"]
        np.testing.assert_array_equal(frames.data[:], made["stim"])
        np.testing.assert_array_equal(frames.timestamps[:], made["t_bins"])
        gaze = nwb.processing["behavior"]["EyeTracking"]["eyepos"]
        np.testing.assert_array_equal(gaze.data[:], made["eyepos"])
        assert gaze.unit == "degrees"
        np.testing.assert_array_equal(gaze.timestamps[:], made["t_bins"])
        np.testing.assert_array_equal(nwb.processing["behavior"]["dpi_valid"].data[:], made["dpi_valid"])
        np.testing.assert_array_equal(nwb.processing["covariates"]["ori"].data[:], np.arange(40))
        assert [len(unit) for unit in nwb.units["spike_times"][:]] == made["robs"].sum(0).tolist()
        assert nwb.trials["trial"][:].tolist() == [0, 1, 2, 3]
        np.testing.assert_array_equal(nwb.trials["start_time"][:], made["t_bins"][::10])
        np.testing.assert_array_equal(nwb.trials["stop_time"][:], made["t_bins"][9::10])
        assert nwb.session_start_time.date().isoformat() == "2022-02-16"
        assert nwb.session_id == "Allen_2022-02-16"
        assert json.loads(nwb.scratch["visioncore"].data)["format_version"] == 1


def test_spikes_are_in_their_bins(path: Path) -> None:
    made = recording()
    with NWBHDF5IO(path, "r") as io:
        spikes = io.read().units["spike_times"][1]
    times = made["t_bins"].numpy()
    np.testing.assert_array_equal(
        np.bincount(np.searchsorted(times, spikes, side="right") - 1, minlength=40), made["robs"][:, 1]
    )


@pytest.mark.parametrize("session", ["Allen", "Allen_2022-02-31", "2022-02-16_Allen", None])
def test_a_session_without_a_day(tmp_path: Path, session: str | None) -> None:
    write_recording(recording(metadata={"sess": session}), tmp_path / "a.nwb")
    with NWBHDF5IO(tmp_path / "a.nwb", "r") as io:
        start: datetime = io.read().session_start_time
    assert start.date().isoformat() == ("2022-02-16" if session and session.startswith("2022") else "1970-01-01")
    assert read_recording(tmp_path / "a.nwb").metadata == {"sess": session}


@pytest.mark.parametrize(
    ("covariates", "told"),
    [
        (
            {"robs": torch.full((40, 2), 0.5)},
            r"robs \(T, units\) are not all whole numbers.*\.h5, \.zarr and \.dset hold",
        ),
        ({"robs": torch.full((40, 2), -1)}, "whole numbers from 0 on"),
        ({"robs": torch.full((40, 2), torch.nan)}, "whole numbers from 0 on"),
        ({"robs": torch.full((40, 2), torch.inf)}, "whole numbers from 0 on"),
        ({"robs": torch.full((40, 2), 1e30)}, r"8e\+31 spikes are too many"),
        ({"robs": torch.zeros(40)}, r"robs \(T, units\)"),
        ({"robs": torch.full((40, 2), 10**9)}, r"8e\+10 spikes are too many"),
        ({"t_bins": torch.zeros(40)}, "increase from bin to bin"),
        ({"t_bins": -torch.arange(40.0)}, "increase from bin to bin"),
        ({"t_bins": torch.full((40,), torch.nan)}, "increase from bin to bin"),
        ({"t_bins": torch.zeros(40, 1)}, r"t_bins \(T,\)"),
        ({"t_bins": torch.arange(40) + 2**60}, "t_bins"),
        ({"stim": torch.zeros(40, 6)}, r"no stim of shape \(40, 6\)"),
        ({"phase": torch.zeros(40, dtype=torch.complex64)}, "no phase of .* type complex64"),
        ({"phase": torch.zeros(40, 1, 1, 1, 1)}, "no phase of shape"),
    ],
)
def test_what_nwb_cannot_hold(tmp_path: Path, covariates: dict[str, Tensor], told: str) -> None:
    with pytest.raises(DataError, match=told) as error:
        write_recording(recording(**covariates), tmp_path / "a.nwb")
    assert str(tmp_path / "a.nwb") in str(error.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["stim", "robs", "t_bins"])
def test_what_nwb_needs(tmp_path: Path, name: str) -> None:
    made = recording()
    covariates = {each: value for each, value in made.covariates.items() if each != name}
    with pytest.raises(DataError, match=f"{name} is missing; .h5, .zarr and .dset do without"):
        write_recording(Recording(covariates), tmp_path / "a.nwb")


def test_what_nwb_does_without(tmp_path: Path) -> None:
    made = recording()
    bare = Recording({name: made[name] for name in ("robs", "t_bins", "stim")})
    write_recording(bare, tmp_path / "a.nwb")
    assert same(read_recording(tmp_path / "a.nwb"), bare)


def test_silent_units_come_back(tmp_path: Path) -> None:
    made = recording(robs=torch.zeros(40, 4, dtype=torch.int64))
    made["robs"][3, 1] = 2
    write_recording(made, tmp_path / "a.nwb")
    assert same(read_recording(tmp_path / "a.nwb"), made)


def test_bfloat16_is_float32_to_others(tmp_path: Path) -> None:
    made = recording(ori=torch.arange(40.0).bfloat16(), robs=torch.ones(40, 2).bfloat16())
    write_recording(made, tmp_path / "a.nwb")
    assert same(read_recording(tmp_path / "a.nwb"), made)
    with NWBHDF5IO(tmp_path / "a.nwb", "r") as io:
        assert io.read().processing["covariates"]["ori"].data[:].tolist() == list(range(40))


def test_names_that_hdf5_would_cut(tmp_path: Path) -> None:
    made = recording(metadata={"sess": "a\0b\ud800", "name": "\0"})
    write_recording(made, tmp_path / "a.nwb")
    assert same(read_recording(tmp_path / "a.nwb"), made)


def test_a_trial_a_frame(tmp_path: Path) -> None:
    write_recording(recording(trial_inds=torch.arange(40)), tmp_path / "a.nwb")
    with NWBHDF5IO(tmp_path / "a.nwb", "r") as io:
        assert len(io.read().trials) == 40


def test_minus_zero_spikes_are_none(tmp_path: Path) -> None:
    write_recording(recording(robs=torch.full((40, 1), -0.0)), tmp_path / "a.nwb")
    assert same(read_recording(tmp_path / "a.nwb"), recording(robs=torch.zeros(40, 1)))


def edited(path: Path, change: Any) -> None:
    """Another program's hand in the file."""
    with h5py.File(path, "r+") as file:
        own = json.loads(file["scratch/visioncore"].asstr()[()])
        change(file, own)
        file["scratch/visioncore"][()] = json.dumps(own)


def test_spikes_that_were_sorted_anew_are_counted_anew(tmp_path: Path) -> None:
    write_recording(recording(), tmp_path / "a.nwb")

    def change(file: Any, own: dict[str, Any]) -> None:
        file["units/spike_times"][:] = 5.0

    edited(tmp_path / "a.nwb", change)
    read = read_recording(tmp_path / "a.nwb")["robs"]
    assert read[0].tolist() == recording()["robs"].sum(0).tolist() and read[1:].sum() == 0


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda file, own: own.update(format_version=2), "format_version is 2, 1 is expected"),
        (lambda file, own: own["dtypes"].update(robs="float99"), "unknown type of numbers, 'float99'"),
        (lambda file, own: own["dtypes"].update(lost="uint8"), "KeyError.'lost'"),
        (lambda file, own: own.pop("dtypes"), "KeyError.'dtypes'"),
        (lambda file, own: own.update(metadata=[1]), "metadata is a dict, list found"),
        (lambda file, own: file.__delitem__("stimulus/presentation/stim"), "is damaged"),
        (lambda file, own: file.__delitem__("units/spike_times"), "is damaged|no spike times"),
    ],
    ids=range(7),
)
def test_what_is_no_longer_ours(tmp_path: Path, change: Any, told: str) -> None:
    write_recording(recording(), tmp_path / "a.nwb")
    edited(tmp_path / "a.nwb", change)
    with pytest.raises(DataError, match=told) as error:
        read_recording(tmp_path / "a.nwb")
    assert re.match(re.escape(str(tmp_path / "a.nwb")), str(error.value))
