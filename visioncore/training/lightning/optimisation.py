"""Parameter groups, learning-rate schedules, and the proximal updates behind each step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from pytorch_lightning.utilities import rank_zero_info
from torch import nn
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, ReduceLROnPlateau, StepLR

from visioncore.training.lightning.base import Shared
from visioncore.training.regularizers import get_excluded_params_for_weight_decay
from visioncore.training.schedulers import LinearWarmupCosineAnnealingLR

CORE = ("frontend", "convnet", "modulator")
LR_SCHEDULERS = ("none", "step", "plateau", "cosine", "cosine_warmup")


class Optimisation(Shared):
    """AdamW with up to four groups: core and head, each with and without weight decay."""

    core_lr: float
    head_lr: float
    weight_decay: float
    lr_scheduler_kind: str
    warmup_epochs: int

    def configure_optimizers(self) -> Any:
        """The optimiser, and a schedule that is stepped once an epoch, if one was asked for.

        Groups, empty ones omitted, in this order: core with decay, core without, head with, head without. Core is what has
        frontend, convnet or modulator in its name; without decay is what an l2 or group_lasso regularizer takes care of.
        """
        groups = self._groups()
        optimizer = AdamW(groups)
        for group in groups:
            size = sum(parameter.numel() for parameter in group["params"])
            rank_zero_info(
                f"AdamW group: {len(group['params'])} tensors, {size:,d} parameters, "
                f"lr {group['lr']:g}, weight decay {group['weight_decay']:g}"
            )
        if not self.compat.step_without_closure:
            # behind real steps only: a gradient scaler that skips one does not come here
            optimizer.register_step_post_hook(lambda stepped, args, kwargs: self._prox(stepped))
        schedule = self._schedule(optimizer)
        if schedule is None:
            return optimizer
        config: dict[str, Any] = {"scheduler": schedule, "interval": "epoch"}
        if self.lr_scheduler_kind == "plateau":
            config["monitor"] = "val_loss"
        return {"optimizer": optimizer, "lr_scheduler": config}

    def optimizer_step(
        self,
        epoch: int,
        batch_idx: int,
        optimizer: Any,
        optimizer_closure: Callable[[], Any] | None = None,
    ) -> None:
        """Lightning's step; with `step_without_closure` the old one, which a gradient scaler takes for a skipped backward (Q5)."""
        if not self.compat.step_without_closure:
            super().optimizer_step(epoch, batch_idx, optimizer, optimizer_closure)
            return
        if optimizer_closure is not None:
            optimizer_closure()
        optimizer.step()
        optimizer.zero_grad()
        self._prox(optimizer)

    def _groups(self) -> list[dict[str, Any]]:
        excluded = set(get_excluded_params_for_weight_decay(self.regularizers))
        # the regularizers' names are the network's own; the old trainer compared them with the module's, and none was equal
        prefix = "" if self.compat.weight_decay_on_regularized else "model."
        members: dict[str, list[nn.Parameter]] = {
            name: [] for name in ("core", "core_no_decay", "head", "head_no_decay")
        }
        for name, parameter in self.named_parameters():
            part = "core" if any(stage in name for stage in CORE) else "head"
            members[part + ("_no_decay" if name.removeprefix(prefix) in excluded else "")].append(parameter)
        return [
            {
                "params": parameters,
                "lr": self.core_lr if name.startswith("core") else self.head_lr,
                "weight_decay": 0.0 if name.endswith("no_decay") else self.weight_decay,
            }
            for name, parameters in members.items()
            if parameters
        ]

    def _schedule(self, optimizer: Optimizer) -> Any:
        match self.lr_scheduler_kind:
            case "none":
                return None
            case "step":
                return StepLR(optimizer, step_size=30, gamma=0.5)
            case "plateau":
                old: dict[str, Any] = {"verbose": True} if self.compat.plateau_verbose else {}
                return ReduceLROnPlateau(optimizer, mode="min", factor=0.5, patience=3, **old)
        epochs = self.trainer.max_epochs
        if epochs is None or epochs < 0:
            raise ValueError(
                f"lr_scheduler {self.lr_scheduler_kind!r} comes down over max_epochs, and the Trainer has none"
            )
        if self.lr_scheduler_kind == "cosine":
            return CosineAnnealingLR(optimizer, T_max=epochs)
        return LinearWarmupCosineAnnealingLR(optimizer, self.warmup_epochs, epochs, compat=self.compat)

    @torch.no_grad()
    def _prox(self, optimizer: Optimizer) -> None:
        """The regularizers' proximal updates, with the learning rate of the step that was just taken."""
        if self.compat.prox_per_group:
            for group in optimizer.param_groups:
                for regularizer in self.regularizers:
                    regularizer.prox(self.current_epoch, group["lr"])
            return
        rates = {id(parameter): float(group["lr"]) for group in optimizer.param_groups for parameter in group["params"]}
        for regularizer in self.regularizers:
            regularizer.prox(self.current_epoch, lambda p: rates.get(id(p)) if p.requires_grad else None)
