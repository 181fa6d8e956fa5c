"""A script's run, recorded in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from regression import trace
from regression.recorder.child import ROOT, End, Job, started

__all__ = ["ROOT", "RecordingError", "check", "finished", "record", "surroundings"]


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
        RecordingError: no script, or one that fails, trains twice or not at all; what was recorded of a run that failed is kept,
            as `job.out` where there is no such trace yet, else beside it
    """
    check(job, folder or Path())
    with tempfile.TemporaryDirectory() as aside:
        told = Path(aside) / "end"
        process = subprocess.run(
            started(replace(job, out=str(Path(job.out).absolute())), python, told),
            cwd=folder,
            stdin=subprocess.DEVNULL if quiet else None,  # nobody is there to answer
            env=surroundings(environment),
            stdout=subprocess.PIPE if quiet else sys.stderr,
            stderr=subprocess.PIPE if quiet else None,
            text=True,
        )
        return finished(job, process.returncode, told, process.stderr or "")


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
    if job.device == "cuda" and not _has_cuda():
        raise RecordingError("--device cuda: there is no CUDA device here; leave the option out, or give cpu")
    out = Path(job.out).absolute()
    if not out.parent.is_dir():
        raise RecordingError(f"{job.out}: there is no folder {out.parent} to write the trace into")
    try:
        for file in (out, trace.unfinished(out)):
            if file.is_dir():
                raise RecordingError(f"{file} is a folder; name a file to write the trace into")
            if file.exists() and not (file.is_file() and (file.stat().st_size == 0 or trace.is_trace(file))):
                raise RecordingError(f"{file} is there and is no trace; nothing is written over it, name another file")
        trace.unfinished(out).open("a").close()
    except OSError as error:
        raise RecordingError(f"{job.out} cannot be written: {error.strerror}") from error


def _has_cuda() -> bool:
    import torch  # seconds, which the recorded process takes again

    return torch.cuda.is_available()


def finished(job: Job, status: int, told: Path, errors: str = "") -> trace.Trace:
    """
    What came of it, by its exit status and by what the run has `told` of its end.

    Raises:
        RecordingError: with the script's own last words where they were kept from the screen
    """
    end = End(told.read_text()) if told.exists() else End.UNTOLD
    script = " ".join(job.command[:2]) if job.command[0] == "-m" else job.command[0]
    out, made = (
        Path(job.out),
        _made(Path(job.out), keep=end not in (End.TRAINED_TWICE, End.NEVER_TRAINED, End.NO_MODULE)),
    )
    if end is End.TRAINED_TWICE:
        raise RecordingError(
            f"{script} calls Trainer.fit twice, and a trace is of one training; record each with options that run it alone"
        )
    if end is End.NEVER_TRAINED:
        raise RecordingError(
            f"{script} ended without reaching Trainer.fit: there is nothing to record; does it need other arguments?"
        )
    if end is End.NO_MODULE:
        raise RecordingError(f"there is no module {job.command[1]} to run; is its folder on PYTHONPATH?")
    if status == 0 and made and (made.complete or not job.save):  # a replay leaves when it has what it is for
        if made.path != out:
            made.path.replace(out)
        return replace(made, path=out)
    if status == 0 and made is None:
        raise RecordingError(f"{script} ended before it had trained a batch: there is nothing to compare")
    how = {
        End.CUT_SHORT: "was told to end in the middle of its training (sys.exit, or a signal)",
        End.FAILED: "failed",
        End.OTHER_PROCESS_FAILED: "failed in another of its processes",
        End.UNTOLD: f"ended with status {status}"
        if status
        else "left Python before its end (os._exit, or a process that it became)",
    }[end]
    kept = f"; {made.path} has the {len(made.steps)} steps before that" if made else ""
    raise RecordingError(f"{errors[-4000:]}{script} {how}{kept}")


def _made(out: Path, keep: bool) -> trace.Trace | None:
    """What the run wrote, where there is a step in it; it takes the name `out` if that is free."""
    written = trace.unfinished(out)
    try:
        made = trace.read(written) if keep else None
    except trace.TraceError:
        made = None
    if made is None or not made.steps:
        written.unlink(missing_ok=True)
        return None
    if out.exists() and out.stat().st_size:
        return made
    written.replace(out)
    return replace(made, path=out)
