"""The old script, the tree that the migration makes of it, and `visioncore.train --compat all`: the same bits."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.migrated import migrated_tree
from tests.visioncore.run.forks import Forks
from visioncore.data.synthetic import SyntheticStudy, write_sessions

ROOT = Path(__file__).parents[3]
MONOLITH = ROOT / "legacy" / "monolith"
SCRIPT = Path("training") / "train_ddp_multidataset.py"
# none is below; the old script's plateau stops at an option that torch has dropped (Q9)
SCHEDULES = {"resnet_convgru": "cosine_warmup", "densenet_concat": "cosine", "modulator_only": "step"}


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> SyntheticStudy:
    folder = tmp_path_factory.mktemp("study")
    return small_study(folder)


@pytest.fixture(scope="module")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("libcst")
    return migrated_tree(tmp_path_factory)


def small_study(folder: Path, n_dead: int = 0) -> SyntheticStudy:
    types = ("backimage", "gaborium")
    return write_sessions(folder, 2, size=9, lags=4, frames=1000, n_units=4, n_dead=n_dead, types=types)


def options(study: SyntheticStudy, folder: Path, model: str, steps: int, epochs: int, **more: Any) -> list[str]:
    values = {
        "model_config": study.models[model],
        "dataset_configs_path": study.configs_path,
        "max_datasets": 2,
        "batch_size": 8,
        "learning_rate": 1e-3,
        "steps_per_epoch": steps,
        "max_epochs": epochs,
        "num_workers": 0,
        "num_gpus": 1,
        "precision": 32,
        "checkpoint_dir": folder,
        **more,
    }
    return [part for name, value in values.items() for part in (f"--{name}", str(value))]


def run(forks: Forks, tmp_path: Path, commands: dict[str, tuple[Path, list[str]]]) -> dict[str, Any]:
    """What `watched.py` saw of each command, a process each: a second run in one process can differ in the last bit.

    A command comes with the tree that its old package is looked up in.
    """
    seen = {}
    for name, (tree, command) in commands.items():
        path = os.pathsep.join(map(str, (ROOT / "legacy", ROOT, tree)))
        environment = {"PYTHONPATH": path, "WANDB_MODE": "disabled"}
        out = tmp_path / f"{name}.json"
        done = forks.run([Path(__file__).with_name("watched.py"), out, *command], tmp_path, environment)
        assert done.returncode == 0, done.stderr[-2000:]
        seen[name] = json.loads(out.read_text())
    return seen


def old_and_new(forks: Forks, tmp_path: Path, told: list[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    new = ["-m", "visioncore.train", *told, "--compat", "all", "--device", "cpu", "--no-plots", "--loggers", "csv"]
    seen = run(forks, tmp_path, {"old": (MONOLITH, [str(MONOLITH / SCRIPT), *told]), "new": (MONOLITH, new)})
    assert seen["old"]["end"] == seen["new"]["end"] == 0
    return seen["old"], seen["new"]


@pytest.mark.parametrize("name", SCHEDULES)
def test_same_bits_as_the_old_script(forks: Forks, study: SyntheticStudy, tmp_path: Path, name: str) -> None:
    told = options(
        study, tmp_path / "runs", name, 25, 2, lr_scheduler=SCHEDULES[name], warmup_epochs=1, core_lr_scale=0.5
    )
    old, new = old_and_new(forks, tmp_path, told)
    assert len(old["losses"]) == 50 and "nan" not in old["metrics"][-1].values()
    assert old == new


def test_same_bits_where_a_cell_has_no_valid_sample(forks: Forks, tmp_path: Path) -> None:
    told = options(small_study(tmp_path / "study", n_dead=1), tmp_path / "runs", "small", 5, 2)
    old, new = old_and_new(forks, tmp_path, told)
    assert old == new and old["metrics"][0]["val_bps_overall"] == "nan"
    assert len(old["metrics"]) == 1, "training stops at a score that is not finite"


def test_the_migrated_tree_trains_as_the_old_one(
    forks: Forks, study: SyntheticStudy, migrated: Path, tmp_path: Path
) -> None:
    told = options(study, tmp_path / "runs", "small", 10, 1)
    trees = {"old": MONOLITH, "migrated": migrated}
    seen = run(forks, tmp_path, {name: (tree, [str(tree / SCRIPT), *told]) for name, tree in trees.items()})
    assert seen["old"]["end"] == 0 and len(seen["old"]["losses"]) == 10
    assert seen["old"] == seen["migrated"]
