"""Model configs that fit synthetic sessions: a small one that learns fast, and one of each kind that the lab trains."""

from __future__ import annotations

from typing import Any

BEHAVIOR = 6  # columns: the halves of the eye's velocity, and its position


def model_configs(size: int, lags: int) -> dict[str, dict[str, Any]]:
    """By the name of the file, for stimuli of `size` × `size` pixels and as many `lags`."""
    adapter = {"type": "adapter", "params": {"grid_size": size, "init_sigma": 0.5, "transform": "scale"}}
    temporal = {"type": "learnable_temporal", "params": {"kernel_size": lags, "num_channels": 3}}
    half = {"type": "learnable_temporal", "params": {"kernel_size": max(lags // 2, 1), "num_channels": 2}}
    readout = {"type": "gaussian", "params": {"bias": True, "initial_std": 0.3}}
    encoder = {"type": "mlp", "dims": [8], "activation": "gelu"}
    penalties = [
        {"name": "readout_sparsity", "type": "l1", "lambda": 1e-5, "apply_to": ["readouts/features"]},
        {"name": "core_decay", "type": "l2", "lambda": 1e-5, "apply_to": ["convnet/conv"]},
    ]
    return {
        "small": _model(
            frontend=temporal,
            convnet={"type": "vanilla", "params": {"dim": 3, "channels": [16, 16], "block_config": _block(5)}},
            readout=readout,
        ),
        "resnet_convgru": _model(
            adapter=adapter,
            frontend=half,
            convnet={
                "type": "resnet",
                "params": {"dim": 3, "channels": [4, 8], "block_configs": [_block(5), _block(3)]},
            },
            recurrent={"type": "convgru", "params": {"hidden_dim": 8, "kernel_size": 3}},
            readout=readout,
            regularization=penalties,
        ),
        "densenet_concat": _model(
            adapter=adapter,
            frontend=half,
            convnet={"type": "densenet", "params": {"dim": 3, "channels": [4, 4], "block_config": _block(3)}},
            modulator={"type": "concat", "params": {"behavior_dim": BEHAVIOR, "encoder_params": encoder}},
            readout=readout,
            regularization=penalties,
        ),
        "modulator_only": _model(
            modulator={"type": "convgru", "params": {"behavior_dim": BEHAVIOR, "hidden_dim": 8, "beh_emb_dim": 4}},
            readout={"type": "linear", "params": {"bias": True}},
        ),
    }


def _model(**stages: Any) -> dict[str, Any]:
    nothing = {stage: {"type": "none"} for stage in ("adapter", "frontend", "convnet", "modulator", "recurrent")}
    return {"model_type": "v1multi", "initial_input_channels": 1, "output_activation": "softplus", **nothing, **stages}


def _block(size: int) -> dict[str, Any]:
    conv = {"type": "standard", "kernel_size": [1, size, size], "padding": [0, size // 2, size // 2]}
    return {"conv_params": conv, "norm_type": "rms", "act_type": "splitrelu"}
