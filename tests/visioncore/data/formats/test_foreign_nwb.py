"""NWB files as other labs write them."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pynwb import NWBHDF5IO, NWBFile, TimeSeries
from pynwb.base import ImageReferences, Images
from pynwb.behavior import EyeTracking, Position, PupilTracking, SpatialSeries
from pynwb.image import GrayscaleImage, ImageSeries, IndexSeries, OpticalSeries

from visioncore.data.errors import DataError
from visioncore.data.formats import read_recording
from visioncore.data.recording import Recording

T = 30
TIMES = 2.0 + np.arange(T) / 60
FRAMES = np.random.default_rng(0).integers(0, 256, (T, 4, 3)).astype(np.uint8)
SPIKES = ([2.001, 2.002, 2.020, 99.0], [], [1.9, TIMES[-1] + 0.001])


def images(name: str = "movie", **changed: Any) -> ImageSeries:
    return ImageSeries(**({"name": name, "data": FRAMES, "unit": "n.a.", "timestamps": TIMES} | changed))


def old(kind: type, **fields: Any) -> Any:
    """A series as old versions of pynwb let one write it, and the present one only lets one read."""
    made = kind.__new__(kind, in_construct_mode=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made.__init__(**fields)
    made._in_construct_mode = False
    return made


def gaze(name: str = "gaze", data: Any = None, times: Any = TIMES, **changed: Any) -> SpatialSeries:
    position = np.stack([TIMES, -TIMES], 1) if data is None else data
    return SpatialSeries(
        name=name, data=position, timestamps=times, reference_frame="screen", unit="degrees", **changed
    )


def session(*presented: Any, spikes: Any = SPIKES) -> NWBFile:
    nwb = NWBFile("a session", "id-7", datetime(2020, 1, 1, tzinfo=UTC))
    for each in presented:
        nwb.add_stimulus(each)
    for unit, times in enumerate(spikes):
        nwb.add_unit(spike_times=np.array(times, dtype=float), id=100 + unit)
    return nwb


Read = Callable[..., Recording]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """The file written and read back."""

    def written(nwb: NWBFile, name: str = "natural.nwb") -> Recording:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with NWBHDF5IO(tmp_path / name, "w") as io:
                io.write(nwb)
        return read_recording(tmp_path / name)

    return written


def test_frames_and_spikes_in_their_time(read: Read) -> None:
    made = read(session(images()))
    np.testing.assert_array_equal(made["stim"], FRAMES)
    np.testing.assert_array_equal(made["t_bins"], TIMES)
    expected = np.zeros((T, 3))
    expected[0, 0], expected[1, 0], expected[-1, 2] = 2, 1, 1
    np.testing.assert_array_equal(made["robs"], expected)
    assert made["robs"].dtype == torch.float32 and made["stim"].dtype == torch.uint8
    assert made.metadata["name"] == "natural" and made.metadata["sess"] == "id-7"
    assert made.metadata["rate_hz"] == pytest.approx(60)
    assert made.metadata["unit_ids"] == ["100", "101", "102"]
    assert "eyepos" not in made and "dpi_valid" not in made


def test_frames_at_a_rate(read: Read) -> None:
    made = read(session(images(timestamps=None, rate=50.0, starting_time=3.0)))
    np.testing.assert_allclose(made["t_bins"], 3 + np.arange(T) / 50)


def test_an_optical_series(read: Read) -> None:
    series = OpticalSeries(
        name="screen",
        distance=0.5,
        field_of_view=[0.4, 0.3],
        orientation="up",
        data=FRAMES,
        unit="n.a.",
        timestamps=TIMES,
    )
    np.testing.assert_array_equal(read(session(series))["stim"], FRAMES)


@pytest.mark.parametrize(
    ("kind", "expected"), [("uint16", torch.int32), (">f4", torch.float32), ("int16", torch.int16)]
)
def test_other_pixels(read: Read, kind: str, expected: torch.dtype) -> None:
    made = read(session(images(data=FRAMES.astype(kind))))
    assert made["stim"].dtype == expected
    np.testing.assert_array_equal(made["stim"].numpy(), FRAMES)


def test_of_several_the_one_called_like_the_file(read: Read) -> None:
    nwb = session(images("movie", data=FRAMES[:, ::-1]), images("natural"))
    np.testing.assert_array_equal(read(nwb)["stim"], FRAMES)
    with pytest.raises(DataError, match=r"several image series were presented, movie, natural"):
        read(session(images("movie"), images("natural")), "other.nwb")


def test_an_index_into_a_movie(read: Read) -> None:
    """A movie that was shown again and again."""
    shown = np.tile(np.arange(10), 3)
    template = images("template", data=FRAMES[:10], timestamps=None, rate=1.0)
    nwb = session(old(IndexSeries, name="movie", data=shown, indexed_timeseries=template, unit="N/A", timestamps=TIMES))
    nwb.add_stimulus_template(template)
    np.testing.assert_array_equal(read(nwb)["stim"], FRAMES[shown])


def test_an_index_into_images(read: Read) -> None:
    pictures = [GrayscaleImage(name=f"i{number}", data=FRAMES[number]) for number in (2, 0, 1)]
    template = Images(
        name="set", images=pictures, order_of_images=ImageReferences(name="order_of_images", data=pictures)
    )
    shown = np.arange(T) % 3
    nwb = session(IndexSeries(name="scenes", data=shown, indexed_images=template, unit="N/A", timestamps=TIMES))
    nwb.add_stimulus_template(template)
    np.testing.assert_array_equal(read(nwb)["stim"], FRAMES[[2, 0, 1]][shown])


def test_an_index_to_nowhere(read: Read) -> None:
    template = images("template")
    nwb = session(
        old(IndexSeries, name="movie", data=np.arange(T) + 1, indexed_timeseries=template, unit="N/A", timestamps=TIMES)
    )
    nwb.add_stimulus_template(template)
    with pytest.raises(DataError, match="'movie' points outside of its 30 images"):
        read(nwb)


def test_gaze_is_interpolated_at_the_frames(read: Read) -> None:
    nwb = session(images())
    sampled = np.linspace(1.5, 2.3, 300)  # ends before the last frames
    position = np.stack([sampled, -2 * sampled], 1)
    position[100:110] = np.nan  # a blink
    behavior = nwb.create_processing_module("behavior", "eyes")
    behavior.add(EyeTracking(spatial_series=gaze("eye_tracking", position, sampled, conversion=2.0, offset=1.0)))
    made = read(nwb)
    inside = TIMES <= 2.3
    blink = abs(TIMES - sampled[[99, 110]].mean()) < (sampled[110] - sampled[99]) / 2
    np.testing.assert_array_equal(made["dpi_valid"], inside & ~blink)
    known = made["dpi_valid"].numpy() > 0
    np.testing.assert_allclose(made["eyepos"][known], np.stack([2 * TIMES + 1, -4 * TIMES + 1], 1)[known], rtol=1e-5)
    assert torch.isfinite(made["eyepos"]).all()
    assert made.metadata["eyepos_unit"] == "degrees"


def test_which_series_is_the_gaze(read: Read) -> None:
    """Not where the animal stands, nor the size of its pupil."""
    nwb = session(images())
    behavior = nwb.create_processing_module("behavior", "eyes")
    behavior.add(Position(spatial_series=gaze("position", np.full((T, 2), 5.0))))
    behavior.add(PupilTracking(time_series=TimeSeries(name="eye_area", data=np.ones(T), unit="px", timestamps=TIMES)))
    assert "eyepos" not in read(nwb)
    nwb = session(images())
    behavior = nwb.create_processing_module("behavior", "eyes")
    series = [gaze("corneal", np.full((T, 2), 5.0)), gaze("eye", np.full((T, 2), 6.0)), gaze("eye_z", np.ones((T, 3)))]
    behavior.add(EyeTracking(spatial_series=series))
    assert (read(nwb)["eyepos"] == 6).all()
    nwb = session(images())
    nwb.add_acquisition(gaze("right_gaze", np.full((T, 2), 7.0)))
    assert (read(nwb)["eyepos"] == 7).all()


def test_gaze_that_was_never_seen(read: Read) -> None:
    nwb = session(images())
    nwb.add_acquisition(gaze(data=np.full((T, 2), np.nan)))
    made = read(nwb)
    assert (made["eyepos"] == 0).all() and (made["dpi_valid"] == 0).all()


def test_gaze_is_not_known_over_a_pause(read: Read) -> None:
    """Nor is the tracker's clock as good as the screen's."""
    nwb = session(images())
    sampled = np.concatenate([np.arange(1.9, 2.1, 0.002), np.arange(2.3, 2.6, 0.002)])
    sampled[10], sampled[11] = sampled[9], np.nan
    nwb.add_acquisition(gaze(data=np.stack([sampled, sampled], 1), times=sampled))
    valid = read(nwb)["dpi_valid"].numpy()
    np.testing.assert_array_equal(valid, (TIMES <= 2.098) | (TIMES >= 2.3))


def test_trials(read: Read) -> None:
    nwb = session(images())
    for start, stop in ((TIMES[12], TIMES[19]), (TIMES[2], TIMES[9])):
        nwb.add_trial(start_time=start, stop_time=stop)
    assert read(nwb)["trial_inds"].tolist() == [-1] * 2 + [1] * 8 + [-1] * 2 + [0] * 8 + [-1] * 10


def test_blocks_where_there_are_no_trials(read: Read) -> None:
    assert read(session(images(timestamps=None, rate=1.0)))["trial_inds"].tolist() == [0] * 10 + [1] * 10 + [2] * 10


def test_spikes_between_presentations_are_of_no_frame(read: Read) -> None:
    times = TIMES.copy()
    times[15:] += 100
    made = read(session(images(timestamps=times), spikes=[np.linspace(2, 103, 10_000)]))
    assert made["robs"].sum() == pytest.approx(T / 60 * 99, abs=3)


@pytest.mark.parametrize(
    ("nwb", "told"),
    [
        (lambda: session(), "no image series among the stimuli"),
        (lambda: session(images(), spikes=()), "no unit with spike times"),
        (lambda: session(images(data=np.zeros((T, 4, 3, 3), np.uint8))), r"'movie' are grey, \(T, H, W\)"),
        (lambda: session(images(timestamps=TIMES[::-1])), "timestamps of 'movie'"),
        (
            lambda: session(old(ImageSeries, name="m", data=FRAMES, unit="n.a.", timestamps=TIMES[:5])),
            "stim 30, .*robs 5",
        ),
        (lambda: session(images(timestamps=np.append(TIMES[:-1], np.nan))), "timestamps of 'movie'"),
        (lambda: session(images(data=np.full((T, 4, 3), np.nan))), "not finite, first in frame 0"),
        (lambda: session(images(data=np.zeros((0, 4, 3)), timestamps=np.zeros(0))), "timestamps of 'movie'"),
        (
            lambda: session(images(data=None, external_file=["a.avi"], starting_frame=[0], format="external")),
            r"'movie' are in other files \(a\.avi\)",
        ),
    ],
    ids=range(9),
)
def test_what_is_no_recording(read: Read, nwb: Callable[[], NWBFile], told: str) -> None:
    with pytest.raises(DataError, match=told) as error:
        read(nwb())
    assert "natural.nwb" in str(error.value)


def test_units_without_spike_times(read: Read) -> None:
    nwb = session(images(), spikes=())
    nwb.add_unit_column("quality", "how good")
    nwb.add_unit(quality="good")
    with pytest.raises(DataError, match="the units have no spike times"):
        read(nwb)
