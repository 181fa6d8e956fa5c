"""Loss and bits per spike of batches, dicts with `robs`, `rhat` and perhaps `dfs`."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from visioncore.training.metrics import StoredBPSAggregator


class MaskedLoss(nn.Module):
    """Mean of an elementwise loss over what the mask lets count: (B, N) by a mask of (B,), (B, 1) or (B, N)."""

    def __init__(
        self,
        loss_fn: Callable[[Tensor, Tensor], Tensor],
        pred_key: str = "rhat",
        target_key: str = "robs",
        mask_key: str = "dfs",
        reduction: str = "mean",
    ) -> None:
        super().__init__()
        self.loss_fn = loss_fn
        self.pred_key, self.target_key, self.mask_key = pred_key, target_key, mask_key

    def forward(self, batch: Mapping[str, Tensor]) -> Tensor:
        loss = self.loss_fn(batch[self.pred_key], batch[self.target_key])
        mask = batch.get(self.mask_key)
        if mask is None:
            return loss.mean()
        mask = mask.unsqueeze(-1) if mask.ndim == 1 else mask
        count = mask.sum() * (loss.shape[1] if mask.shape[1] == 1 else 1)
        return (loss * mask).sum() / count


class PoissonBPSAggregator(nn.Module):
    """An epoch's batches, kept on the CPU and scored at its end."""

    def __init__(self, device: str | torch.device = "cpu") -> None:
        super().__init__()
        self._stored = StoredBPSAggregator()

    def reset(self) -> None:
        self._stored.reset()

    def forward(self, batch: Mapping[str, Tensor]) -> None:
        self._stored.update(batch["robs"], batch["rhat"], batch.get("dfs"))

    def closure(self) -> Tensor | None:
        """(N,), a scalar for a mask of one column, None without a batch."""
        return self._stored.closure()
