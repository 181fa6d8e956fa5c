from models.lightning import MultiDatasetPLCore, PLCoreVisionModel

__all__ = ["MultiDatasetPLCore", "PLCoreVisionModel"]
