"""Hydra's configuration and overrides, turned into settings."""

from __future__ import annotations

import dataclasses
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from visioncore.compat import FLAGS, Compat
from visioncore.errors import nearest
from visioncore.run.command_line import Hydras
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


def run_with_hydra(settings: Settings, hydras: Hydras, train: Callable[[Settings], Any]) -> None:
    """Compose `visioncore/configs` with our options and Hydra's arguments, which win, and train, once or for each job of a sweep."""
    try:
        import hydra
        from hydra.core.hydra_config import HydraConfig
        from hydra.errors import HydraException
        from hydra.types import RunMode
        from omegaconf import OmegaConf
        from omegaconf.errors import OmegaConfBaseException
    except ImportError as error:
        raise SettingsError(
            f"{' '.join(hydras.options + hydras.overrides)} is for Hydra, which is not installed; pip install hydra-core, or use --options"
        ) from error

    def job(config: Any) -> Any:
        content: Any = OmegaConf.to_container(config, resolve=True)
        given = [override.lstrip("+~").split("=", 1)[0] for override in HydraConfig.get().overrides.task]
        groups = {key for key in ("model", "data", "trainer", "logger") if key in given}
        keys = [item.metadata["key"] for item in settings_fields()]
        # a chosen group is a choice of all that it says
        given += [key for key in keys if key.split(".")[0] in groups and _differs(content, key)]
        given += ["compat"] if any(key.split(".")[0] == "compat" for key in given) else []
        settings = settings_of(content, given)
        if HydraConfig.get().mode == RunMode.MULTIRUN:
            # each job of a sweep has a folder of its own
            settings = dataclasses.replace(settings, experiment_name=f"{settings.name}-{HydraConfig.get().job.num}")
            return train(settings)
        try:
            return train(settings)
        except Exception as error:
            failed.append(error)  # Hydra would print all overrides first
            return None

    failed: list[Exception] = []
    # Hydra prints errors in its own way, and leaves with 1, unless it is asked to let them through
    os.environ["HYDRA_FULL_ERROR"] = "1"
    sys.argv = [sys.argv[0], *hydras.options, *overrides_of(settings), *hydras.overrides]
    try:
        hydra.main(version_base="1.3", config_path="pkg://visioncore.configs", config_name="train")(job)()
    except (HydraException, OmegaConfBaseException) as error:
        raise SettingsError(_sentence(str(error))) from error
    if failed:
        raise failed[0]


def _sentence(message: str) -> str:
    """Hydra's complaint in a line; for a key that there is not, with the nearest."""
    unknown = re.match(r"Could not override '([^']+)'", message)
    if unknown is not None:
        keys = [str(item.metadata["key"]) for item in settings_fields()] + [f"compat.{flag.name}" for flag in FLAGS]
        if unknown[1] in keys:
            return f"{unknown[1]} cannot be set: an override takes its group away"
        return f"there is no setting {unknown[1]!r}{nearest(unknown[1], keys)}; --cfg job prints them all"
    message = message.split("Config search path", 1)[0]
    first, *rest = (" ".join(line.split()) for line in message.splitlines() if line.strip())
    return f"{first.rstrip('.')}; {' '.join(rest)}" if rest else first


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
    """As Hydra's grammar and OmegaConf's read it back: in quotes, a backslash is one unless a quote or an interpolation follows."""
    if value is None:
        return "null"
    if isinstance(value, bool | int | float):
        return str(value).lower() if isinstance(value, bool) else repr(value)
    escaped = {"'": "\\'", "${": "\\${", "": ""}
    return "'" + re.sub(r"(\\*)('|\$\{|$)", lambda found: found[1] * 2 + escaped[found[2]], str(value)) + "'"
