"""Two processes: nobody waits for ever, and what is scored is the samples of both."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.visioncore.training.support import write_configs

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    root = tmp_path_factory.mktemp("ranks")
    write_configs(root)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    command = [sys.executable, "-m", "tests.visioncore.training.two_ranks", str(root), port]
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    run = subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    try:
        _, errors = run.communicate(timeout=900)
        assert run.returncode == 0, errors[-3000:]
    finally:
        with suppress(ProcessLookupError):
            os.killpg(run.pid, signal.SIGKILL)
    return {name: json.loads((root / f"{name}.json").read_text()) for name in ("alone", "0", "1")}


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
