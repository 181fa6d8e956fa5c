"""The old script, unedited, is stopped after an epoch; the new trainer goes on from its translated checkpoint to the same bits."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from legacy.translate import Options, translate
from legacy.verify import verify

ROOT = Path(__file__).parents[2]
MONOLITH = ROOT / "legacy" / "monolith"
WATCHED = ROOT / "tests" / "visioncore" / "run" / "watched.py"


def run(folder: Path, name: str, *command: object) -> dict[str, Any]:
    """What a training run computed, step by step, on the CPU."""
    path = os.pathsep.join(map(str, (ROOT / "legacy", ROOT, MONOLITH)))
    environment = {**os.environ, "PYTHONPATH": path, "WANDB_MODE": "disabled", "PYTHONWARNINGS": "ignore"}
    arguments = [sys.executable, str(WATCHED), str(folder / f"{name}.json"), *map(str, command)]
    done = subprocess.run(arguments, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads((folder / f"{name}.json").read_text())
    return found


@pytest.mark.parametrize("model, schedule", [("resnet_convgru", "cosine_warmup")])
def test_the_new_trainer_goes_on_where_the_old_one_was(tmp_path: Path, model: str, schedule: str) -> None:
    from visioncore.data.synthetic import write_sessions

    study = write_sessions(
        tmp_path / "study", 2, size=9, lags=4, frames=1000, n_units=4, n_dead=0, types=("backimage", "gaborium")
    )
    values = {
        "model_config": study.models[model],
        "dataset_configs_path": study.configs_path,
        "max_datasets": 2,
        "batch_size": 8,
        "learning_rate": 1e-3,
        "steps_per_epoch": 4,
        "max_epochs": 2,
        "num_workers": 0,
        "num_gpus": 1,
        "precision": 32,
        "lr_scheduler": schedule,
        "warmup_epochs": 1,
        "experiment_name": "run",
    }
    shared = [part for name, value in values.items() for part in (f"--{name}", str(value))]
    old = run(tmp_path, "old", MONOLITH / "training" / "train_ddp_multidataset.py", *shared, "--checkpoint_dir", "old")
    (first,) = (tmp_path / "old" / "run").glob("epoch=00*.ckpt")
    translate(first, tmp_path / "new.ckpt", Options())
    assert verify(first, tmp_path / "new.ckpt").same
    more = ("--checkpoint_dir", "new", "--resume", tmp_path / "new.ckpt", "--compat", "all", "--device", "cpu")
    new = run(tmp_path, "new", "-m", "visioncore.train", *shared, *more, "--loggers", "csv")
    assert len(new["losses"]) == 4 and new["losses"] == old["losses"][4:]
    assert new["parameters"] == old["parameters"][4:] and new["rates"] == old["rates"][4:]
