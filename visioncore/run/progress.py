"""What one sees while training: a bar with loss, bits per spike and samples a second."""

from __future__ import annotations

import sys
import time
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import RichProgressBar


class Progress(RichProgressBar):
    """Lightning's rich bar with three numbers. The loss is read when the bar is drawn, not at every step."""

    def __init__(self) -> None:
        super().__init__(refresh_rate=10, leave=False)
        self._samples, self._since = 0, time.monotonic()
        self._loss: Any = None
        self._bits: float | None = None

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        super().on_train_epoch_start(trainer, pl_module)
        self._samples, self._since = 0, time.monotonic()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._samples += sum(len(group["robs"]) for group in batch)
        self._loss = outputs["loss"]
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)

    def get_metrics(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule
    ) -> dict[str, int | str | float | dict[str, float]]:
        if "val_bps_overall" in trainer.callback_metrics and not trainer.sanity_checking:
            self._bits = float(trainer.callback_metrics["val_bps_overall"])
        shown: dict[str, int | str | float | dict[str, float]] = {}
        if self._loss is not None:
            shown["loss"] = f"{float(self._loss):.4f}"
        if self._bits is not None:
            shown["bits/spike"] = f"{self._bits:.3f}"
        elapsed = time.monotonic() - self._since
        if self._samples and elapsed > 0:
            shown["samples/s"] = f"{self._samples * trainer.world_size / elapsed:,.0f}"
        return shown


def on_terminal() -> bool:
    """Whether somebody watches; in a log file a bar would be noise, and the heartbeat's line an epoch is enough."""
    return sys.stdout.isatty()


def progress_callbacks() -> list[pl.Callback]:
    return [Progress()] if on_terminal() else []
