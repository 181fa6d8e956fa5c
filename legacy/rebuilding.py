"""From a translated checkpoint to its LightningModule, without the weights yet."""

from __future__ import annotations

import inspect
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from legacy.checkpoint.errors import CheckpointError
from legacy.lightning import classes
from legacy.lightning.building import Builder, of_old

if TYPE_CHECKING:
    from pytorch_lightning import LightningModule

_BY_NAME: Final = "model."


def _is_tensor(value: Any) -> bool:
    return hasattr(value, "data_ptr")


def rebuilt(
    path: Path,
    checkpoint: Mapping[str, Any],
    kind: str,
    build: Builder,
    given: Mapping[str, Any],
    namespace: str | None,
    compat: Any,
) -> tuple[LightningModule, dict[str, Any]]:
    """The module and the state dict that it is to load. Raises CheckpointError where the file does not say enough to build it."""
    found = dict(checkpoint.get("hyper_parameters") or {}) if isinstance(checkpoint, Mapping) else {}
    state = _state(path, checkpoint)
    if kind == "MultiDatasetModel":
        return _of_script(path, found, build, given, namespace, compat), state
    sessions = given["dataset_configs"] if given["dataset_configs"] is not None else found.get("dataset_configs")
    config = given["model_config"] if given["model_config"] is not None else found.get("model_config")
    if config is None:
        raise CheckpointError(
            f"{path} holds {_KINDS.get(kind, f'a {kind}')} and no model config: give model_config=, and for several sessions dataset_configs="
        )
    several = kind == "MultiDatasetPLCore" or (kind != "PLCoreVisionModel" and sessions is not None)
    if several and sessions is None:
        raise CheckpointError(f"{path} has no dataset configs for its readouts: give dataset_configs=")
    made = classes(namespace)
    cls = made.MultiDatasetPLCore if several else made.PLCoreVisionModel
    known = inspect.signature(cls.__init__).parameters
    kept = {name: value for name, value in found.items() if name in known and name not in ("self", "model")}
    kept |= {"model_class": build, "model_config": _for(build, _contents(config))}
    if several:
        kept["dataset_configs"] = _sessions(sessions)
    return cls(**kept), _prefixed(state)


_KINDS: Final = {"state_dict": "weights alone", "unknown": "neither of the lab's modules"}


def _state(path: Path, checkpoint: Any) -> dict[str, Any]:
    """The weights: `state_dict`, the file itself, or the first of its dicts that is tensors by name."""
    found = checkpoint if isinstance(checkpoint, Mapping) else {}
    of_its_own = (value for value in found.values() if _is_weights(value))
    state = found.get("state_dict", found if _is_weights(found) else next(of_its_own, found))
    if not isinstance(state, dict) or not state:
        raise CheckpointError(f"{path} has no weights to load")
    return state


def _is_weights(value: Any) -> bool:
    """Mostly tensors: an extra state or two allowed."""
    return (
        isinstance(value, Mapping)
        and 2 * sum(map(_is_tensor, value.values())) > len(value)
        and all(type(name) is str for name in value)
    )


def _prefixed(state: dict[str, Any]) -> dict[str, Any]:
    """Weights that were saved from the bare network are called as its LightningModule calls them."""
    if any(name.startswith(_BY_NAME) for name in state):
        return state
    versions = getattr(state, "_metadata", None)
    made = type(state)((f"{_BY_NAME}{name}", value) for name, value in state.items())
    if versions is not None:
        made._metadata = {f"{_BY_NAME}{name}".removesuffix("."): value for name, value in versions.items()}  # type: ignore[attr-defined]
    return made


def _for(build: Builder, config: Mapping[str, Any]) -> dict[str, Any]:
    """`visioncore` is told that the network is an old one, where the config does not say; others never heard of it."""
    if build.__module__.partition(".")[0] == "visioncore":
        return of_old(config)
    return {name: value for name, value in config.items() if name != "compat"}


def _of_script(
    path: Path, found: dict[str, Any], build: Builder, given: Mapping[str, Any], namespace: str | None, compat: Any
) -> LightningModule:
    from legacy.lightning.script import module_of

    if namespace not in (None, "pytorch_lightning"):
        raise CheckpointError(
            f"{path} holds a MultiDatasetModel, which is a module of pytorch_lightning, not of {namespace}"
        )
    config = (
        given["model_config"] if given["model_config"] is not None else found.get("model_config", found["model_cfg"])
    )
    sessions = given["dataset_configs"]
    if sessions is None:
        sessions = found.get("dataset_configs", found["cfg_dir"])
    try:
        found["model_config"] = _contents(config)
        found["dataset_configs"] = [
            {"_dataset_name": str(each.get("session", f"dataset_{index}")), **each}  # where no file's name says it
            for index, each in enumerate(_sessions(sessions, found.get("max_ds")))
        ]
    except (OSError, ValueError) as error:
        raise CheckpointError(
            f"{path} names its configs, model_cfg={found['model_cfg']!r} and cfg_dir={found['cfg_dir']!r}, and they cannot be read here: "
            f"{error}. Give model_config= and dataset_configs="
        ) from error
    return module_of(build, {"compat": compat, **found})


def _contents(config: Any) -> dict[str, Any]:
    if isinstance(config, Mapping):
        return dict(config)
    import yaml  # the builder checks what is in it; another one's config need not be `visioncore`'s

    with open(config, encoding="utf-8-sig") as file:
        found = yaml.safe_load(file)
    if not isinstance(found, dict):
        raise ValueError(f"{config} is no YAML mapping")
    return found


def _sessions(configs: Any, limit: Any = None) -> Sequence[Mapping[str, Any]]:
    if not isinstance(configs, (str, os.PathLike)):
        return [dict(config) for config in configs]
    from visioncore.training.sessions import read_dataset_configs

    every = len(list(Path(configs).iterdir()))
    return read_dataset_configs(os.fspath(configs), limit if isinstance(limit, int) else every)
