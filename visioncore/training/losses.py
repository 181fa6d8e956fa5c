"""The loss."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from visioncore.compat import Compat


class MaskedPoissonLoss(nn.Module):
    """Mean Poisson negative log-likelihood, without the constant term, over the samples that count.

    One entry is `exp(r) - y * r` for log rates, else `r - y * log(r + 1e-8)`; the loss is sum(entry * mask) / sum(mask), where a
    mask of one column counts for every cell. What the mask hides may be NaN, unless `nan_under_mask_skips` says so (Q14).
    """

    def __init__(self, log_input: bool, *, compat: Compat | None = None) -> None:
        super().__init__()
        self.log_input = log_input
        self.looks_under_mask = (compat or Compat()).nan_under_mask_skips

    def forward(self, rhat: Tensor, robs: Tensor, dfs: Tensor | None = None) -> Tensor:
        """rhat, robs: (B, N) rates and spike counts per bin; dfs: (B,), (B, 1) or (B, N), above 0 = counts; → a scalar.

        NaN if nothing counts.
        """
        if dfs is None:
            return F.poisson_nll_loss(rhat, robs, log_input=self.log_input)
        mask = dfs.unsqueeze(-1) if dfs.ndim == 1 else dfs
        if not self.looks_under_mask:
            robs = torch.where(mask > 0, robs, 0.0)
        entries = F.poisson_nll_loss(rhat, robs, log_input=self.log_input, reduction="none")
        count = mask.sum()
        if mask.shape[1] == 1:
            count = count * entries.shape[1]
        return (entries * mask).sum() / count
