"""Where in the image a cell looks, as a model has learnt it and as it is known of synthetic cells."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from visioncore.data.batches import normalise
from visioncore.data.dataset import SessionDataset

Array = NDArray[np.float64]


def learnt_maps(module: Any, session: SessionDataset, index: int, samples: int = 64) -> Array:
    """(N, H, W): root mean square, over samples and lags, of the gradient of each cell's rate to each pixel.

    module: a `MultiDatasetModel` that looks at the stimulus; index: the session's number in it; samples: spread over the session
    """
    training = module.training
    module.eval()
    chosen = torch.linspace(0, len(session) - 1, min(samples, len(session))).long()
    group = {**session.gather(chosen), "dataset_idx": torch.full((len(chosen),), index)}
    tables = [session.stim_table] * (index + 1)
    stim = normalise(group, tables)["stim"].float().to(module.device).requires_grad_()
    behavior = group["behavior"].to(module.device) if "behavior" in group else None
    # a compiled network gives one gradient and lets go of what the next would need
    with torch.enable_grad(), torch.compiler.set_stance("force_eager"):
        rates = module(stim, index, behavior).float()
        maps = [
            torch.autograd.grad(rates[:, cell].sum(), stim, retain_graph=True)[0]
            .double()
            .square()
            .mean((0, 1, 2))
            .sqrt()
            for cell in range(rates.shape[1])
        ]
    module.train(training)
    return torch.stack(maps).cpu().numpy()


def true_maps(filters: Array) -> Array:
    """(N, 2, H, W) quadrature pairs → (N, H, W) their envelopes."""
    envelope: Array = np.sqrt((filters**2).sum(1))
    return envelope


def correlations(learnt: Array, true: Array) -> Array:
    """(N, H, W) twice → (N,) Pearson's, over pixels; NaN where a map is flat."""
    a, b = (maps.reshape(len(maps), -1) - maps.mean((1, 2))[:, None] for maps in (learnt, true))
    scale = np.sqrt((a**2).sum(1) * (b**2).sum(1))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(scale > 0, (a * b).sum(1) / scale, np.nan)
