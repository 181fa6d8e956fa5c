"""Signs of life, and the curriculum's clock."""

from __future__ import annotations

import time
from typing import Any

import pytorch_lightning as pl
import torch


def _say(trainer: pl.Trainer, text: str) -> None:
    """A line with the time, from one rank; flushed, or a batch system shows nothing for an hour."""
    if trainer.is_global_zero:
        print(f"[{time.strftime('%H:%M:%S')}] {text}", flush=True)


class Heartbeat(pl.Callback):
    """A line with loss and speed every `every` training batches, so that a run that hangs shows in the log."""

    def __init__(self, every: int = 50) -> None:
        if every < 1:
            raise ValueError(f"a heartbeat every {every} batches; 1 or more is expected")
        self.every = every
        self.since = time.monotonic()

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.since = time.monotonic()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        # only the batch that is shown waits for the device
        if (batch_idx + 1) % self.every or not trainer.is_global_zero:
            return
        loss = outputs.get("loss") if isinstance(outputs, dict) else outputs
        shown = f"{float(loss):.4f}" if isinstance(loss, torch.Tensor) else "n/a"
        now = time.monotonic()
        speed = self.every / max(now - self.since, 1e-9)
        _say(trainer, f"epoch {trainer.current_epoch} batch {batch_idx + 1}  loss {shown}  {speed:.2f} it/s")
        self.since = now


class EpochHeartbeat(pl.Callback):
    """A line when training begins, around each validation, and at the end of each training epoch, with `metric_key` if logged.

    Validation runs inside an epoch, so its lines come before the epoch's.
    """

    def __init__(self, metric_key: str = "train_loss") -> None:
        self.metric_key = metric_key

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        _say(trainer, "training begins")

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        _say(trainer, "… running validation")

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        _say(trainer, "validation done")

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        # on all ranks: a metric that is reduced over them is reduced when somebody looks at it
        value = trainer.callback_metrics.get(self.metric_key)
        told = "finished" if value is None else f"— {self.metric_key}: {float(value):.4f}"
        _say(trainer, f"epoch {trainer.current_epoch} {told}")


class CurriculumCallback(pl.Callback):
    """Tells the training sampler how many optimiser steps have been taken, if it wants to know.

    A sampler draws the list of an epoch at its beginning, so it is told then, too.
    """

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._tell(trainer)

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        self._tell(trainer)

    @staticmethod
    def _tell(trainer: pl.Trainer) -> None:
        set_step = getattr(getattr(trainer.train_dataloader, "sampler", None), "set_step", None)
        if callable(set_step):
            set_step(trainer.global_step)
