"""Configs and batches for the smallest networks that have every stage; the same for the old classes and for the new."""

from __future__ import annotations

from typing import Any

import torch
import yaml
from torch import Tensor

CELLS = 4
SESSIONS = ("Allen_2022-02-16", "Logan_2020-01-10")
EPOCHS, STEPS = 2, 3


def model_config(kind: str) -> dict[str, Any]:
    conv = {"type": "standard", "kernel_size": [2, 3, 3], "padding": [0, 1, 1]}
    several = kind != "PLCoreVisionModel"
    config: dict[str, Any] = {
        "model_type": "v1multi" if several else "v1",
        "output_activation": "softplus",
        "adapter": {"type": "adapter", "params": {"grid_size": 7}},
        "frontend": {"type": "learnable_temporal", "params": {"kernel_size": 2, "num_channels": 2}},
        "convnet": {
            "type": "vanilla",
            "params": {"dim": 3, "channels": [3], "block_config": {"conv_params": conv, "norm_type": "batch"}},
        },
        "modulator": {"type": "concat", "params": {"behavior_dim": 3, "encoder_params": {"dims": [3]}}},
        "readout": {"type": "gaussian", "params": {"initial_std": 3.0, **({} if several else {"n_units": CELLS})}},
    }
    return config


def dataset_configs() -> list[dict[str, Any]]:
    lags = {"robs": 0, "stim": [0, 1, 2, 3], "behavior": 0, "dfs": 0}
    return [{"session": name, "cids": list(range(CELLS)), "keys_lags": lags} for name in SESSIONS]


def write_configs(folder: Any) -> tuple[str, str]:
    """A model YAML and a folder of dataset YAMLs, for the script's module."""
    (folder / "sessions").mkdir()
    (folder / "model.yaml").write_text(yaml.safe_dump(model_config("MultiDatasetModel")))
    for config in dataset_configs():
        (folder / "sessions" / f"{config['session']}.yaml").write_text(yaml.safe_dump(config))
    return str(folder / "model.yaml"), str(folder / "sessions")


def batches(kind: str) -> list[Any]:
    """An epoch as the kind takes it."""
    generator = torch.Generator().manual_seed(7)
    return [_batch(kind, generator) for _ in range(STEPS)]


def _batch(kind: str, generator: torch.Generator) -> Any:
    one, two = _session(generator), _session(generator)
    if kind == "PLCoreVisionModel":
        return one
    if kind == "MultiDatasetPLCore":
        return dict(zip(SESSIONS, (one, two), strict=True))
    return [{**each, "dataset_idx": torch.full((5,), index)} for index, each in enumerate((one, two))]


def _session(generator: torch.Generator) -> dict[str, Tensor]:
    return {
        "stim": torch.rand(5, 1, 4, 9, 9, generator=generator),
        "robs": torch.poisson(torch.full((5, CELLS), 0.7), generator=generator),
        "dfs": torch.ones(5, 1),
        "behavior": torch.randn(5, 3, generator=generator),
    }


def rates(module: Any, kind: str) -> list[Tensor]:
    """What the network says to the first batch, in eval mode."""
    module.eval()
    batch = batches(kind)[0]
    with torch.no_grad():
        if kind == "PLCoreVisionModel":
            return [module(dict(batch))["rhat"]]
        if kind == "MultiDatasetPLCore":
            return [module(dict(each), index)["rhat"] for index, each in enumerate(batch.values())]
        return [module(each["stim"], index, each["behavior"]) for index, each in enumerate(batch)]
