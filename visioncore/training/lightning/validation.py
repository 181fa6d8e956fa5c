"""Loss and bits per spike of a validation epoch."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.distributed as dist
from torch import Tensor

from visioncore.training.lightning.base import Group
from visioncore.training.lightning.steps import Steps
from visioncore.training.metrics import PoissonBPSAggregator, StoredBPSAggregator, bits_per_spike


class Validation(Steps):
    """Logs `val_loss`, the mean over batches and datasets; `val_bps/{name}`, the mean over a dataset's cells; `val_bps_overall`, the
    mean over the datasets, which checkpoints and early stopping look at: NaN, and no score to be the best, where no loss is a number.

    Bits per spike are of the samples of all ranks, of cells that spike, and may be negative. With `pooled_bps` they are what the
    old trainer made of them: clamped at 0 cell by cell and averaged over the ranks (Q13).
    """

    def begin_validation(self) -> None:
        """The state that validation steps leave behind for the end of the epoch."""
        # plain lists: neither parameters nor buffers, they stay out of the state dict
        self.bps_aggs = [PoissonBPSAggregator(n) for n in self.n_units]
        self.stored_bps = [StoredBPSAggregator() for _ in self.names]
        self.val_losses: list[tuple[Tensor, Tensor]] = []

    def on_validation_epoch_start(self) -> None:
        self.val_losses.clear()
        for sums, stored in zip(self.bps_aggs, self.stored_bps, strict=True):
            sums.reset(self.device)
            stored.reset()

    def validation_step(self, batch: Sequence[Group], batch_idx: int) -> None:
        """Nothing to return, it all goes into the epoch's sums."""
        self._step(batch, "val")

    def score(self, index: int, robs: Tensor, rhat: Tensor, dfs: Tensor | None, loss: Tensor, finite: Tensor) -> None:
        if not self.compat.pooled_bps:
            self.bps_aggs[index].update(robs, rhat, dfs, finite)
        elif finite:
            self.stored_bps[index].update(robs, rhat, dfs)
        self.val_losses.append((loss, finite))

    @torch.no_grad()
    def on_validation_epoch_end(self) -> None:
        if self.compat.pooled_bps:
            loss, bps = self._mean_loss(), [self._mean_over_ranks(index) for index in range(len(self.names))]
        else:
            loss, bps = self._pooled()
        self.val_losses.clear()
        self.log_skipped("val")
        if loss is not None:
            self.log("val_loss", loss, on_step=False, on_epoch=True, prog_bar=True, sync_dist=True, batch_size=1)
        scored = [mean for mean in bps if mean is not None]
        for name, mean in zip(self.names, bps, strict=True):
            if mean is not None and self.global_rank == 0:
                self.log(
                    f"val_bps/{name}",
                    mean,
                    on_step=False,
                    on_epoch=True,
                    sync_dist=False,
                    rank_zero_only=True,
                    batch_size=1,
                )
        if scored:
            overall = torch.stack(scored).mean()
        elif loss is None or self.compat.pooled_bps:
            overall = torch.zeros((), device=self.device)
        else:
            overall = (
                0.0 * loss
            )  # no spikes; or rates that are no numbers, which must not pass for better than a bad score
        if self.compat.pooled_bps:
            overall = overall.clamp(min=0.0)
        # the same on all ranks; every rank's checkpoints and early stopping need it
        self.log("val_bps_overall", overall, on_step=False, on_epoch=True, prog_bar=True, sync_dist=True, batch_size=1)
        # validation's batches have other shapes, and the allocator would keep both kinds
        torch.cuda.empty_cache()

    def _pooled(self) -> tuple[Tensor | None, list[Tensor | None]]:
        """Mean loss, NaN where none is finite and None where there is none, and each dataset's bits per spike, over all ranks.

        One reduction, in which every rank takes part.
        """
        like = self.bps_aggs[0].sums
        losses = torch.zeros(3, dtype=like.dtype, device=like.device)
        if self.val_losses:
            values, finite = (torch.stack(list(column)) for column in zip(*self.val_losses, strict=True))
            losses = torch.stack(
                [
                    torch.where(finite, values, 0.0).to(like).sum(),
                    finite.to(like).sum(),
                    torch.ones_like(values).to(like).sum(),
                ]
            )
        everything = torch.cat([losses, *(agg.sums.flatten() for agg in self.bps_aggs)])
        if dist.is_available() and dist.is_initialized():
            dist.all_reduce(everything)
        total, count, batches = everything[:3]
        bps: list[Tensor | None] = []
        for sums in torch.split(everything[3:], [agg.sums.numel() for agg in self.bps_aggs]):
            cells = bits_per_spike(sums.view(3, -1))
            cells = cells[~torch.isnan(cells)]
            bps.append(cells.mean().float() if len(cells) else None)
        return ((total / count).float() if batches > 0 else None), bps

    def _mean_loss(self) -> Tensor | None:
        """The old mean: of this rank's finite losses; Lightning averages the ranks'."""
        kept = [loss for loss, finite in self.val_losses if finite]
        return torch.stack(kept).mean() if kept else None

    def _mean_over_ranks(self, index: int) -> Tensor | None:
        """The old bits per spike of a dataset; every rank takes part in the reduction, with or without samples."""
        bps = self.stored_bps[index].closure()
        cells = torch.zeros(0) if bps is None else bps.reshape(-1)
        if not self.compat.nan_of_dead_cells:
            cells = cells[~torch.isnan(cells)]
        cells = cells.to(self.device).clamp(min=0.0)
        total, count = cells.sum(), torch.tensor(float(cells.numel()), device=self.device)
        if dist.is_available() and dist.is_initialized():
            dist.all_reduce(total)
            dist.all_reduce(count)
        return total / count if count > 0 else None
