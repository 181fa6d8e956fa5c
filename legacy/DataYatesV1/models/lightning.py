"""The older Lightning modules."""

from legacy.lightning import MultiDatasetPLCore, PLCoreVisionModel

__all__ = ["MultiDatasetPLCore", "PLCoreVisionModel"]
