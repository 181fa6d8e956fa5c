"""Recordings to write, and how two are compared."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor

from visioncore.data.recording import Recording

FORMATS = (".dset", ".h5", ".zarr", ".nwb")
NATIVE = (".h5", ".zarr")
METADATA = {
    "name": "gaborium",
    "sess": "Allen_2022-02-16",
    "rate_hz": 240.0,
    "µ": ["é\n\0", None, True, {"deep": [1, -0.5]}],
}


def recording(frames: int = 40, metadata: dict[str, Any] | None = None, **covariates: Tensor) -> Recording:
    """Three units, a gap in time, gaze that is lost now and then, four trials; `covariates` replace or join them."""
    draw = torch.Generator().manual_seed(3)
    times = torch.arange(frames, dtype=torch.float64) / 240 + 5
    times[frames // 2 :] += 100
    usual = {
        "stim": torch.randint(0, 256, (frames, 6, 5), generator=draw, dtype=torch.uint8),
        "robs": torch.poisson(torch.full((frames, 3), 0.6), generator=draw),
        "eyepos": torch.randn(frames, 2, generator=draw),
        "dpi_valid": (torch.rand(frames, generator=draw) > 0.1).float(),
        "trial_inds": torch.arange(frames) // 10,
        "t_bins": times,
    }
    return Recording(usual | covariates, copy.deepcopy(METADATA) if metadata is None else metadata)


def same(one: Recording, other: Recording) -> bool:
    """In names, types, shapes, every bit of the values, and metadata."""
    return one.metadata == other.metadata and {n: _bits(v) for n, v in one.covariates.items()} == {
        n: _bits(v) for n, v in other.covariates.items()
    }


def _bits(value: Tensor) -> tuple[torch.dtype, torch.Size, bytes]:
    return value.dtype, value.shape, bytes(value.contiguous().reshape(-1).view(torch.uint8).numpy())
