"""The LightningModule and the LightningDataModule."""

from visioncore.training.lightning.multidataset_dm import MultiDatasetDM
from visioncore.training.lightning.multidataset_model import MultiDatasetModel

__all__ = ["MultiDatasetDM", "MultiDatasetModel"]
