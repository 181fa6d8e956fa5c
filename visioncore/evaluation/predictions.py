"""What a trained model says of a session's validation samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from visioncore.data.batches import normalise
from visioncore.data.dataset import SessionDataset

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Predictions:
    """counts, rates, valid: (S, N) of a session's validation samples; frames (S,) in the session's order of recordings."""

    session: SessionDataset
    counts: Array
    rates: Array
    valid: NDArray[np.bool_]

    @property
    def frames(self) -> NDArray[np.int64]:
        return self.session.frames.numpy()

    @property
    def counted(self) -> NDArray[np.int64]:
        """(S,) the frames that the counts are of: `keys_lags.robs` before the sample's."""
        counted: NDArray[np.int64] = self.frames - np.asarray(self.session.session.lags["robs"])
        return counted


@torch.no_grad()
def predict(module: Any, sessions: Sequence[SessionDataset], batch: int = 256) -> list[Predictions]:
    """The rates of `module` (a `MultiDatasetModel`) for every sample of each session, in evaluation mode."""
    training, device = module.training, module.device
    module.eval()
    tables = [None if session.stim_table is None else session.stim_table.to(device) for session in sessions]
    made = []
    for index, session in enumerate(sessions):
        counts, rates, masks = [], [], []
        for indices in torch.split(torch.arange(len(session)), batch):
            group = {**session.gather(indices), "dataset_idx": torch.tensor([index])}
            on_device = {key: value.to(device) for key, value in group.items() if key != "dataset_idx"}
            group = normalise({**on_device, "dataset_idx": group["dataset_idx"]}, tables)
            rhat = module(group["stim"].float(), index, group.get("behavior")).float()
            rates.append((torch.exp(rhat) if module.log_input else rhat).double().cpu().numpy())
            counts.append(group["robs"].double().cpu().numpy())
            mask = group["dfs"] if "dfs" in group else torch.ones(len(rhat), 1)
            masks.append((mask > 0).expand(rhat.shape).cpu().numpy())
        made.append(Predictions(session, np.concatenate(counts), np.concatenate(rates), np.concatenate(masks)))
    module.train(training)
    return made
