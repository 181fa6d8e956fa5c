"""`pytest regression/`: its options, and what it says at the end. The gate itself is run by itself."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from regression.scenarios import scenario_of, side
from regression.trace import PHASES, read

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "regression" / "golden" / "cpu"


def gate(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "regression/", "-p", "no:cacheprovider", *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=900)


@pytest.mark.parametrize(
    "arguments, word",
    [
        (("--old", "nowhere"), "neither visioncore/train.py nor"),
        (("--new", ROOT / "README.md"), "line 1: not a record"),
        (("--device", "tpu"), "invalid choice"),
        (("--report", "report.pdf"), "name a file that ends in .html"),
    ],
)
def test_a_bad_option_is_a_sentence(arguments: tuple[object, ...], word: str) -> None:
    done = gate(*arguments)
    assert done.returncode == 4 and word in done.stderr and "Traceback" not in done.stderr, done.stdout


@pytest.mark.parametrize("option", ["--old", "--new"])
def test_a_trace_that_nothing_is_compared_with_is_refused(option: str, tmp_path: Path) -> None:
    renamed = shutil.copy(GOLDEN / "small.trace", tmp_path / "main.trace")
    done = gate(option, renamed, "-k", "test_same")
    assert done.returncode == 4 and "a trace of none of the gate's trainings" in done.stderr, done.stdout


def test_traces_of_two_trainings_are_refused() -> None:
    done = gate("--old", GOLDEN / "small.trace", "--new", GOLDEN / "modulator_only.trace")
    assert done.returncode == 4 and "traces of two trainings: modulator_only and small" in done.stderr, done.stdout


def test_a_trace_that_the_gate_recorded_is_known_under_another_name(tmp_path: Path) -> None:
    header, rest = (GOLDEN / "small.trace").read_text().split("\n", 1)
    told = {**json.loads(header), "replay": {"out": "/runs/old/small.trace"}}
    (tmp_path / "main.trace").write_text(f"{json.dumps(told)}\n{rest}")
    assert scenario_of(read(tmp_path / "main.trace")) == "small"


def test_the_gate_silences_no_warning() -> None:
    """A trace holds what was warned of: that an operation is not deterministic decides how two runs are judged."""
    assert "PYTHONWARNINGS" not in side(ROOT / "legacy" / "monolith", "old").environment()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_traces_can_stand_for_both_sides_and_the_summary_is_plain(tmp_path: Path) -> None:
    small = GOLDEN / "small.trace"
    report = tmp_path / "report.html"
    done = gate("--old", small, "--new", small, "-k", "test_same or gpu", "--report", report)
    assert done.returncode == 0, done.stdout
    assert f"{len(PHASES)} passed" in done.stdout, "the phases of the one scenario; the others are skipped"
    assert "no CUDA device" in done.stdout and "The gate has NOT been passed on a GPU" in done.stdout
    assert "same" in report.read_text() and "small" in report.with_suffix(".md").read_text()


def test_two_traces_that_differ_do_not_pass(tmp_path: Path) -> None:
    text = (GOLDEN / "small.trace").read_text()
    loss = text.split('"loss":{"loss":')[3].split("}")[0]
    (tmp_path / "small.trace").write_text(text.replace(f'"loss":{{"loss":{loss}}}', '"loss":{"loss":0.5}', 1))
    done = gate("--old", GOLDEN / "small.trace", "--new", tmp_path / "small.trace", "-k", "test_same and small")
    assert done.returncode == 1 and "step 3 (epoch 0), loss" in done.stdout
    assert "1 failed" in done.stdout
