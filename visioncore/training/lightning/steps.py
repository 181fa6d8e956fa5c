"""From a mixed batch to a loss."""

from __future__ import annotations

import contextlib
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from visioncore.training.lightning.base import Group, Shared

Tag = Literal["train", "val"]


class Steps(Shared):
    """`training_step` and what it shares with validation."""

    def begin_steps(self) -> None:
        """The state that steps leave behind for the end of the epoch."""
        # prediction errors of the batch's datasets, with their graphs
        self._errors: list[tuple[Tensor, Tensor]] = []
        # (datasets,) how many batches of each were skipped in this epoch
        self._skipped = {tag: torch.zeros(len(self.names)) for tag in ("train", "val")}

    def training_step(self, batch: Sequence[Group], batch_idx: int) -> Tensor:
        """Mean loss of the batch's datasets, plus the predictive-coding loss, plus the penalties."""
        loss = self._step(batch, "train")
        # the total number of samples; the old trainer took that of the dicts' keys
        weight = sum(len(group) if self.compat.sync_every_step else len(group["robs"]) for group in batch)
        auxiliary = self._auxiliary_loss(weight)
        if auxiliary is not None:
            loss = loss + auxiliary
        for regularizer in self.regularizers:
            if regularizer.active(self.current_epoch):
                penalty = regularizer.loss(self.current_epoch)
                if self.compat.sync_every_step and penalty.item() == 0.0:
                    continue
                loss = loss + penalty
                self.log_on_rank_zero(f"reg_loss/{regularizer.name}", penalty, weight, on_step=False)
        return loss

    @abstractmethod
    def score(self, index: int, robs: Tensor, rhat: Tensor, dfs: Tensor | None, loss: Tensor, finite: Tensor) -> None:
        """What validation does with a dataset's rates and loss."""

    def _step(self, batch: Sequence[Group], tag: Tag) -> Tensor:
        """Mean of the losses of the datasets in the batch, each counting the same however many of the samples it has.

        A dataset whose loss is not finite is left out and counted as `{tag}_nan_skip/{name}`.
        """
        self._errors.clear()
        losses: list[Tensor] = []
        finites: list[Tensor] = []
        for group in batch:
            loss, finite = self._dataset_loss(self._to_device(group), tag)
            losses.append(loss)
            finites.append(finite)
        if self.compat.sync_every_step:
            kept = [loss for loss, finite in zip(losses, finites, strict=True) if finite]
            mean = torch.stack(kept).mean() if kept else torch.tensor(0.0, device=self.device, requires_grad=True)
        else:
            mean = mean_of_finite(losses, finites)
        if tag == "train" and not self.compat.heartbeat_key_never_logged:
            # every rank comes here at every step, so the ranks' mean can be waited for
            self.log("train_loss", mean.detach(), on_step=False, on_epoch=True, batch_size=1, sync_dist=True)
        return mean

    def _dataset_loss(self, group: Group, tag: Tag) -> tuple[Tensor, Tensor]:
        """A dataset's loss, scored and logged, and whether it is finite."""
        index = int(group["dataset_idx"][0])
        usable, stimulus, behavior = self._usable(group.get("stim"), group.get("behavior"))
        with torch.no_grad() if tag == "val" else contextlib.nullcontext():
            rhat = self(stimulus, index, behavior)
        # Poisson likelihoods in bfloat16 are useless: 8 bits of mantissa on log(rate)
        rhat, robs = rhat.float(), group["robs"].float()
        dfs = group["dfs"].float() if "dfs" in group else None
        if self.compat.sync_every_step:
            loss = self.loss_fn(rhat, robs, dfs)
            finite = torch.isfinite(loss)
        else:
            finite = torch.ones((), dtype=torch.bool, device=rhat.device)
            if rhat.requires_grad:
                # the gradient of a loss that is left out is 0, also where 0 times infinity would come out
                rhat.register_hook(lambda gradient: torch.where(finite, gradient, 0.0))
            loss = self.loss_fn(rhat, robs, dfs)
            finite = torch.isfinite(loss) & usable
        self._note(index, loss, finite, len(robs), tag)
        error = getattr(self.model.modulator, "pred_err", None)
        if error is not None:
            if self.compat.aux_last_dataset_only:
                self._errors.clear()
            self._errors.append((error, finite))
        if tag == "val":
            self.score(index, robs, torch.exp(rhat) if self.log_input else rhat, dfs, loss.detach(), finite)
        return loss, finite

    def _note(self, index: int, loss: Tensor, finite: Tensor, samples: int, tag: Tag) -> None:
        """Log a dataset's loss, or that it is skipped."""
        key, on_step = f"{tag}_loss/{self.names[index]}", tag == "train"
        if self.compat.sync_every_step:
            if finite:
                self.log_on_rank_zero(key, loss, samples, on_step=on_step)
            else:
                self.log(f"{tag}_nan_skip/{self.names[index]}", 1.0, on_step=True, on_epoch=False, batch_size=1)
            return
        self.log_on_rank_zero(key, torch.where(finite, loss.detach(), 0.0), samples * finite, on_step=on_step)
        skipped = self._skipped[tag] = self._skipped[tag].to(self.device)
        skipped[index] += ~finite

    def log_skipped(self, tag: Tag) -> None:
        """At the end of an epoch: `{tag}_nan_skip/{name}`, the number of batches, where there were any on this rank."""
        for index, count in enumerate(self._skipped[tag].tolist()):
            if count:
                self.log(f"{tag}_nan_skip/{self.names[index]}", count, on_step=False, on_epoch=True, batch_size=1)
        self._skipped[tag].zero_()

    def on_train_epoch_end(self) -> None:
        self.log_skipped("train")

    def _auxiliary_loss(self, weight: int) -> Tensor | None:
        """lambda_pred times the mean squared prediction error of a predictive-coding modulator; None for other models."""
        if not self._errors:
            return None
        scale = float(self.model_config.get("lambda_pred", 0.1))
        if self.compat.aux_last_dataset_only:
            auxiliary = scale * self._errors[-1][0].float().pow(2).mean()
        else:
            squares = [error.float().pow(2).mean() for error, _ in self._errors]
            auxiliary = scale * mean_of_finite(squares, [finite for _, finite in self._errors])
        self._errors.clear()
        self.log_on_rank_zero("aux_loss", auxiliary, weight, on_step=True)
        return auxiliary

    def _usable(self, stimulus: Any, behavior: Any) -> tuple[Any, Any, Any]:
        """Whether the inputs are finite; zeros in their place if not, so that no NaN gets at the weights' gradients."""
        if self.compat.sync_every_step:
            return True, stimulus, behavior
        usable: Any = True
        given = {"stimulus": stimulus, "behavior": behavior}
        for name, value in given.items():
            if isinstance(value, Tensor) and value.is_floating_point():
                finite = torch.isfinite(value.sum())
                given[name] = torch.where(finite, value, 0.0)
                usable = usable & finite
        return usable, given["stimulus"], given["behavior"]

    def _to_device(self, group: Group) -> Group:
        """What the data module has not moved yet. The dataset's index stays where it is: reading it is waiting for the device."""
        stays = ("dataset_idx", "stim") if self.is_modulator_only else ("dataset_idx",)
        return {
            key: value.to(self.device, non_blocking=True) if isinstance(value, Tensor) and key not in stays else value
            for key, value in group.items()
        }


def mean_of_finite(losses: Sequence[Tensor], finites: Sequence[Tensor]) -> Tensor:
    """Mean of the losses that are finite, 0 if none is, without anybody waiting for the device to know which."""
    finite = torch.stack(list(finites))
    kept = torch.where(finite, torch.stack(list(losses)), 0.0)
    return kept.sum() / finite.sum().clamp(min=1)
