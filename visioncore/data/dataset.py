"""The samples of a session: a frame, its history, the spikes in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from visioncore.data.buffers import Slabs
from visioncore.data.config import Lags

# byte → contrast as pixelnorm has it, made on the CPU: CUDA's own division differs in the last bit for 126 of the 256 (facts 13, F50)
CONTRAST = (torch.arange(256).float() - 127) / 255
AS_RECORDED = torch.arange(256).float()


@dataclass(frozen=True)
class Frames:
    """All recordings of a session one behind the other, in memory once for its training and its validation samples.

    covariates: (T, …) by name, `stim` (T, C, H, W); starts: the frame at which each recording begins; lags: of what samples hold;
    pixelnorm: whether it is yet to be applied to the stimulus; types: the name of each recording
    """

    name: str
    covariates: Mapping[str, Tensor]
    lags: Mapping[str, Lags]
    pixelnorm: bool
    types: Sequence[str] = ()
    starts: Tensor = field(default_factory=lambda: torch.zeros(1, dtype=torch.int64))


class SessionDataset(Dataset[dict[str, Tensor]]):
    """Samples at the frames `frames` (S,) of a session.

    Sample: stim (C, L, H, W) with lag 0, the current frame, first; robs (N,) spikes; dfs (1,) or (N,) above 0 where it counts;
    behavior (K,); whatever else `keys_lags` names.
    """

    def __init__(self, session: Frames, frames: Tensor) -> None:
        self.session, self.frames = session, frames
        self.name = session.name
        self._rows = {
            name: value.reshape(len(value), -1) for name, value in session.covariates.items() if name in session.lags
        }
        self._lags = {name: torch.as_tensor(lags) for name, lags in session.lags.items()}

    @property
    def stimulus(self) -> Tensor:
        """(T, C, H, W)"""
        return self.session.covariates["stim"]

    @property
    def stim_table(self) -> Tensor | None:
        """(256,) what each byte of the stimulus stands for; None where the stimulus is no bytes."""
        if self.stimulus.dtype != torch.uint8:
            return None
        return CONTRAST if self.session.pixelnorm else AS_RECORDED

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, i: int) -> dict[str, Tensor]:
        if not -len(self) <= i < len(self):
            raise IndexError(f"{self.name}: sample {i} of {len(self)}")
        sample = {name: values[0] for name, values in self.gather(torch.tensor([i])).items()}
        if self.stim_table is not None:
            sample["stim"] = self.stim_table[sample["stim"].long()]
        return sample

    def gather(self, indices: Tensor, slabs: Slabs | None = None) -> dict[str, Tensor]:
        """Samples `indices` (B,) as a batch, in memory of `slabs`; a byte stimulus stays bytes, to be normalised where the device is."""
        frames = self.frames[indices]
        return {name: self._gathered(name, frames, slabs) for name in self._rows}

    def _gathered(self, name: str, frames: Tensor, slabs: Slabs | None) -> Tensor:
        lags, rows = self._lags[name], self._rows[name]
        where = (frames[:, None] - lags).flatten()
        shape = (len(where), rows.shape[1])
        taken = torch.empty(shape, dtype=rows.dtype) if slabs is None else slabs.take(shape, rows.dtype)
        # numpy's, because torch's spreads over threads, and those of a loader's worker would be in the way of the training's
        np.take(rows.numpy(), where.numpy(), axis=0, out=taken.numpy(), mode="clip")
        covariate = self.session.covariates[name].shape[1:]
        if not lags.dim():
            return taken.view(len(frames), *covariate)
        taken = taken.view(len(frames), len(lags), *covariate)
        return self._finished(taken) if name == "stim" else taken

    def _finished(self, stim: Tensor) -> Tensor:
        """(B, L, C, H, W) → (B, C, L, H, W), where the stimulus is float with its normalisation."""
        stim = stim.transpose(1, 2).contiguous()
        if stim.is_floating_point() and self.session.pixelnorm:
            stim = (stim - 127) / 255
        return stim
