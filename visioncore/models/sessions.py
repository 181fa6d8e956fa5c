"""What a model has to know of a session: how many cells, how many lags, and its own adapter and readout if it has them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from visioncore.errors import ConfigError
from visioncore.models.reading import parse_stage
from visioncore.models.schema.model import ModelConfig
from visioncore.models.schema.types import Stage


@dataclass(frozen=True)
class Session:
    """`lags` is None where the config does not say; `source` opens the sentences about it."""

    source: str
    n_units: int
    adapter: Stage
    readout: Stage
    lags: int | None = None


def read_sessions(
    config: ModelConfig, dataset_configs: Sequence[Mapping[str, Any]] | None, source: str
) -> list[Session]:
    """The sessions of a model. Raises ConfigError where one does not fit the model."""
    if config.model_type == "v1" and dataset_configs is None:
        return [Session(source, config.readout.params.n_units, config.adapter, config.readout)]
    if not dataset_configs:
        raise ConfigError(f"{source}: model_type {config.model_type!r} needs at least one dataset config, none given")
    if config.model_type == "v1" and len(dataset_configs) > 1:
        raise ConfigError(
            f"{source}: model_type 'v1' is for one session, {len(dataset_configs)} given; 'v1multi' takes them"
        )
    return [_read_session(config, raw, i) for i, raw in enumerate(dataset_configs)]


def _read_session(config: ModelConfig, raw: Mapping[str, Any], index: int) -> Session:
    source = str(raw.get("_config_path") or raw.get("_dataset_name") or raw.get("session") or f"dataset {index}")
    cids = raw.get("cids")
    if isinstance(cids, str) or not hasattr(cids, "__len__") or not len(cids):  # type: ignore[arg-type]
        raise ConfigError(f"{source}: cids is a list of at least one cell, {cids!r} found")
    keys_lags = raw.get("keys_lags") or {}
    lags = keys_lags.get("stim")
    if config.modulator.type != "none":
        _check_behavior(config, raw, keys_lags, source)
    return Session(
        source,
        len(cids),  # type: ignore[arg-type]
        parse_stage("adapter", raw["adapter"], source) if "adapter" in raw else config.adapter,
        parse_stage("readout", raw["readout"], source) if "readout" in raw else config.readout,
        len(lags) if isinstance(lags, list | tuple) else None,
    )


def _check_behavior(config: ModelConfig, raw: Mapping[str, Any], keys_lags: Mapping[str, Any], source: str) -> None:
    """A modulator needs behaviour, with as many columns as it was told."""
    kind, expected = config.modulator.type, config.modulator.params.behavior_dim
    exposed = [t.get("expose_as") for t in (raw.get("transforms") or {}).values() if isinstance(t, Mapping)]
    if kind != "film" and keys_lags and "behavior" not in keys_lags and "behavior" not in exposed:
        raise ConfigError(f"{source}: the model's modulator ({kind}) needs 'behavior', and keys_lags does not name it")
    found = raw.get("behavior_dim")
    if found is not None and found != expected:
        raise ConfigError(
            f"{source}: behavior has {found} columns, the model's modulator.params.behavior_dim is {expected}"
        )
