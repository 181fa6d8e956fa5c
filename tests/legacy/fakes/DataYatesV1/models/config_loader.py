"""The old tree has a copy of these two; the private package's do the same."""

from models.config_loader import load_config, load_dataset_configs

__all__ = ["load_config", "load_dataset_configs"]
