"""What the parts of the LightningModule share."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
from torch import Tensor

from visioncore.compat import Compat
from visioncore.models.network import MultiDatasetV1Model
from visioncore.training.losses import MaskedPoissonLoss
from visioncore.training.regularizers import Regularizer

# one dataset's part of a batch: stim (B, C, L, H, W), robs (B, N), dfs (B, 1 | N), perhaps behavior (B, K), dataset_idx (B,)
Group = dict[str, Any]


class Shared(pl.LightningModule):
    """The attributes that `MultiDatasetModel` makes and its parts use."""

    compat: Compat
    names: list[str]
    n_units: list[int]
    model: MultiDatasetV1Model
    model_config: dict[str, Any]
    log_input: bool
    is_modulator_only: bool
    loss_fn: MaskedPoissonLoss
    regularizers: list[Regularizer]

    def log_on_rank_zero(self, key: str, value: Tensor, weight: int | Tensor, *, on_step: bool) -> None:
        """Mean over the epoch, weighted; a tensor of weight 0 leaves the value out, and nobody waits to know.

        Only rank 0 logs, so nothing here may be reduced over the ranks: the others might never come to it.
        """
        if self.global_rank == 0:
            self.log(
                key,
                value.detach(),
                on_step=on_step,
                on_epoch=True,
                batch_size=weight,  # type: ignore[arg-type]  # Lightning only multiplies by it and adds it up
                sync_dist=False,
                rank_zero_only=True,
            )
