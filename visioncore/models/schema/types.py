"""Which types a stage can have, and which class holds the `params` of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from visioncore.models.schema.blocks import WideBlockConfig
from visioncore.models.schema.stages import (
    AdapterParams,
    EncodedParams,
    GaussianParams,
    GRUModulatorParams,
    LearnableTemporalParams,
    NoParams,
    PredictiveCodingParams,
    ReadoutParams,
    RecurrentParams,
    ResNetParams,
    StackParams,
    TemporalBasisParams,
)


@dataclass(frozen=True)
class Stage:
    """A stage's type and its params, of the class that `TYPES` names for it."""

    type: str
    params: Any


TYPES: dict[str, dict[str, type]] = {
    "adapter": {"adapter": AdapterParams, "none": NoParams},
    "frontend": {
        "learnable_temporal": LearnableTemporalParams,
        "temporal_basis": TemporalBasisParams,
        "conv": WideBlockConfig,
        "none": NoParams,
    },
    "convnet": {
        "resnet": ResNetParams,
        "densenet": StackParams,
        "vanilla": StackParams,
        "conv": StackParams,  # two more names of vanilla
        "cnn": StackParams,
        "none": NoParams,
    },
    "modulator": {
        "concat": EncodedParams,
        "film": EncodedParams,
        "convgru": GRUModulatorParams,
        "pc": PredictiveCodingParams,
        "none": NoParams,
    },
    "recurrent": {"convgru": RecurrentParams, "convlstm": RecurrentParams, "none": NoParams},
    "readout": {"gaussian": GaussianParams, "linear": ReadoutParams},
}

# what a missing block means
DEFAULT_TYPE = {
    "adapter": "none",
    "frontend": "none",
    "convnet": "densenet",
    "modulator": "none",
    "recurrent": "none",
    "readout": "gaussian",
}

# types of the old package that nothing here takes the place of, so that the error can say so
NOT_CARRIED_OVER = {
    "frontend": ("da", "adapter"),
    "convnet": ("x3d", "x3dnet", "shifttcn"),
    "modulator": ("stn", "lstm", "gru", "linear", "mlp"),
    "recurrent": ("lstm", "gru"),
    "readout": ("gaussianei", "gaussiansn"),
}
