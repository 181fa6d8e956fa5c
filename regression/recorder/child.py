"""The process in which a recorded script runs."""

from __future__ import annotations

import json
import os
import sys
import traceback
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from regression.launch import has_module, run_module, run_script

if TYPE_CHECKING:
    from regression.recorder.recorder import Recorder


class End(StrEnum):
    """How a run ended, where its exit status cannot tell: every status may be the script's own. Told in a file to who started the run."""

    UNTOLD = ""
    TRAINED_TWICE = "trained twice"
    NEVER_TRAINED = "never trained"
    CUT_SHORT = "cut short"
    FAILED = "failed"
    NO_MODULE = "no module"
    OTHER_PROCESS_FAILED = "other process failed"


ROOT = Path(__file__).resolve().parents[2]
# The folder of this package is on the path only while it is looked up there: what else lies in it is not the script's.
START = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from regression.recorder.child import main; sys.path.remove({str(ROOT)!r}); main()"


@dataclass(frozen=True)
class Job:
    """A run to record."""

    command: tuple[str, ...]
    out: str
    steps: int | None = None
    device: str | None = None
    seed: int = 0
    light: bool = False
    deterministic: bool = True
    tensors: tuple[int, int] | None = None
    save: bool = True  # off for a replay, which leaves no files, and ends after the last of its `tensors`
    rank: int = 0  # of its processes; only what the first one records is kept


def run(job: Job, told: Path | None = None) -> int:
    """
    Runs the script in this process, and records it. How it ended is `told` in this file, where its exit status does not say it.

    Returns:
        its exit status: the script's own, or 1
    """
    from regression import trace
    from regression.recorder.environment import machine, make_deterministic, versions
    from regression.recorder.install import installed
    from regression.recorder.processes import Processes
    from regression.recorder.recorder import Recorder
    from regression.recorder.tensors import Capture
    from regression.trackers import stand_in_for_wandb

    overrides: dict[str, Any] = {"deterministic": "warn", "benchmark": False} if job.deterministic else {}
    if job.device is not None:
        overrides.update(accelerator=job.device, devices=1)
    if job.steps is not None:
        overrides["max_steps"] = job.steps
    if job.deterministic:
        make_deterministic(job.seed)
    writer = trace.Writer(trace.unfinished(Path(job.out)) if job.rank == 0 else Path(os.devnull))
    header = {"record": "header", "format": trace.FORMAT, "level": "light" if job.light else "default"}
    asked = {"command": job.command, "seed": job.seed, "steps": job.steps, "device": job.device or "as the script says"}
    writer.write(
        {
            **header,
            **asked,
            "deterministic": job.deterministic,
            "versions": versions(),
            "machine": machine(),
            "stand_ins": ["wandb"] if stand_in_for_wandb() else [],
            "replay": {**asdict(job), "folder": os.getcwd(), "python_path": os.environ.get("PYTHONPATH", "")},
        }
    )
    folder = Path(f"{job.out}.tensors") / (f"rank-{job.rank}" if job.rank else "")
    capture = Capture(folder, range(job.tensors[0], job.tensors[1] + 1)) if job.tensors else None
    recorder = Recorder(writer, job.light, capture, leave_after_capture=not job.save)
    others = Processes(job)
    _step_aside()
    try:
        with installed(recorder, overrides, job.save), others.started_alike():
            end, status = _ran(job.command, recorder)
        if recorder.fits > 1:
            end = End.TRAINED_TWICE
        elif status == 0 and recorder.fits == 0:
            end = End.NEVER_TRAINED
        elif status == 0 and recorder.cut_short:
            end = End.CUT_SHORT
        elif status == 0 and not others.ended_well():
            end = End.OTHER_PROCESS_FAILED
    finally:
        others.stop()
    if status == 0 and not end and recorder.caught:
        # whether that is a failure only the script knows
        print(
            f"{job.command[0]} went on after Trainer.fit had failed ({recorder.caught}): the trace has the steps before that",
            file=sys.stderr,
        )
    recorder.close(reached_end=status == 0 and not end)
    if told and end:
        told.write_text(end)
    return 1 if end else status


def _ran(command: tuple[str, ...], recorder: Recorder) -> tuple[End, int]:
    """Runs the script, and says how it ended."""
    try:
        if command[0] != "-m":
            run_script(command[0], command[1:])
        else:
            sys.path.insert(0, os.getcwd())
            if not has_module(command[1]):
                return End.NO_MODULE, 1
            run_module(command[1], command[2:])
    except SystemExit as end:
        if isinstance(end.code, int):
            return End.UNTOLD, end.code & 0xFF  # what the system makes of it
        if end.code is not None:
            print(end.code, file=sys.stderr)
        return End.UNTOLD, 0 if end.code is None else 1
    except BaseException as error:
        if recorder.fits < 2:  # else it is told by the number of fits, which a script cannot catch
            traceback.print_exception(error.with_traceback(_of_the_script(error)))
        return End.FAILED, 1
    return End.UNTOLD, 0


def _step_aside() -> None:
    """The script may have a module `regression` of its own: from here on, this package goes by another name."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "regression"]:
        module = sys.modules.pop(name)
        module.__name__ = f"_{name}"  # where torch.compile looks for a hook's module
        sys.modules[module.__name__] = module


def _of_the_script(error: BaseException) -> TracebackType | None:
    """Without the frames that led to the script's first. A script that is no Python has none."""
    frames = error.__traceback__
    while frames is not None and _on_the_way(Path(frames.tb_frame.f_code.co_filename)):
        frames = frames.tb_next
    return frames or (None if isinstance(error, SyntaxError) else error.__traceback__)


def _on_the_way(file: Path) -> bool:
    return Path(__file__).parents[1] in file.parents or str(file).startswith("<frozen ")


def started(job: Job, python: str, told: Path | None = None) -> list[str]:
    """The command that runs and records `job`, as `run` does."""
    return [python, "-c", START, json.dumps(asdict(job)), *([str(told)] if told else [])]


def main() -> None:
    """`python -c … JOB [FILE]`: as `started` has it."""
    job, *told = sys.argv[1:]
    sys.path[:] = [folder for folder in sys.path if folder]  # the empty one is of `python -c`
    sys.exit(run(read(json.loads(job)), *map(Path, told)))


def read(told: dict[str, Any]) -> Job:
    """The job that JSON tells."""
    return Job(**{**told, "command": tuple(told["command"])})
