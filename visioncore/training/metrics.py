"""Bits per spike: how much better than a cell's mean rate its spikes are foretold."""

from __future__ import annotations

import math

import torch
from torch import Tensor

EPS = 1e-9


class PoissonBPSAggregator:
    """Bits per spike of each cell over an epoch, out of three sums a cell; nothing is kept of the batches.

    With r the spike counts, p the rates and rbar the mean count over a cell's valid samples, e = 1e-9:

        bps = (mean(r log(p + e) - p) - mean(r log(rbar + e) - rbar)) / (rbar + e) / ln 2

    The sums of several processes add up to those of all their samples. A cell without a valid sample or without a spike has no
    bits per spike: NaN.
    """

    sums: Tensor  # (3, N): log-likelihood, spikes, samples

    def __init__(self, n_units: int) -> None:
        self.n_units = n_units
        self.reset("cpu")

    def reset(self, device: torch.device | str) -> None:
        """Forget the epoch; the next one is summed on `device`."""
        # single precision loses spikes from some 10^7 samples on; Apple's devices have no other
        dtype = torch.float32 if torch.device(device).type == "mps" else torch.float64
        self.sums = torch.zeros(3, self.n_units, dtype=dtype, device=device)

    @torch.no_grad()
    def update(self, robs: Tensor, rhat: Tensor, dfs: Tensor | None = None, valid: Tensor | None = None) -> None:
        """robs, rhat: (B, N) spikes and rates (not log rates) per bin; dfs: None, (B,), (B, 1) or (B, N), above 0 = counts.

        valid: a scalar; False leaves the batch out, without anybody waiting for the device to know.
        """
        counts = torch.ones_like(robs, dtype=torch.bool)
        if dfs is not None:
            counts = ((dfs.unsqueeze(-1) if dfs.ndim == 1 else dfs) > 0).expand_as(robs)
        if valid is not None:
            counts = counts & valid
        r, p = robs.to(self.sums), rhat.to(self.sums)
        log_likelihood = r * torch.log(p + EPS) - p
        # where, not times: what is hidden may be NaN
        self.sums += torch.stack(
            [torch.where(counts, log_likelihood, 0.0).sum(0), torch.where(counts, r, 0.0).sum(0), counts.sum(0)]
        )

    def closure(self) -> Tensor:
        """(N,) bits per spike, NaN where there are none."""
        return bits_per_spike(self.sums)


def bits_per_spike(sums: Tensor) -> Tensor:
    """(3, N) log-likelihood, spikes, samples → (N,) bits per spike, NaN for a cell without a sample or a spike."""
    log_likelihood, spikes, samples = sums
    rbar = spikes / samples
    null = rbar * torch.log(rbar + EPS) - rbar
    bps = (log_likelihood / samples - null) / (rbar + EPS) / math.log(2)
    return torch.where(spikes > 0, bps, torch.nan)


class StoredBPSAggregator:
    """The old trainer's bits per spike, bit for bit: the epoch is kept on the CPU and scored at its end (Q13).

    A mask of one column pools all cells into one number; a silent cell gets one far below zero.
    """

    def __init__(self) -> None:
        self.batches: list[tuple[Tensor, Tensor, Tensor | None]] = []

    def reset(self) -> None:
        self.batches = []

    @torch.no_grad()
    def update(self, robs: Tensor, rhat: Tensor, dfs: Tensor | None = None) -> None:
        """As in `PoissonBPSAggregator`; the first batch decides whether there is a mask."""
        if self.batches and self.batches[0][2] is None:
            dfs = None
        self.batches.append((robs.cpu(), rhat.cpu(), None if dfs is None else dfs.cpu()))

    def closure(self) -> Tensor | None:
        """(N,), with NaN for a cell without a valid sample; a scalar for a mask of one column; None without a batch."""
        if not self.batches:
            return None
        robs = torch.cat([batch[0] for batch in self.batches])
        rhat = torch.cat([batch[1] for batch in self.batches])
        masks = [batch[2] for batch in self.batches if batch[2] is not None]
        if not masks:
            return _bps(robs, rhat)
        dfs = torch.cat(masks)
        if dfs.ndim == 1:
            dfs = dfs.unsqueeze(-1)
        if dfs.shape[1] == 1:
            mask = dfs.expand_as(robs) > 0
            return _bps(robs[mask], rhat[mask])
        valid = dfs > 0
        return torch.stack([_bps(robs[valid[:, i], i], rhat[valid[:, i], i]) for i in range(robs.shape[1])])


def _bps(r: Tensor, p: Tensor) -> Tensor:
    rbar = r.mean(dim=0)
    model = (r * torch.log(p + EPS) - p).mean(dim=0)
    null = (r * torch.log(rbar + EPS) - rbar).mean(dim=0)
    return (model - null) / (rbar + EPS) / math.log(2)
