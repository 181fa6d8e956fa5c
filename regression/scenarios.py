"""The gate's trainings: which options, on which sessions, and how either side is called."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from regression.record import ROOT, RecordingError

FILE = Path(__file__).with_name("scenarios.toml")
SCRIPT = Path("training") / "train_ddp_multidataset.py"
ON_THIS_DEVICE = ("--no-plots", "--loggers", "csv")


@dataclass(frozen=True)
class Side:
    """A trainer: the command that starts it, and where its packages are looked up."""

    name: str
    command: tuple[str, ...]
    python_path: tuple[Path, ...]
    arguments: tuple[str, ...] = ()

    def environment(self) -> dict[str, str]:
        path = os.pathsep.join(map(str, self.python_path))
        return {"PYTHONPATH": path, "PYTHONWARNINGS": "ignore"}


def side(tree: Path, name: str, *arguments: str) -> Side:
    """The trainer of a tree: `visioncore.train` after cutover, before it the script.

    Raises:
        RecordingError: the tree has neither
    """
    tree = tree.resolve()
    if (tree / "visioncore" / "train.py").is_file():
        return Side(name, ("-m", "visioncore.train"), (tree,), (*ON_THIS_DEVICE, *arguments))
    if (tree / SCRIPT).is_file():
        # the script's readers of recordings are the lab's own package; a stand-in for it is in legacy/
        return Side(name, (str(tree / SCRIPT),), (ROOT / "legacy", ROOT, tree), arguments)
    raise RecordingError(f"{tree}: neither visioncore/train.py nor {SCRIPT} is there; name a tree that has one, or a trace")


def settings() -> dict[str, Any]:
    return tomllib.loads(FILE.read_text())


def names() -> list[str]:
    return list(settings()["scenario"])


def write_study(folder: Path) -> Path:
    """Sessions, dataset YAMLs and model YAMLs to train on."""
    told = [f"--{name}={value}" for name, value in settings()["study"].items()]
    command = [sys.executable, "-m", "visioncore.data.synthetic", "--out", str(folder), *told]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run(command, check=True, capture_output=True, env=environment, cwd=ROOT)
    return folder


def options(study: Path, scenario: str, **others: Any) -> list[str]:
    """The options of a scenario on the sessions of `study`."""
    told = settings()
    return as_options(study, {**told["shared"], **told["scenario"][scenario], **others})


def as_options(study: Path, chosen: Mapping[str, Any]) -> list[str]:
    values = dict(chosen)
    config = study / "models" / f"{values.pop('model')}.yaml"
    arguments = ["--model_config", str(config), "--dataset_configs_path", str(study / "configs")]
    for name, value in values.items():
        arguments += [f"--{name}"] if value is True else [f"--{name}", str(value)]
    return arguments
