"""From the rate of the recording to the rate of the model."""

from __future__ import annotations

import torch
from torch import Tensor

from visioncore.compat import Compat
from visioncore.data.errors import DataError
from visioncore.data.recording import Recording

SUMMED = ("robs",)
DECIMATED = ("stim", "stim_phase", "ori", "sf")
# numbers that name something; half-way between two of them there is nothing
INDICES = ("trial_inds",)


def downsampled(recording: Recording, factor: int, compat: Compat) -> Recording:
    """`factor` frames become one: spikes summed, stimulus and indices those of the first, all else averaged over what is
    not NaN; a last, incomplete one is left out. `psth_inds` count frames and are divided. Raises DataError where nothing is left.
    """
    if factor == 1:
        return recording
    frames = recording.frames // factor
    if not frames:
        raise DataError(f"{recording.frames} frames make none at a rate {factor} times lower")
    indices = () if compat.downsample_averages_indices else INDICES
    return Recording(
        {name: _reduced(name, value, frames, factor, indices) for name, value in recording.covariates.items()},
        recording.metadata,
    )


def _reduced(name: str, value: Tensor, frames: int, factor: int, indices: tuple[str, ...]) -> Tensor:
    value = value[: frames * factor]
    if name == "psth_inds":
        return value[::factor] // factor
    if name in (*DECIMATED, *indices):
        return value[::factor]
    groups = value.reshape(frames, factor, *value.shape[1:])
    if name in SUMMED:
        return groups.sum(1, dtype=value.dtype)
    if value.is_floating_point():
        # nanmean() may differ from mean() in the last bit
        return groups.nanmean(1) if groups.isnan().any() else groups.mean(1)
    if value.dtype == torch.bool:
        return groups.any(1)
    return groups.sum(1).div(factor, rounding_mode="floor").to(value.dtype)
