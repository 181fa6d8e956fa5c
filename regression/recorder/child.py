"""The process in which a recorded script runs."""

from __future__ import annotations

import os
import sys
import traceback
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

TRAINED_TWICE, NEVER_TRAINED, FAILED = 120, 121, 122


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


def run(job: Job) -> int:
    """
    Runs the script in this process, and records it.

    Returns:
        its exit status: 0, or one of this module's, or the script's own
    """
    from regression import trace
    from regression.launch import run_module, run_script
    from regression.recorder.environment import machine, make_deterministic, versions
    from regression.recorder.install import installed
    from regression.recorder.recorder import Recorder, TwoFits
    from regression.recorder.tensors import Capture
    from regression.trackers import stand_in_for_wandb

    overrides: dict[str, Any] = {"deterministic": "warn", "benchmark": False} if job.deterministic else {}
    if job.device is not None:
        overrides.update(accelerator=job.device, devices=1)
    if job.steps is not None:
        overrides["max_steps"] = job.steps
    if job.deterministic:
        make_deterministic(job.seed)
    writer = trace.Writer(Path(job.out))
    header = {"record": "header", "format": trace.FORMAT, "level": "light" if job.light else "default"}
    told = {"command": job.command, "seed": job.seed, "steps": job.steps, "device": job.device or "as the script says"}
    writer.write(
        {
            **header,
            **told,
            "deterministic": job.deterministic,
            "versions": versions(),
            "machine": machine(),
            "stand_ins": ["wandb"] if stand_in_for_wandb() else [],
            "replay": {**asdict(job), "folder": os.getcwd(), "python_path": os.environ.get("PYTHONPATH", "")},
        }
    )
    capture = Capture(Path(f"{job.out}.tensors"), range(job.tensors[0], job.tensors[1] + 1)) if job.tensors else None
    recorder = Recorder(writer, job.light, capture, leave_after_capture=not job.save)
    status = FAILED
    try:
        with installed(recorder, overrides, job.save):
            if job.command[0] == "-m":
                sys.path.insert(0, os.getcwd())
                run_module(job.command[1], job.command[2:])
            else:
                run_script(job.command[0], job.command[1:])
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 0 if end.code is None else FAILED
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
    except TwoFits:
        status = TRAINED_TWICE
    except BaseException as error:
        traceback.print_exception(error.with_traceback(_of_the_script(error.__traceback__)))
    finally:
        recorder.close(reached_end=status == 0)
    return NEVER_TRAINED if status == 0 and recorder.fits == 0 else status


def _of_the_script(frames: TracebackType | None) -> TracebackType | None:
    """Without the frames that led to the script's first."""
    here = Path(__file__).parents[1]
    last = frames
    while frames is not None and (
        here in Path(frames.tb_frame.f_code.co_filename).parents or "runpy" in frames.tb_frame.f_code.co_filename
    ):
        frames = frames.tb_next
    return frames or last


def main() -> None:
    """`python -c … JOB`: as `record` starts it."""
    import json

    told = json.loads(sys.argv[1])
    told["command"] = tuple(told["command"])
    sys.path[:] = [folder for folder in sys.path if folder]  # the empty one is of `python -c`
    status = run(Job(**told))
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status) if status in (TRAINED_TWICE, NEVER_TRAINED) else sys.exit(status)
