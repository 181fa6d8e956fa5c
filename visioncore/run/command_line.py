"""The command line: the old script's options and, beside them, Hydra's overrides."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any, NamedTuple

from visioncore.errors import nearest
from visioncore.run.settings import Settings, SettingsError, from_values, kind_of, settings_fields

DESCRIPTION = "Train one network of primary visual cortex on many recording sessions."
EPILOG = """\
examples:
  python -m visioncore.train                      a small model on synthetic sessions, in two minutes
  python -m visioncore.train --model_config configs/learned_res_small.yaml --dataset_configs_path sessions/ --num_gpus 2
  python -m visioncore.train --model_config m.yaml --dataset_configs_path sessions/ trainer.seed=1,2,3 --multirun
  python -m visioncore.train data=synthetic trainer=smoke compat=all

What looks like key=value or +key=value is an override of Hydra's configuration (visioncore/configs); it wins over an option.
"""
HYDRA_OPTIONS = (
    "--multirun",
    "-m",
    "--cfg",
    "--package",
    "-p",
    "--resolve",
    "--config-name",
    "--config-dir",
    "--info",
    "--run",
)
WITH_VALUE = ("--cfg", "--package", "-p", "--config-name", "--config-dir")


def parser() -> argparse.ArgumentParser:
    """A flag for each setting. What is not given stays out of the namespace."""
    made = argparse.ArgumentParser(
        prog="python -m visioncore.train",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
    )
    for item in settings_fields():
        flag, kind, text = f"--{item.name}", kind_of(item), str(item.metadata["help"])
        if kind == "bool":
            action: Any = argparse.BooleanOptionalAction if item.default else "store_true"
            made.add_argument(flag, action=action, help=f"{text} (default: {item.default})")
            continue
        made.add_argument(
            flag,
            type={"int": int, "float": float, "str": str}[kind],
            choices=item.metadata.get("choices"),
            help=f"{text} (default: {item.default})".replace("%", "%%"),
        )
    return made


class Hydras(NamedTuple):
    """What of the command line is Hydra's, in two parts: it does not take an option between two overrides."""

    options: list[str]
    overrides: list[str]


def split(arguments: Sequence[str]) -> tuple[list[str], Hydras]:
    """Ours and Hydra's: overrides such as `a.b=c`, `+a=b`, `~a`, `a@b=c`, and Hydra's own options.

    An option's value may hold `=`, so what follows an option of ours that takes a value is its value.
    """
    takes_value = {f"--{item.name}" for item in settings_fields() if kind_of(item) != "bool"}
    ours: list[str] = []
    hydras = Hydras([], [])
    rest = iter(arguments)
    for argument in rest:
        if argument in takes_value:
            ours += [argument, *([value] if (value := next(rest, None)) is not None else [])]
        elif argument.split("=", 1)[0] in HYDRA_OPTIONS:
            hydras.options.extend([argument, *([next(rest, "")] if argument in WITH_VALUE else [])])
        elif argument.startswith("-"):
            ours.append(argument)
        else:
            hydras.overrides.append(argument)
    return ours, hydras


def read(arguments: Sequence[str]) -> tuple[Settings, Hydras]:
    """Settings of our options, and the arguments that are Hydra's. Raises SettingsError: an option that there is not."""
    ours, hydras = split(arguments)
    known, unknown = parser().parse_known_args(ours)
    if unknown:
        options = [f"--{item.name}" for item in settings_fields()]
        raise SettingsError(f"there is no option {unknown[0]}{nearest(unknown[0], options)}; --help lists them")
    return from_values(vars(known)), hydras
