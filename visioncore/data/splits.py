"""Training and validation frames, by trial."""

from __future__ import annotations

import random

import numpy as np
import torch
from torch import Tensor

from visioncore.compat import Compat


def split_by_trial(trials: Tensor, frames: Tensor, fraction: float, seed: int, compat: Compat) -> tuple[Tensor, Tensor]:
    """`frames` in two, each in order: int(n · `fraction`) of the n trials that they are of, drawn by `seed`, and the others.

    trials: (T,) the trial of each frame; frames: (F,) those that count
    """
    generator = None
    if compat.unseeded:
        for seeding in (random.seed, np.random.seed, torch.manual_seed):
            seeding(seed)
    else:
        generator = torch.Generator().manual_seed(seed)
    unique = torch.unique(trials[frames])
    train = unique[torch.randperm(len(unique), generator=generator)[: int(len(unique) * fraction)]]
    chosen = torch.isin(trials[frames], train)
    return frames[chosen], frames[~chosen]
