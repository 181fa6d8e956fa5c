"""
build_model, by the name that the configs and the old checkpoints know.

The network code has not been moved out of the private package yet, so this only passes the
call on. Checkpoints pickle `model_class` by reference, some as
`DataYatesV1.models.build.build_model` and some as `models.build.build_model`: both must
stay importable.
"""


def build_model(config, dataset_configs=None):
    """
    Build the network of a model config.

    config          : dict of a model YAML, `model_type` is v1 or v1multi
    dataset_configs : list of dicts, one per session; needed for v1multi
    """
    if config.get("model_type", "v1") == "v1multi" and dataset_configs is None:
        raise ValueError("model_type v1multi needs dataset_configs")

    # here and not on top: `import models` has to work without the private package
    from DataYatesV1.models import build_model as _build_model
    return _build_model(config, dataset_configs)


def get_name_from_config(config):
    """Short name for plots: convnet_modulator_recurrent_readout."""
    parts = []
    for stage in ("convnet", "modulator", "recurrent", "readout"):
        kind = (config.get(stage) or {}).get("type", "none")
        if kind not in (None, "none"):
            parts.append(kind)
    return "_".join(parts) or "empty"
