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

import yaml

from regression.record import ROOT, RecordingError
from regression.trace import Trace

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
        return {"PYTHONPATH": os.pathsep.join(map(str, self.python_path))}


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
    raise RecordingError(
        f"{tree}: neither visioncore/train.py nor {SCRIPT} is there; name a tree that has one, or a trace"
    )


def settings() -> dict[str, Any]:
    return tomllib.loads(FILE.read_text())


def names() -> list[str]:
    """Those that train to their end on what is written for them."""
    return [name for name, named in settings()["scenario"].items() if named.get("gate", True)]


def scenario_of(made: Trace) -> str:
    """The training that a trace is of: by the name that the gate recorded it under, or by the file's own.

    Raises:
        RecordingError: it is none of the gate's, so that nothing could be compared with it
    """
    recorded = Path(made.header.get("replay", {}).get("out", "")).stem
    for name in (recorded, made.path.stem):
        if name in names():
            return name
    raise RecordingError(
        f"{made.path}: a trace of none of the gate's trainings, as its name tells; name it as the one that it is of, with .trace "
        f"({', '.join(names())}), or compare two traces with python -m regression compare"
    )


class Studies:
    """The sessions that scenarios train on; one study each for as many as do not edit them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def options(self, scenario: str, **others: Any) -> list[str]:
        """The training script's options; `pretrained_from` is left to the caller, who has the run that it names."""
        told = settings()
        named = {key: value for key, value in told["scenario"][scenario].items() if key != "gate"}
        chosen = {**(told["shared"] if named.pop("shared", True) else {}), **named, **others}
        edit = chosen.pop("edit", {})
        chosen.pop("pretrained_from", None)
        study = self._study(scenario if edit else "study", {**told["study"], **edit.get("study", {})}, edit)
        config = study / "models" / f"{chosen.pop('model')}.yaml"
        arguments = ["--model_config", str(config), "--dataset_configs_path", str(study / "configs")]
        for name, value in chosen.items():
            arguments += [f"--{name}"] if value is True else [f"--{name}", str(value)]
        return arguments

    def _study(self, name: str, written: Mapping[str, Any], edit: Mapping[str, Any]) -> Path:
        folder = self._folder / name
        if not folder.exists():
            command = [sys.executable, "-m", "visioncore.data.synthetic", "--out", str(folder)]
            command += [f"--{option}={value}" for option, value in written.items()]
            environment = {**os.environ, "PYTHONPATH": str(ROOT)}
            subprocess.run(command, check=True, capture_output=True, env=environment, cwd=ROOT)
            for kind, configs in (("model", folder / "models"), ("dataset", folder / "configs")):
                for file in configs.glob("*.yaml") if kind in edit else ():
                    content = _merged(yaml.safe_load(file.read_text()), edit[kind])
                    file.write_text(yaml.safe_dump(content, sort_keys=False))
        return folder


def _merged(content: Any, edit: Any) -> Any:
    """`edit` laid over `content`; a stage of the network, which has a `type`, is replaced whole."""
    if not (isinstance(content, dict) and isinstance(edit, dict)) or "type" in edit:
        return edit
    return {**content, **{key: _merged(content.get(key), value) for key, value in edit.items()}}
