"""Where in the network two runs part: both are run again up to the first bad step, with every module's output and gradient kept."""

from __future__ import annotations

import os
import shlex
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from regression.compare.bits import equal
from regression.compare.comparable import started
from regression.compare.judge import Comparison, Divergence
from regression.record import RecordingError, record
from regression.recorder.child import Job
from regression.trace import Trace

if TYPE_CHECKING:
    from regression.compare.difference import Place

PHASES = ("data", "forward", "loss", "backward", "clip", "step")


def bad_step(found: Comparison) -> Divergence | None:
    """The first divergence of a step's own computation, or none: a schedule or a metric is not in any module."""
    return next((d for d in found.divergences if d.step > 0 and d.phase in PHASES), None)


def localize(old: Trace, new: Trace, step: int) -> Place | None:
    """
    Run both again, and look. Nothing of the runs' own files is written.

    Raises:
        RecordingError: one of them cannot be run again: its script, its folder or its data are gone, or it goes another way now
    """
    from regression.compare.difference import first_difference

    with tempfile.TemporaryDirectory() as folder:
        files = []
        for name, trace in (("old", old), ("new", new)):
            again = replay(trace, step, Path(folder) / f"{name}.trace")
            if not equal(again.losses()[: step - 1], trace.losses()[: step - 1]):
                raise RecordingError(
                    f"{trace.path} goes another way when it is run again: its code or data have changed since"
                )
            files.append(Path(f"{again.path}.tensors") / f"step-{step}.safetensors")
        order = [name for _, quantity, name in started(old) if quantity == "parameters"]
        return first_difference(files[0], files[1], step, order)


def replay(trace: Trace, step: int, out: Path) -> Trace:
    """The run of `trace` again, up to `step`, with tensors. A trace may say to run anything, so what it says is shown first."""
    try:
        told: dict[str, Any] = trace.header["replay"]
        folder, python_path = Path(told["folder"]), str(told["python_path"])
        job = Job(
            command=tuple(map(str, told["command"])),
            out=str(out),
            steps=told["steps"],
            device=told["device"],
            seed=told["seed"],
            deterministic=told["deterministic"],
            tensors=(step, step),
            save=False,
        )
        if not folder.is_dir():
            raise KeyError(folder)
    except (KeyError, TypeError) as error:
        raise RecordingError(
            f"{trace.path} cannot be run again here: it does not say how, or the folder it ran in is gone"
        ) from error
    path = f"PYTHONPATH={shlex.quote(python_path)} " if python_path else ""
    line = f"cd {shlex.quote(str(folder))} && {path}python {shlex.join(job.command)}"
    shown = line if line.isprintable() else ascii(line)
    print(f"{trace.path} is run again up to step {step}: {shown}", file=sys.stderr, flush=True)
    threads = started(trace).get(("settings", "flags", "threads"), 1)
    environment = {**os.environ, "PYTHONPATH": python_path, "OMP_NUM_THREADS": str(threads)}
    return record(job, folder=folder, environment=environment, quiet=True)
