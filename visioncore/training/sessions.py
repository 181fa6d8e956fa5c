"""Which dataset YAMLs a run takes; the model and the data module must agree on them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from visioncore.models import ConfigError, load_dataset_configs


def read_dataset_configs(cfg_dir: str | Path, max_ds: int) -> list[dict[str, Any]]:
    """The first `max_ds` dataset YAMLs of a folder by name, each with its `_dataset_name`, the stem.

    Files with "base" in the name are templates and left out. Raises ConfigError: no such folder, no dataset in it, a broken YAML.
    """
    folder = Path(cfg_dir)
    if not folder.is_dir():
        raise ConfigError(f"{folder} is no folder; one with a dataset YAML for each session is expected")
    names = sorted(path.name for path in folder.iterdir() if path.suffix == ".yaml" and "base" not in path.name)
    if not names[:max_ds]:
        raise ConfigError(f"{folder}: there is no dataset YAML to take ({len(names)} found, at most {max_ds} wanted)")
    configs = load_dataset_configs(names[:max_ds], folder)
    for name, config in zip(names, configs, strict=False):
        config["_dataset_name"] = Path(name).stem
    return configs
