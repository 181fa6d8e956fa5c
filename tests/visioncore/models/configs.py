"""Small configs: a stage of each type, and whole models around one stage."""

from __future__ import annotations

import copy
from typing import Any

import torch

LAGS, SIZE, BEHAVIOR = 12, 13, 5


def block(kernel: Any = (3, 3, 3), padding: Any = (0, 1, 1), **more: Any) -> dict[str, Any]:
    conv = {"type": "standard", "kernel_size": list(kernel), "padding": list(padding)}
    return {"conv_params": conv, "norm_type": "rms", "act_type": "relu", **more}


ENCODER = {"type": "mlp", "dims": [8, 6]}
STAGES: dict[str, dict[str, dict[str, Any]]] = {
    "adapter": {"adapter": {"grid_size": 9}, "none": {}},
    "frontend": {
        "learnable_temporal": {"kernel_size": 6, "num_channels": 3},
        "temporal_basis": {"num_cosine_funcs": 3, "history_bins": 8},
        "conv": {"out_channels": 3, **block()},
        "none": {},
    },
    "convnet": {
        "resnet": {"dim": 3, "channels": [4, 6], "block_config": block()},
        "densenet": {"dim": 3, "channels": [4, 4], "block_config": block()},
        "vanilla": {"dim": 3, "channels": [4, 4], "block_config": block()},
        "none": {},
    },
    "modulator": {
        "concat": {"behavior_dim": BEHAVIOR, "encoder_params": ENCODER},
        "film": {"behavior_dim": BEHAVIOR, "encoder_params": ENCODER},
        "convgru": {"behavior_dim": BEHAVIOR, "hidden_dim": 7, "beh_emb_dim": 4},
        "pc": {"behavior_dim": BEHAVIOR, "beh_emb_dim": 4},
        "none": {},
    },
    "recurrent": {"convgru": {"hidden_dim": 5}, "convlstm": {"hidden_dim": 5}, "none": {}},
    "readout": {"gaussian": {"initial_std": 3.0}, "linear": {}},
}
DEFAULTS = {
    "adapter": "adapter",
    "frontend": "learnable_temporal",
    "convnet": "vanilla",
    "modulator": "none",
    "recurrent": "none",
    "readout": "gaussian",
}
EVERY_TYPE = [(stage, kind) for stage, kinds in STAGES.items() for kind in kinds]


def model(model_type: str = "v1multi", **kinds: Any) -> dict[str, Any]:
    """A whole config. A keyword names a stage's type, or gives its block, or is another top-level key."""
    config: dict[str, Any] = {"model_type": model_type, "output_activation": "softplus"}
    for stage, kind in {**DEFAULTS, **kinds}.items():
        is_type = stage in STAGES and isinstance(kind, str)
        config[stage] = {"type": kind, "params": STAGES[stage][kind]} if is_type else kind
    return copy.deepcopy(config)


def session(cells: int = 3, **more: Any) -> dict[str, Any]:
    lags = {"stim": list(range(LAGS)), "robs": 0, "behavior": 0, "dfs": 0}
    return {"session": f"Monkey_{cells}", "cids": list(range(cells)), "keys_lags": lags, **more}


def stimulus(batch: int = 2, seed: int = 0) -> torch.Tensor:
    """(B, 1, T, H, W)."""
    return torch.randn(batch, 1, LAGS, SIZE, SIZE, generator=torch.Generator().manual_seed(seed))


def behavior(batch: int = 2, seed: int = 0) -> torch.Tensor:
    """(B, K)."""
    return torch.randn(batch, BEHAVIOR, generator=torch.Generator().manual_seed(seed))
