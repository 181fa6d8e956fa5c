"""The training script's `MultiDatasetModel` around a network of any builder."""

from __future__ import annotations

import inspect
from typing import Any

from legacy.lightning.building import DEFAULT, Builder, resolve
from visioncore.models.network import MultiDatasetV1Model
from visioncore.training.lightning.multidataset_model import MultiDatasetModel


def module_of(build: Builder, arguments: dict[str, Any]) -> MultiDatasetModel:
    """`visioncore`'s module with these arguments, those it does not know left out."""
    known = inspect.signature(MultiDatasetModel.__init__).parameters
    kept = {name: value for name, value in arguments.items() if name in known and name != "self"}
    if build is resolve(DEFAULT):
        return MultiDatasetModel(**kept)

    class Built(MultiDatasetModel):
        def _build(self, source: str, seed: int | None) -> MultiDatasetV1Model:
            config = {name: value for name, value in self.model_config.items() if name != "compat"}
            network: Any = build(config, self.dataset_configs)
            if not hasattr(network, "needs_stimulus"):
                stages = (config.get(name, {}).get("type") for name in ("adapter", "frontend", "convnet"))
                network.needs_stimulus = any(stage != "none" for stage in stages)
            made: MultiDatasetV1Model = network
            return made

    Built.__name__ = Built.__qualname__ = MultiDatasetModel.__name__
    return Built(**kept)
