"""A model config and its stages, from the mappings that YAML gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from visioncore.errors import ConfigError, nearest, one_of
from visioncore.models.schema.model import Compat, ModelConfig
from visioncore.models.schema.types import DEFAULT_TYPE, NOT_CARRIED_OVER, TYPES, Stage
from visioncore.reading import check_keys, read, shown


def parse_model_config(raw: Mapping[str, Any], source: str = "the model config") -> ModelConfig:
    """Check a whole model config. `source` (its file) opens every sentence. Raises ConfigError."""
    if not isinstance(raw, Mapping):
        raise ConfigError(f"{source}: a mapping of stages is expected, {shown(raw)} found")
    values: dict[str, Any] = {key: value for key, value in raw.items() if not str(key).startswith("_")}
    known = [str(item.metadata.get("key", item.name)) for item in fields(ModelConfig)]
    check_keys(values, known, "", source)
    if values.get("compat") == "all":
        values["compat"] = vars(Compat.all())
    for name in TYPES:
        values[name] = parse_stage(name, values.get(name), source)
    return read(ModelConfig, values, "", source)


def parse_stage(stage: str, block: Any, source: str) -> Stage:
    """One `{type, params}` block; `stage` is its key. Raises ConfigError."""
    block = {"type": DEFAULT_TYPE[stage]} if block is None else block
    if not isinstance(block, Mapping) or "type" not in block:
        raise ConfigError(f"{source}: {stage} is a mapping with a type and params; {shown(block)} found")
    check_keys(block, ("type", "params"), stage, source)
    kind, known = str(block["type"] or "none"), TYPES[stage]
    if kind.lower() not in known:
        gone = (
            "a type of the old package that is not carried over"
            if kind in NOT_CARRIED_OVER.get(stage, ())
            else "unknown"
        )
        raise ConfigError(
            f"{source}: {stage}.type {kind!r} is {gone}; {one_of(known)} is expected{nearest(kind, known)}"
        )
    # whoever switches a stage off may leave its params standing
    params = {} if kind.lower() == "none" else block.get("params") or {}
    return Stage(kind.lower(), read(known[kind.lower()], params, f"{stage}.params", source))
