"""The two modules for a Trainer of `lightning`."""

from __future__ import annotations

from lightning.pytorch import LightningModule

from legacy.lightning.core import Core
from legacy.lightning.multidataset import MultiDataset


class PLCoreVisionModel(Core, LightningModule):  # type: ignore[misc]  # checked under the other name
    __doc__ = Core.__doc__


class MultiDatasetPLCore(MultiDataset, LightningModule):  # type: ignore[misc]  # checked under the other name
    __doc__ = MultiDataset.__doc__
