"""The networks: a shared core for many sessions, an adapter and a readout for each. The YAML's keys are in `schema`."""

from visioncore.errors import ConfigError
from visioncore.models.build import build_model
from visioncore.models.config_loader import load_config, load_dataset_configs
from visioncore.models.network import MultiDatasetV1Model, V1Model
from visioncore.models.reading import parse_model_config
from visioncore.models.readouts import ReceptiveFields

__all__ = [
    "ConfigError",
    "MultiDatasetV1Model",
    "ReceptiveFields",
    "V1Model",
    "build_model",
    "load_config",
    "load_dataset_configs",
    "parse_model_config",
]
