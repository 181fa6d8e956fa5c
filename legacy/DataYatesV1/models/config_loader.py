"""Model and dataset YAMLs."""

from visioncore.models import load_config, load_dataset_configs

__all__ = ["load_config", "load_dataset_configs"]
