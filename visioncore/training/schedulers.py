"""The learning-rate schedule that torch does not have."""

from __future__ import annotations

import math

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from visioncore.compat import Compat


class LinearWarmupCosineAnnealingLR(LRScheduler):
    """Linear warm-up over the first `warmup_epochs` (w), then half a cosine down to `eta_min` at `max_epochs` (E).

    Epoch e < w trains at `start + (base - start) * (e + 1) / w`, so that the last epoch of the warm-up is the first at the full
    rate; e >= w at `eta_min + (base - eta_min) * (1 + cos(pi * (e - w) / (E - w))) / 2`. A warm-up that is no shorter than the
    training ends at the full rate and never comes down.

    warmup_start_lr: where the warm-up comes from; no epoch trains at it
    compat: with `warmup_starts_at_zero`, e / w in place of (e + 1) / w, and a ZeroDivisionError at e = w = E (Q12)

    Raises ValueError: a negative number of epochs.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        warmup_epochs: int,
        max_epochs: int,
        warmup_start_lr: float = 0.0,
        eta_min: float = 0.0,
        last_epoch: int = -1,
        *,
        compat: Compat | None = None,
    ) -> None:
        if warmup_epochs < 0 or max_epochs < 0:
            raise ValueError(
                f"a warm-up of {warmup_epochs} in {max_epochs} epochs: neither number of epochs can be negative"
            )
        self.warmup_epochs = warmup_epochs
        self.max_epochs = max_epochs
        self.warmup_start_lr = warmup_start_lr
        self.eta_min = eta_min
        # a plain bool: a schedule's attributes go into the checkpoint
        self.starts_at_zero = (compat or Compat()).warmup_starts_at_zero
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:  # type: ignore[override]  # torch's may hold tensors
        """The learning rate of each parameter group in epoch `last_epoch`."""
        e, w, end = self.last_epoch, self.warmup_epochs, self.max_epochs
        if e < w:
            done = e if self.starts_at_zero else e + 1
            return [self.warmup_start_lr + (base - self.warmup_start_lr) * done / w for base in self._bases()]
        left = end - w
        if self.starts_at_zero:
            angle = math.pi * (e - w) / left
        else:
            angle = math.pi * min(e - w, left) / left if left > 0 else 0.0
        cosine = (1 + math.cos(angle)) / 2
        return [self.eta_min + (base - self.eta_min) * cosine for base in self._bases()]

    def _bases(self) -> list[float]:
        return [float(base) for base in self.base_lrs]
