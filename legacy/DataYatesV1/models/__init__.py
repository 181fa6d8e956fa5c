"""Networks and configs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from visioncore.models import build_model as _build_model

from .config_loader import load_config, load_dataset_configs

__all__ = ["build_model", "load_config", "load_dataset_configs"]


def build_model(
    model_config: Mapping[str, Any], dataset_configs: Sequence[Mapping[str, Any]] | None = None
) -> nn.Module:
    """The network as the private package built it, quirks and all, with weights from torch's generator as it is."""
    return _build_model({**model_config, "compat": "all"}, dataset_configs)
