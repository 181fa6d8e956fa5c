"""Read model and dataset YAMLs."""
from pathlib import Path

import yaml


def load_config(path):
    """A model YAML as a dict. Nothing is validated here."""
    with open(path) as f:
        return yaml.safe_load(f)


def load_dataset_configs(configs, base_dir="."):
    """
    Load a list of dataset YAMLs.

    configs  : list of str, or of {"path": str, "weight": float}
    base_dir : what relative paths are relative to

    Returns a list of dicts, each with `_weight` and `_config_path`. ValueError if one has
    no `cids`, since the readout gets its size from them.
    """
    out = []
    for entry in configs:
        if isinstance(entry, dict):
            path, weight = entry["path"], entry.get("weight", 1.0)
        else:
            path, weight = entry, 1.0

        path = Path(path)
        if not path.is_absolute():
            path = Path(base_dir) / path

        cfg = load_config(path)
        if "cids" not in cfg:
            raise ValueError(f"{path}: no cids")
        cfg["_weight"]      = weight
        cfg["_config_path"] = str(path)
        out.append(cfg)
    return out
