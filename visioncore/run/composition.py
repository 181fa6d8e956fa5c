"""Hydra's configuration and overrides, turned into settings."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from visioncore.compat import Compat
from visioncore.run.settings import Settings, SettingsError, from_values, settings_fields


def overrides_of(settings: Settings) -> list[str]:
    """The options that were given, as overrides. Quoted: a path may hold what Hydra's grammar reads otherwise."""
    overrides = _compat_overrides(settings.compat)
    for item in settings_fields():
        if item.name in settings.given and item.name != "compat":
            overrides.append(f"{item.metadata['key']}={_quoted(getattr(settings, item.name))}")
    return overrides


def settings_of(config: Mapping[str, Any], given_keys: Sequence[str]) -> Settings:
    """Settings of a composed configuration; `given_keys` are those that somebody set.

    Raises SettingsError: a key that is no setting's, or a value that cannot be.
    """
    values: dict[str, Any] = {}
    leaves = dict(_leaves(config))
    for item in settings_fields():
        key = item.metadata["key"]
        if key == "compat":
            values["compat"] = _compat_names(config["compat"])
        elif key in leaves:
            values[item.name] = leaves[key]
    known = {item.metadata["key"] for item in settings_fields()}
    for key in leaves:
        if key not in known and not key.startswith("compat."):
            raise SettingsError(f"{key}: there is no such setting")
    names = {item.name for item in settings_fields() if item.metadata["key"] in given_keys}
    return from_values(values, frozenset(names))


def run_with_hydra(settings: Settings, arguments: Sequence[str], train: Callable[[Settings], Any]) -> None:
    """Compose `visioncore/configs` with our options and Hydra's arguments, and train, once or for each job of a sweep."""
    try:
        import hydra
        from hydra.core.hydra_config import HydraConfig
        from omegaconf import OmegaConf
    except ImportError as error:
        raise SettingsError(
            f"{' '.join(arguments)} is for Hydra, which is not installed; pip install hydra-core, or use --options"
        ) from error

    def job(config: Any) -> Any:
        content: Any = OmegaConf.to_container(config, resolve=True)
        given = [override.lstrip("+~").split("=", 1)[0] for override in HydraConfig.get().overrides.task]
        groups = {key for key in ("model", "data", "trainer", "logger") if key in given}
        keys = [item.metadata["key"] for item in settings_fields()]
        # a chosen group is a choice of all that it says
        given += [key for key in keys if key.split(".")[0] in groups and _differs(content, key)]
        given += ["compat"] if any(key.split(".")[0] == "compat" for key in given) else []
        return train(settings_of(content, given))

    sys.argv = [sys.argv[0], *overrides_of(settings), *arguments]
    hydra.main(version_base="1.3", config_path="pkg://visioncore.configs", config_name="train")(job)()


def _differs(content: Mapping[str, Any], key: str) -> bool:
    """Whether the configuration holds something else than the setting's default."""
    default = {item.metadata["key"]: item.default for item in settings_fields()}[key]
    leaves = dict(_leaves(content))
    return key in leaves and leaves[key] != default


def _leaves(config: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    found = []
    for key, value in config.items():
        path = f"{prefix}{key}"
        found += _leaves(value, f"{path}.") if isinstance(value, Mapping) else [(path, value)]
    return found


def _compat_names(given: Mapping[str, bool]) -> str:
    """The configuration's group `compat`, flags by name, as the names of those that are on."""
    return ",".join(Compat.parse(given).names())


def _compat_overrides(names: str) -> list[str]:
    """The group where it is all of them; otherwise one by one."""
    chosen = Compat.parse(names)
    return ["compat=all"] if chosen == Compat.all() else [f"compat.{name}=true" for name in chosen.names()]


def _quoted(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool | int | float):
        return str(value).lower() if isinstance(value, bool) else repr(value)
    return "'" + str(value).replace("\\", "\\\\").replace("'", "\\'") + "'"
