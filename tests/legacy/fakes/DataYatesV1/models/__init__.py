from .build import build_model
from .config_loader import load_config, load_dataset_configs

__all__ = ["build_model", "load_config", "load_dataset_configs"]
