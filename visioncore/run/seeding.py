"""The run's seed."""

from __future__ import annotations

import pytorch_lightning as pl

from visioncore.run.settings import Settings


def seed_everything(settings: Settings) -> None:
    """Seed the global generators, from which dropout draws; the weights and the samples' order have generators of their own.

    The old trainer seeded nothing before it drew the weights (Q19).
    """
    if not settings.quirks.unseeded:
        pl.seed_everything(settings.seed, workers=True, verbose=False)
