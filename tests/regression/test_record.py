"""`python -m regression record`: what it prints, and what it says of scripts that cannot be recorded."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from regression import trace

ROOT = Path(__file__).parents[2]
TINY = Path(__file__).with_name("tiny.py")


def record(folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "regression", "record", "--out", str(folder / "run.trace"), *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900)


def test_a_script_as_it_is(tmp_path: Path) -> None:
    done = record(tmp_path, "--device", "cpu", "--steps", 4, "--json", "--", TINY, "--lr", "0.2")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    made = trace.read(tmp_path / "run.trace")
    assert told["steps"] == 4 and told["losses"] == made.losses() and told["deterministic"]
    assert made.header["command"][1:] == ["--lr", "0.2"]
    assert made.records[0]["phases"]["settings"]["hyper_parameters"]["lr"] == 0.2


@pytest.mark.parametrize(
    "fault, sentence",
    [("raises", "tiny.py failed"), ("never fits", "without reaching Trainer.fit"), ("fits twice", "calls Trainer.fit twice"), ("logs nothing", "logged nothing")],
)  # fmt: skip
def test_a_script_that_cannot_be_recorded(tmp_path: Path, fault: str, sentence: str) -> None:
    done = record(tmp_path, "--device", "cpu", "--", TINY, "--fault", fault)
    assert done.returncode == 2 and sentence in done.stderr.splitlines()[-1]
    assert ("Traceback" in done.stderr) == (fault == "raises"), "the script's own, and only that"
    assert (tmp_path / "run.trace").exists() == (fault == "logs nothing")
    if fault == "raises":
        assert "child.py" not in done.stderr and "no such recording" in done.stderr


def test_bad_input(tmp_path: Path) -> None:
    for arguments in (
        ("--", "nowhere.py"),
        ("--",),
        ("--steps", "0", "--", TINY),
        ("--out", tmp_path / "no" / "x", "--", TINY),
    ):
        done = record(tmp_path, *arguments)
        assert done.returncode == 2 and "Traceback" not in done.stderr, done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_module(tmp_path: Path) -> None:
    done = record(tmp_path, "--device", "cpu", "--steps", 1, "--", "-m", "tests.regression.tiny")
    assert done.returncode == 0 and "1 steps" in done.stdout, done.stderr


def test_a_run_that_is_killed_leaves_what_it_recorded(tmp_path: Path) -> None:
    script = TINY.read_text().replace(
        "return loss", "import os; os.kill(os.getpid(), 9) if self.global_step == 5 else 0; return loss", 1
    )
    (tmp_path / "dies.py").write_text(script)
    done = record(tmp_path, "--device", "cpu", "--", tmp_path / "dies.py")
    assert done.returncode == 2 and "status -9" in done.stderr
    assert len(trace.read(tmp_path / "run.trace").steps) in (4, 5)


def test_what_is_traced_is_the_script_alone(tmp_path: Path) -> None:
    """A folder beside the script called `regression` is the script's own."""
    (tmp_path / "numbers_of_the_lab.py").write_text("RATE = 0.3\n")
    script = TINY.read_text().replace("default=0.1", "default=__import__('numbers_of_the_lab').RATE")
    (tmp_path / "train.py").write_text(script)
    done = record(tmp_path, "--device", "cpu", "--steps", 1, "--", tmp_path / "train.py")
    assert done.returncode == 0, done.stderr
    assert trace.read(tmp_path / "run.trace").records[0]["phases"]["settings"]["hyper_parameters"]["lr"] == 0.3
