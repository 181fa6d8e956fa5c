"""The callbacks of a run, in the old script's order, and after them ours."""

from __future__ import annotations

import pytorch_lightning as pl
from pytorch_lightning.callbacks import EarlyStopping, LearningRateMonitor

from visioncore.run.progress import progress_callbacks
from visioncore.run.saving import Generators, checkpoint_callback
from visioncore.run.settings import Settings
from visioncore.training.callbacks import CurriculumCallback, EpochHeartbeat


def make_callbacks(settings: Settings) -> list[pl.Callback]:
    """Checkpoints, learning rates, heartbeat, early stopping, with the option the curriculum's clock; generators and progress."""
    callbacks: list[pl.Callback] = [checkpoint_callback(settings)]
    if settings.logger_kinds:
        callbacks.append(LearningRateMonitor(logging_interval="epoch"))
    callbacks += [
        EpochHeartbeat("train_loss"),
        EarlyStopping(
            monitor="val_bps_overall",
            mode="max",
            patience=settings.early_stopping_patience,
            min_delta=settings.early_stopping_min_delta,
            verbose=True,
            check_on_train_epoch_end=False,
        ),
    ]
    if settings.enable_curriculum:
        callbacks.append(CurriculumCallback())
    return [*callbacks, Generators(), *progress_callbacks()]
