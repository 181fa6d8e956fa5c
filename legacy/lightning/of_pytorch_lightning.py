"""The two modules for a Trainer of `pytorch_lightning`."""

from __future__ import annotations

from pytorch_lightning import LightningModule

from legacy.lightning.core import Core
from legacy.lightning.multidataset import MultiDataset


class PLCoreVisionModel(Core, LightningModule):
    __doc__ = Core.__doc__


class MultiDatasetPLCore(MultiDataset, LightningModule):
    __doc__ = MultiDataset.__doc__
