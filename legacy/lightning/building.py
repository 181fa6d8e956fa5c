"""Builders of networks: by name for people, as text in checkpoints, and never looked up because a checkpoint says so."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any, Final, TypeAlias

from torch import nn

Builder: TypeAlias = Callable[..., nn.Module]
DEFAULT: Final = "visioncore.models:build_model"


def resolve(builder: str | Builder) -> Builder:
    """The function or class that a caller names, `module:name`. Raises ValueError: there is none, or it cannot be called."""
    if callable(builder):
        return builder
    module, _, name = builder.partition(":")
    if not module or not name:
        raise ValueError(f"builder {builder!r}: module:name is expected, such as {DEFAULT}")
    try:
        found: Any = import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"builder {builder!r} cannot be imported: {error}") from error
    if not callable(found):
        raise ValueError(f"builder {builder!r} is a {type(found).__name__}, not something to call")
    made: Builder = found
    return made


def built(
    model_class: str | Builder, config: Mapping[str, Any], dataset_configs: Sequence[Mapping[str, Any]] | None = None
) -> nn.Module:
    """The network of a config. Text is what old checkpoints have after translation: `visioncore`'s builder with the old networks' ways.

    Raises ValueError for any other text: it may come from a file, and nothing is imported because a file says so.
    """
    if isinstance(model_class, str):
        if model_class != DEFAULT:
            raise ValueError(
                f"model_class {model_class!r} is a name: give the function itself, or legacy.load_model(…, builder={model_class!r})"
            )
        model_class, config = resolve(DEFAULT), of_old(config)
    return model_class(config) if dataset_configs is None else model_class(config, dataset_configs)


def of_old(config: Mapping[str, Any]) -> dict[str, Any]:
    """The config of an old network as `visioncore` builds it: with everything that the old package did otherwise."""
    return {"compat": "all", **config}


def named(model_class: object) -> str | None:
    """What a checkpoint keeps of a builder."""
    if model_class is None or isinstance(model_class, str):
        return model_class
    module = getattr(model_class, "__module__", type(model_class).__module__)
    name = f"{module}:{getattr(model_class, '__qualname__', type(model_class).__qualname__)}"
    return DEFAULT if name == "visioncore.models.build:build_model" else name


def recorded(config: Any, network: nn.Module) -> Any:
    """The config with what the network does of the old package's ways written out, where the network tells."""
    ways = getattr(network, "compat", None)
    if isinstance(config, Mapping) and "compat" not in config and dataclasses.is_dataclass(ways):
        return {**config, "compat": dataclasses.asdict(ways)}  # type: ignore[arg-type]
    return config
