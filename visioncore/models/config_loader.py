"""Model and dataset YAMLs from disk."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from visioncore.errors import ConfigError
from visioncore.models.reading import parse_model_config


def load_config(path: str | Path) -> dict[str, Any]:
    """A model YAML, checked key by key, as the plain dict it is written as.

    Raises ConfigError: no such file, not YAML, or not a model (which key, what was expected).
    """
    raw = _read_yaml(Path(path))
    parse_model_config(raw, str(path))
    return raw


def load_dataset_configs(
    entries: Iterable[str | Path | Mapping[str, Any]], base_dir: str | Path = "."
) -> list[dict[str, Any]]:
    """Dataset YAMLs, each stamped with `_weight` and `_config_path`.

    An entry is a path, or `{path, weight}`; a relative one is looked up in `base_dir`. Raises ConfigError: no such file,
    not YAML, or no cells (`cids`) to read out.
    """
    loaded = []
    for entry in entries:
        block: Mapping[str, Any] = entry if isinstance(entry, Mapping) else {"path": entry}
        if "path" not in block:
            raise ConfigError(f"dataset entry {dict(block)!r} has no path")
        path = Path(base_dir) / block["path"]
        raw = _read_yaml(path)
        if not isinstance(raw.get("cids"), list) or not raw["cids"]:
            raise ConfigError(f"{path}: cids is a list of at least one cell, {raw.get('cids')!r} found")
        loaded.append({**raw, "_weight": block.get("weight", 1.0), "_config_path": str(path)})
    return loaded


def _read_yaml(path: Path) -> dict[str, Any]:
    import yaml

    try:
        text = path.read_text(encoding="utf-8-sig")
        raw = yaml.safe_load(text)
        _warn_of_repeated_keys(yaml.compose(text, Loader=yaml.SafeLoader), path)
    except FileNotFoundError:
        raise ConfigError(f"{path}: there is no such file") from None
    except IsADirectoryError:
        raise ConfigError(f"{path} is a folder; a YAML file is expected") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(raw, dict):
        raise ConfigError(f"{path}: a mapping is expected, {type(raw).__name__} found" if raw else f"{path} is empty")
    return raw


def _warn_of_repeated_keys(root: Any, path: Path) -> None:
    """YAML's own readers take the last one, without a word."""
    todo, seen = [root], set()
    while todo:
        node = todo.pop()
        if node is None or id(node) in seen or isinstance(node.value, str):
            continue
        seen.add(id(node))
        keys: set[str] = set()
        for entry in node.value:
            key, value = entry if isinstance(entry, tuple) else (None, entry)
            todo.append(value)
            if key is not None and isinstance(key.value, str):
                if key.value in keys and key.value != "<<":
                    line = key.start_mark.line + 1
                    warnings.warn(
                        f"{path}: line {line}: key {key.value!r} is there twice, and the last one counts", stacklevel=4
                    )
                keys.add(key.value)
