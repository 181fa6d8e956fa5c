"""
VisionCore models.

The networks themselves (adapters, frontends, convnets, modulators, readouts) still come
from DataYatesV1; what is here is what the training scripts and the notebooks need around
them: losses, config loading, checkpoints, the Lightning modules.
"""
from .build import build_model
from .config_loader import load_config, load_dataset_configs
from .losses import MaskedLoss, PoissonBPSAggregator

# not everywhere: the machine on the rig has no lightning
try:
    from .checkpoint import (
        find_best_checkpoint,
        load_model_from_checkpoint,
        save_model_with_metadata,
        test_model_consistency,
    )
    from .model_manager import ModelRegistry
except ImportError as e:
    print(f"models: checkpoint helpers not available ({e})")

__all__ = [
    "build_model",
    "load_config", "load_dataset_configs",
    "MaskedLoss", "PoissonBPSAggregator",
    "find_best_checkpoint", "load_model_from_checkpoint",
    "save_model_with_metadata", "test_model_consistency",
    "ModelRegistry",
]
