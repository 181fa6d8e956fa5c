"""Whole epochs of the old script and of `visioncore.train`, as fresh processes in turn; the ratio is what counts.

EPOCH_PAIRS=5 python -m pytest benchmarks/test_epochs.py --benchmark-only   measures longer
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from visioncore.data.synthetic import SyntheticStudy, write_sessions

ROOT = Path(__file__).parents[1]
MONOLITH = ROOT / "legacy" / "monolith"
PAIRS = int(os.environ.get("EPOCH_PAIRS", "2"))


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> SyntheticStudy:
    return write_sessions(tmp_path_factory.mktemp("study"), 3, size=25, lags=10, frames=3000, n_units=20, n_dead=0)


def timed(command: list[str], folder: Path) -> dict[str, Any]:
    out = folder / "timed.json"
    path = os.pathsep.join(map(str, (ROOT / "legacy", ROOT, MONOLITH)))
    environment = {**os.environ, "PYTHONPATH": path, "WANDB_MODE": "disabled", "PYTHONWARNINGS": "ignore"}
    run = [sys.executable, str(Path(__file__).with_name("timed_run.py")), str(out), *command]
    subprocess.run(run, cwd=folder, env=environment, check=True, capture_output=True, timeout=900)
    seen: dict[str, Any] = json.loads(out.read_text())
    return seen


@pytest.mark.benchmark(group="epochs")
@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("model", ["resnet_convgru", "densenet_concat", "modulator_only"])
def test_whole_epochs(benchmark: Any, study: SyntheticStudy, tmp_path: Path, model: str, workers: int) -> None:
    options = {
        "model_config": study.models[model],
        "dataset_configs_path": study.configs_path,
        "batch_size": 64,
        "steps_per_epoch": 30,
        "max_epochs": 3,
        "num_workers": workers,
        "num_gpus": 1,
        "precision": 32,
        "checkpoint_dir": tmp_path / "runs",
    }
    told = [part for name, value in options.items() for part in (f"--{name}", str(value))]
    commands = {
        "old": [str(MONOLITH / "training" / "train_ddp_multidataset.py"), *told],
        "new": ["-m", "visioncore.train", *told, "--device", "cpu", "--loggers", "csv", "--no-plots"],
    }
    seen: dict[str, list[dict[str, Any]]] = {"old": [], "new": []}

    def pair() -> None:
        for name, command in commands.items():
            seen[name].append(timed(command, tmp_path))

    benchmark.pedantic(pair, rounds=PAIRS, iterations=1)
    # the first epoch warms up
    epochs = {name: statistics.median(s for run in runs for s in run["epochs"][1:]) for name, runs in seen.items()}
    for key in ("first_batch", "peak_mb"):
        for name, runs in seen.items():
            benchmark.extra_info[f"{name} {key}"] = round(statistics.median(run[key] for run in runs), 1)
    benchmark.extra_info.update({f"{name} epoch s": round(value, 2) for name, value in epochs.items()})
    benchmark.extra_info["ratio"] = round(epochs["old"] / epochs["new"], 2)
