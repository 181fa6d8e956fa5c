"""A synthetic session: deterministic, and as its docstring says."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch

from tests.visioncore.data.formats.support import same
from visioncore.data.synthetic.session import MEAN_SPIKES, RATE_HZ, TRIAL, TYPES, SyntheticSession, make_session


@pytest.fixture(scope="module")
def session() -> SyntheticSession:
    return make_session(7, "Logan_2022-03-01", frames=3000, size=11, lags=6, n_units=8, n_dead=2)


def test_the_same_arguments_make_the_same_session(session: SyntheticSession) -> None:
    again = make_session(7, "Logan_2022-03-01", frames=3000, size=11, lags=6, n_units=8, n_dead=2)
    for kind in TYPES:
        assert same(again.recordings[kind], session.recordings[kind])
        np.testing.assert_array_equal(again.rates[kind], session.rates[kind])


def test_another_seed_makes_another_session(session: SyntheticSession) -> None:
    other = make_session(8, "Logan_2022-03-01", frames=3000, size=11, lags=6, n_units=8, n_dead=2)
    for kind in TYPES:
        for name in ("stim", "robs", "eyepos"):
            assert not torch.equal(other.recordings[kind][name], session.recordings[kind][name])


def test_no_generator_but_its_own(session: SyntheticSession) -> None:
    np.random.seed(0)
    torch.manual_seed(0)
    before = np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()  # type: ignore[index]
    make_session(0, frames=500, size=7)
    assert before == (np.random.get_state()[1].tolist(), torch.get_rng_state().tolist())  # type: ignore[index]


@pytest.mark.parametrize("kind", TYPES)
def test_covariates(session: SyntheticSession, kind: str) -> None:
    recording = session.recordings[kind].checked(kind)
    expected = {
        "stim": (torch.uint8, (3000, 11, 11)),
        "robs": (torch.float32, (3000, 8)),
        "eyepos": (torch.float32, (3000, 2)),
        "dpi_valid": (torch.float32, (3000,)),
        "trial_inds": (torch.int64, (3000,)),
        "t_bins": (torch.float64, (3000,)),
    }
    if kind == "fixrsvp":
        expected["psth_inds"] = (torch.int64, (3000,))
    assert {name: (value.dtype, tuple(value.shape)) for name, value in recording.covariates.items()} == expected
    assert recording.metadata == {"name": kind, "sess": "Logan_2022-03-01", "rate_hz": RATE_HZ}
    assert torch.equal(recording["trial_inds"], torch.arange(3000) // TRIAL)
    assert torch.allclose(recording["t_bins"].diff(), torch.tensor(1 / RATE_HZ, dtype=torch.float64))


def test_times_of_the_types_do_not_overlap(session: SyntheticSession) -> None:
    spans = sorted((r["t_bins"][0].item(), r["t_bins"][-1].item()) for r in session.recordings.values())
    assert all(end < start for (_, end), (start, _) in pairwise(spans))


def test_rates_are_the_cells_own(session: SyntheticSession) -> None:
    for kind, recording in session.recordings.items():
        np.testing.assert_allclose(session.cells.rates(recording["stim"].numpy()), session.rates[kind])


def test_each_cell_fires_the_usual_number_of_spikes(session: SyntheticSession) -> None:
    rates = np.concatenate(list(session.rates.values()))
    np.testing.assert_allclose(rates.mean(0), MEAN_SPIKES)
    assert (session.cells.gain > 0).all()


def test_counts_are_poisson(session: SyntheticSession) -> None:
    """Of the rates: the mean of z = (count − rate)/√rate is 0 and its variance 1, within five standard errors."""
    counts = np.concatenate([session.recordings[kind]["robs"].numpy() for kind in TYPES]).astype(float)
    rates = np.concatenate([session.rates[kind] for kind in TYPES])
    assert (counts == np.floor(counts)).all() and (counts >= 0).all()
    assert abs((counts - rates).sum(0) / np.sqrt(rates.sum(0))).max() < 5
    z2 = (counts - rates) ** 2 / rates
    spread = np.sqrt((2 + 1 / rates).sum(0))  # a Poisson count's z² has variance 2 + 1/rate
    assert abs((z2.sum(0) - len(rates)) / spread).max() < 5


def test_the_last_cells_are_dead(session: SyntheticSession) -> None:
    assert session.dead.tolist() == [False] * 6 + [True] * 2
    assert not make_session(0, frames=500, size=7, n_dead=0).dead.any()


def test_fixrsvp_shows_one_sequence_over_and_over(session: SyntheticSession) -> None:
    recording = session.recordings["fixrsvp"]
    stim, psth = recording["stim"].numpy(), recording["psth_inds"].numpy()
    for index in range(TRIAL):
        assert (stim[psth == index] == stim[psth == index][0]).all()
    trials = session.rates["fixrsvp"].reshape(-1, TRIAL, 8)
    np.testing.assert_allclose(trials[1:], np.broadcast_to(trials[1], trials[1:].shape))
    # before the first trial the screen was grey
    np.testing.assert_allclose(trials[0, 5:], trials[1, 5:])
    assert len(np.unique(stim, axis=0)) == TRIAL


def test_backimage_has_an_image_a_trial_that_moves_with_the_gaze(session: SyntheticSession) -> None:
    recording = session.recordings["backimage"]
    pixels = np.rint(recording["eyepos"].numpy() * 37.5 + (66 - 11) / 2).astype(int)
    stim = recording["stim"].numpy()
    for trial in range(0, 30, 5):
        seen = {}
        for t in range(trial * TRIAL, (trial + 1) * TRIAL):
            x, y = pixels[t]
            for (row, column), value in np.ndenumerate(stim[t, ::5, ::5]):
                place = (y + 5 * row, x + 5 * column)
                assert seen.setdefault(place, value) == value
    assert not np.array_equal(stim[0], stim[TRIAL])


def test_gaze_is_in_degrees_and_still_during_fixrsvp(session: SyntheticSession) -> None:
    reach = 2 * 11 / 37.5
    for kind, recording in session.recordings.items():
        assert recording["eyepos"].abs().max() <= reach * (0.0201 if kind == "fixrsvp" else 1.0001)


def test_the_eye_is_lost_now_and_then(session: SyntheticSession) -> None:
    for recording in session.recordings.values():
        valid = recording["dpi_valid"]
        assert set(valid.tolist()) == {0.0, 1.0}
        assert valid.mean() > 0.9


def test_frames_are_of_whole_trials() -> None:
    assert make_session(0, frames=550, size=7).recordings["gaborium"].frames == 500


@pytest.mark.parametrize("types", [("gaborium",), ("fixrsvp", "backimage")])
def test_some_types_only(types: tuple[str, ...]) -> None:
    session = make_session(0, frames=500, size=7, types=types)
    assert tuple(session.recordings) == tuple(session.rates) == types


def test_an_unknown_type_is_named() -> None:
    with pytest.raises(ValueError, match="stimulus type 'gratings' is not one of backimage, gaborium, fixrsvp"):
        make_session(0, frames=500, size=7, types=("gratings",))


def test_less_than_a_trial_is_no_session() -> None:
    with pytest.raises(ValueError, match=r"50 frames.*100"):
        make_session(0, frames=50, size=7)
