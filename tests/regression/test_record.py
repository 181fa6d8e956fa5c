"""`python -m regression record`: what it prints, and what it says of scripts that cannot be recorded."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from regression import trace
from regression.cli import main
from regression.pool import Pool
from regression.record import RecordingError
from regression.recorder.child import Job

ROOT = Path(__file__).parents[2]
TINY = Path(__file__).with_name("tiny.py")


def record(folder: Path, *arguments: object) -> int:
    return main(["record", "--out", str(folder / "run.trace"), *map(str, arguments)])


def test_a_script_and_what_lies_beside_it(tmp_path: Path) -> None:
    """As a command. A folder beside the script called `regression` would be the script's own."""
    (tmp_path / "numbers_of_the_lab.py").write_text("RATE = 0.3\n")
    script = TINY.read_text().replace("default=0.1", "default=__import__('numbers_of_the_lab').RATE")
    (tmp_path / "train.py").write_text(script)
    command = [sys.executable, "-m", "regression", "record", "--out", str(tmp_path / "run.trace"), "--device", "cpu"]
    command += ["--steps", "4", "--json", "--", str(tmp_path / "train.py"), "--width", "5"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    made = trace.read(tmp_path / "run.trace")
    assert told["steps"] == 4 and told["losses"] == made.losses() and told["deterministic"]
    assert made.header["command"][1:] == ["--width", "5"]
    assert made.records[0]["phases"]["settings"]["hyper_parameters"] == {"lr": 0.3, "width": 5}


@pytest.mark.parametrize(
    "fault, sentence", [("never fits", "without reaching Trainer.fit"), ("fits twice", "calls Trainer.fit twice")]
)
def test_a_script_that_cannot_be_recorded(pool: Pool, tmp_path: Path, fault: str, sentence: str) -> None:
    job = Job((str(TINY), "--fault", fault), str(tmp_path / "run.trace"), device="cpu")
    with pytest.raises(RecordingError) as failed:
        pool.record(job, tmp_path, {})
    assert sentence in str(failed.value).splitlines()[-1]
    assert "Traceback" not in (tmp_path / "run.trace.log").read_text()
    assert not (tmp_path / "run.trace").exists()


def test_a_script_that_fails_tells_its_own_traceback(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert record(tmp_path, "--device", "cpu", "--", TINY, "--fault", "raises") == 2
    told = capfd.readouterr().err
    assert "tiny.py failed" in told.splitlines()[-1] and not (tmp_path / "run.trace").exists()
    assert "Traceback" in told and "child.py" not in told and "no such recording" in told


def test_a_module_that_logs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    told = ("--device", "cpu", "--steps", 1, "--", "-m", "tests.regression.tiny", "--fault", "logs nothing")
    assert record(tmp_path, *told) == 2
    out, err = capfd.readouterr()
    assert "1 steps" in out and "logged nothing" in err.splitlines()[-1] and "Traceback" not in err
    assert len(trace.read(tmp_path / "run.trace").steps) == 1


def test_bad_input(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for arguments in (("--", "nowhere.py"), ("--",), ("--out", tmp_path / "no" / "x", "--", TINY)):
        assert record(tmp_path, *arguments) == 2
    with pytest.raises(SystemExit, match="2"):
        record(tmp_path, "--steps", "0", "--", TINY)
    assert "Traceback" not in capfd.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_is_killed_leaves_what_it_recorded(pool: Pool, tmp_path: Path) -> None:
    script = TINY.read_text().replace(
        "return loss", "import os; os.kill(os.getpid(), 9) if self.global_step == 5 else 0; return loss", 1
    )
    (tmp_path / "dies.py").write_text(script)
    with pytest.raises(RecordingError, match="status -9"):
        pool.record(Job(("dies.py",), str(tmp_path / "run.trace"), device="cpu"), tmp_path, {})
    assert len(trace.read(tmp_path / "run.trace").steps) in (4, 5)
