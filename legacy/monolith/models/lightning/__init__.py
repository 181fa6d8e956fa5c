from .core import PLCoreVisionModel
from .multidataset import MultiDatasetPLCore
