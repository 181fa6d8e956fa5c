"""Contrast of samples, for the curriculum."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Scores = NDArray[np.float32]
CHUNK = 4096  # frames at a time


class HasStimulus(Protocol):
    """What of a `SessionDataset` is looked at: stimulus (T, C, H, W), and the frame of each sample."""

    @property
    def stimulus(self) -> Tensor: ...

    @property
    def frames(self) -> Tensor: ...


def frame_contrast(stimulus: Tensor, *, half: bool = False) -> Scores:
    """Standard deviation of each frame over (C, H, W) → (T,). half: in float16 and all at once, as the old trainer did."""
    if half:
        return _numpy(stimulus.to(torch.float16).std(dim=(1, 2, 3)))
    return np.concatenate([_numpy(part.float().flatten(1).std(dim=1)) for part in torch.split(stimulus, CHUNK)])


def contrast_scores(sessions: Mapping[str, HasStimulus], *, by_raw_frame: bool = False) -> dict[str, Scores]:
    """Contrast of each sample's current frame, relative to the median frame of all sessions; name → (samples,).

    by_raw_frame: one score a frame of the recording in place of one a sample, as the old trainer had it (Q10).
    """
    contrast = {name: frame_contrast(session.stimulus, half=by_raw_frame) for name, session in sessions.items()}
    median = float(np.median(np.concatenate(list(contrast.values()))))
    if by_raw_frame:
        return {name: np.asarray(values / median) for name, values in contrast.items()}
    scale = median or 1.0  # most frames may be blank
    return {name: (contrast[name] / scale)[session.frames.cpu().numpy()] for name, session in sessions.items()}


def _numpy(values: Tensor) -> Scores:
    return np.asarray(values.float().cpu().numpy(), dtype=np.float32)
