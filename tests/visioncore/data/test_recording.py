"""A recording holds together, or says what does not."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from visioncore.data.errors import DataError
from visioncore.data.recording import Recording


def recording(**changed: Tensor | None) -> Recording:
    covariates: dict[str, Tensor | None] = {"stim": torch.zeros(4, 3, 3, dtype=torch.uint8), "robs": torch.zeros(4, 2)}
    return Recording({name: value for name, value in (covariates | changed).items() if value is not None})


def test_frames_names_and_values() -> None:
    made = recording()
    assert made.frames == 4
    assert "stim" in made and "eyepos" not in made
    assert made["robs"].shape == (4, 2)
    assert made.checked("a.h5") is made


def test_lengths_that_differ_are_told() -> None:
    with pytest.raises(DataError, match="stim 4, robs 3"):
        recording(robs=torch.zeros(3, 2))


def test_nothing_and_scalars_are_no_covariates() -> None:
    with pytest.raises(DataError, match="none at all"):
        Recording({})
    with pytest.raises(DataError, match="rate"):
        recording(rate=torch.tensor(240.0))


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"stim": None}, "no covariate 'stim'; found robs"),
        ({"robs": None}, "no covariate 'robs'; found stim"),
        ({"robs": torch.zeros(4)}, r"robs is \(T, units\)"),
        ({"robs": torch.zeros(4, 2, 1)}, r"robs is \(T, units\)"),
        ({"robs": torch.zeros(4, 0)}, r"\(4, 0\) found"),
        ({"stim": torch.zeros(4, 9)}, r"stim is \(T, H, W\)"),
        ({"stim": torch.zeros(4, 0, 3)}, r"\(4, 0, 3\) found"),
        ({"stim": torch.full((4, 3, 3), torch.nan)}, "not finite, first in frame 0"),
    ],
)
def test_what_nothing_can_be_trained_on(changed: dict[str, Tensor | None], told: str) -> None:
    with pytest.raises(DataError, match=rf"^a\.h5: .*{told}"):
        recording(**changed).checked("a.h5")


def test_no_frames_at_all() -> None:
    with pytest.raises(DataError, match=r"\(0, 3, 3\) found"):
        recording(stim=torch.zeros(0, 3, 3), robs=torch.zeros(0, 2)).checked("a.h5")


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_the_first_frame_that_is_not_finite_is_named(value: float) -> None:
    stim = torch.zeros(4, 3, 3)
    stim[2, 1, 1] = value
    with pytest.raises(DataError, match="first in frame 2"):
        recording(stim=stim).checked("a.h5")


def test_unknown_spikes_are_no_fault() -> None:
    """A filter's mask may leave them out."""
    made = recording(robs=torch.full((4, 2), torch.nan))
    assert made.checked("a.h5") is made
