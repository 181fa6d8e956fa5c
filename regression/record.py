"""A script's run, recorded in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from regression import trace
from regression.recorder.child import FAILED, NEVER_TRAINED, TRAINED_TWICE, Job

ROOT = Path(__file__).resolve().parents[1]
# this package is looked up last, so that it hides nothing of the script's
START = f"import sys; sys.path.append({str(ROOT)!r}); from regression.recorder.child import main; main()"


class RecordingError(Exception):
    """There is no whole trace; a sentence."""


def record(
    job: Job,
    *,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
    quiet: bool = False,
    python: str = sys.executable,
) -> trace.Trace:
    """
    Run `job` in a fresh process, started in `folder`.

    Raises:
        RecordingError: no script, or one that fails, trains twice or not at all; what was recorded of a run that failed is kept
    """
    check(job, folder or Path())
    process = subprocess.run(
        [python, "-c", START, json.dumps({**asdict(job), "out": str(Path(job.out).resolve())})],
        cwd=folder,
        env=surroundings(environment),
        stdout=subprocess.PIPE if quiet else sys.stderr,
        stderr=subprocess.PIPE if quiet else None,
        text=True,
    )
    return finished(job, process.returncode, process.stderr or "")


def surroundings(environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """The script's environment: cuBLAS as determinism wants it, and no run of a tracker online, unless the caller's own says so."""
    return {"CUBLAS_WORKSPACE_CONFIG": ":4096:8", "WANDB_MODE": "disabled", **(environment or os.environ)}


def check(job: Job, folder: Path) -> None:
    """Raises RecordingError where it can be seen beforehand that nothing will come of it."""
    command = job.command
    if not command or command == ("-m",):
        raise RecordingError("a script, or -m and a module, is expected behind --")
    if command[0] != "-m" and not (folder / command[0]).is_file():
        raise RecordingError(f"there is no script {command[0]}; name a Python file, or -m and a module")
    if not Path(job.out).resolve().parent.is_dir():
        raise RecordingError(f"{job.out}: there is no folder {Path(job.out).resolve().parent} to write the trace into")


def finished(job: Job, status: int, errors: str = "") -> trace.Trace:
    """What came of it. Raises RecordingError, with the script's own last words where they were kept from the screen."""
    script = " ".join(job.command[:2]) if job.command[0] == "-m" else job.command[0]
    out = Path(job.out)
    if status in (TRAINED_TWICE, NEVER_TRAINED):
        out.unlink(missing_ok=True)
    if status == TRAINED_TWICE:
        raise RecordingError(
            f"{script} calls Trainer.fit twice, and a trace is of one training; record each with options that run it alone"
        )
    if status == NEVER_TRAINED:
        raise RecordingError(
            f"{script} ended without reaching Trainer.fit: there is nothing to record; does it need other arguments?"
        )
    if status != 0:
        how = "failed" if status == FAILED else f"ended with status {status}"
        steps = _steps(out)
        kept = f"; {out} has the {steps} steps before that" if steps else ""
        if not steps:
            out.unlink(missing_ok=True)
        raise RecordingError(f"{errors[-4000:]}{script} {how}{kept}")
    made = trace.read(out)
    if not made.steps:
        out.unlink()
        raise RecordingError(f"{script} reached Trainer.fit but trained no batch: there is nothing to compare")
    return made


def _steps(out: Path) -> int:
    try:
        return len(trace.read(out).steps)
    except trace.TraceError:
        return 0
