"""Poisson loss with a mask, and bits per spike."""
import math

import torch
import torch.nn as nn


class MaskedLoss(nn.Module):
    """
    Mean of an elementwise loss over the samples that count.

    loss_fn    : (pred, target) -> (B, N), so reduction="none"
    pred_key, target_key, mask_key : where to look in the batch
    reduction  : not used, always the mean

    The mask is (B,), (B, 1) or (B, N), 1 = counts. Without a mask it is the plain mean.
    """
    def __init__(self, loss_fn, pred_key="rhat", target_key="robs", mask_key="dfs",
                 reduction="mean"):
        super().__init__()
        self.loss_fn    = loss_fn
        self.pred_key   = pred_key
        self.target_key = target_key
        self.mask_key   = mask_key
        self.reduction  = reduction

    def forward(self, batch):
        loss = self.loss_fn(batch[self.pred_key], batch[self.target_key])
        if self.mask_key not in batch:
            return loss.mean()

        mask = batch[self.mask_key]
        if mask.ndim == 1:
            mask = mask.unsqueeze(-1)

        n = mask.sum()
        if mask.shape[1] == 1:
            n = n * loss.shape[1]          # the mask is broadcast over the cells
        return (loss * mask).sum() / n


def calc_poisson_bits_per_spike(robs, rhat, dfs=None, eps=1e-9):
    """
    Bits per spike over the null model that knows each cell's mean rate.

        ll_model = mean(r * log(rho + eps) - rho)
        ll_null  = mean(r * log(rbar + eps) - rbar)
        bps      = (ll_model - ll_null) / (rbar + eps) / ln 2

    robs, rhat : (T, N) spike counts and rates
    dfs        : None, (T, 1) or (T, N)

    Returns (N,), with nan for a cell that has no valid sample. With a (T, 1) mask what is
    left after masking is one long vector, and the result one number.
    """
    if dfs is None:
        return _bps(robs, rhat, eps)

    if dfs.ndim == 1:
        dfs = dfs.unsqueeze(-1)

    if dfs.shape[1] == 1:
        mask = dfs.expand_as(robs) > 0
        return _bps(robs[mask], rhat[mask], eps)

    # every cell has its own valid samples
    out = []
    for i in range(robs.shape[1]):
        ok = dfs[:, i] > 0
        out.append(_bps(robs[ok, i], rhat[ok, i], eps))
    return torch.stack(out)


def _bps(r, rho, eps):
    rbar     = r.mean(dim=0)
    ll_model = (r * torch.log(rho + eps) - rho).mean(dim=0)
    ll_null  = (r * torch.log(rbar + eps) - rbar).mean(dim=0)
    return (ll_model - ll_null) / (rbar + eps) / math.log(2)


class PoissonBPSAggregator(nn.Module):
    """
    Collects an epoch's batches on the CPU and computes the bits per spike at its end.

        agg(batch)             batch with robs, rhat and maybe dfs
        bps = agg.closure()    see calc_poisson_bits_per_spike; None if there was no batch
        agg.reset()
    """
    def __init__(self, device="cpu"):
        super().__init__()
        self.device = device
        self.reset()

    def reset(self):
        self.robs, self.rhat, self.dfs = [], [], []
        self._has_dfs = None

    @torch.no_grad()
    def forward(self, batch):
        # the first batch decides
        if self._has_dfs is None:
            self._has_dfs = "dfs" in batch
        self.robs.append(batch["robs"].detach().to(self.device))
        self.rhat.append(batch["rhat"].detach().to(self.device))
        if self._has_dfs:
            self.dfs.append(batch["dfs"].detach().to(self.device))

    def closure(self):
        if not self.robs:
            return None
        robs = torch.cat(self.robs)
        rhat = torch.cat(self.rhat)
        dfs  = torch.cat(self.dfs) if self._has_dfs else None
        return calc_poisson_bits_per_spike(robs, rhat, dfs)
