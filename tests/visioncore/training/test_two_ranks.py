"""Two processes: nobody waits for ever, and what is scored is the samples of both."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.visioncore.training.support import write_configs

ROOT = Path(__file__).parents[3]


def start(out: Path, configs: Path, epochs: int, **environment: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.visioncore.training.two_ranks", str(out), str(configs), str(epochs)]
    env = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "CUDA_VISIBLE_DEVICES": "", **environment}
    return subprocess.Popen(command, cwd=ROOT, env=env, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    root = tmp_path_factory.mktemp("ranks")
    write_configs(root)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    runs = {"alone": start(root / "alone.json", root, 0)}
    for rank in "01":
        own = {"RANK": rank, "LOCAL_RANK": rank, "GROUP_RANK": "0", "TORCHELASTIC_RUN_ID": "test"}
        runs[rank] = start(root / f"{rank}.json", root, 2, **shared, **own)
    try:
        for run in runs.values():
            _, errors = run.communicate(timeout=900)
            assert run.returncode == 0, errors[-3000:]
    finally:
        for run in runs.values():
            run.kill()
    return {name: json.loads((root / f"{name}.json").read_text()) for name in runs}


def test_the_score_is_that_of_all_samples(seen: dict[str, Any]) -> None:
    """Bits per spike of two times 12 samples are those of 24; only one rank has any of the second session."""
    alone, first = (
        {key: value for key, value in seen[run]["validated"].items() if "bps" in key} for run in ("alone", "0")
    )
    assert len(alone) == 3 and first == pytest.approx(alone, rel=1e-5)


def test_the_ranks_agree(seen: dict[str, Any]) -> None:
    first, second = seen["0"], seen["1"]
    assert first["sums"] == second["sums"]
    for key in ("val_loss", "val_bps_overall"):
        assert first["validated"][key] == second["validated"][key]
        assert [epoch[key] for epoch in first["fitted"]] == [epoch[key] for epoch in second["fitted"]]
    assert [epoch["train_loss"] for epoch in first["fitted"]] == [epoch["train_loss"] for epoch in second["fitted"]]
    assert len(first["fitted"]) == 2
