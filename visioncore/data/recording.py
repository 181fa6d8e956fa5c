"""One stimulus type of a session, in memory."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from visioncore.data.errors import DataError


@dataclass(frozen=True)
class Recording:
    """Covariates by name, each with the frames along its first axis, T of them.

    stim (T, H, W) uint8, robs (T, units) spikes a bin, eyepos (T, 2) degrees, trial_inds (T,), t_bins (T,) seconds, dpi_valid (T,)
    above 0 where the eye tracker had the eye; and others. Raises DataError where the lengths differ or nothing is in it.
    """

    covariates: dict[str, Tensor]
    metadata: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        lengths = {name: len(value) for name, value in self.covariates.items() if value.ndim}
        scalars = [name for name, value in self.covariates.items() if not value.ndim]
        if not lengths or scalars:
            raise DataError(f"covariates have frames along the first axis; {scalars or 'none at all'} found without")
        if len(set(lengths.values())) > 1:
            told = ", ".join(f"{name} {length}" for name, length in lengths.items())
            raise DataError(f"all covariates have the same number of frames; found {told}")

    @property
    def frames(self) -> int:
        """T."""
        return len(next(iter(self.covariates.values())))

    def __getitem__(self, name: str) -> Tensor:
        return self.covariates[name]

    def __contains__(self, name: str) -> bool:
        return name in self.covariates

    def checked(self, source: str) -> Recording:
        """Itself. Raises DataError: `stim` or `robs` missing, empty or misshapen, a stimulus that is not finite, or several values
        a frame where there is one."""
        for name, axes in (("stim", "(T, H, W)"), ("robs", "(T, units)")):
            value = self.covariates.get(name)
            if value is None:
                raise DataError(f"{source}: there is no covariate {name!r}; found {', '.join(sorted(self.covariates))}")
            if not (value.ndim == 2 if name == "robs" else value.ndim >= 3) or not value.numel():
                raise DataError(f"{source}: {name} is {axes}, none of them 0; {tuple(value.shape)} found")
            if value.is_floating_point() and name == "stim" and not torch.isfinite(value).all():
                frame = int((~torch.isfinite(value.flatten(1)).all(1)).nonzero()[0])
                raise DataError(
                    f"{source}: the stimulus is not finite, first in frame {frame}; mend the recording or leave its type out"
                )
        for name in ("trial_inds", "t_bins", "dpi_valid", "psth_inds"):
            if name in self and self[name].numel() != self.frames:
                raise DataError(f"{source}: {name} is (T,), {tuple(self[name].shape)} found")
        return self
