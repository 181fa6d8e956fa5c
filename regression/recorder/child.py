"""The process in which a recorded script runs."""

from __future__ import annotations

import json
import os
import sys
import traceback
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

TRAINED_TWICE, NEVER_TRAINED, FAILED, NO_MODULE, OTHER_PROCESS_FAILED = 120, 121, 122, 123, 124


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


def run(job: Job) -> int:
    """
    Runs the script in this process, and records it.

    Returns:
        its exit status: 0, or one of this module's, or the script's own
    """
    from regression import trace
    from regression.launch import has_module, run_module, run_script
    from regression.recorder.environment import machine, make_deterministic, versions
    from regression.recorder.install import installed
    from regression.recorder.processes import Processes
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
    writer = trace.Writer(trace.unfinished(Path(job.out)) if job.rank == 0 else Path(os.devnull))
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
    folder = Path(f"{job.out}.tensors") / (f"rank-{job.rank}" if job.rank else "")
    capture = Capture(folder, range(job.tensors[0], job.tensors[1] + 1)) if job.tensors else None
    recorder = Recorder(writer, job.light, capture, leave_after_capture=not job.save)
    others = Processes(job)
    _step_aside()
    status = FAILED
    try:
        with installed(recorder, overrides, job.save), others.started_alike():
            if job.command[0] != "-m":
                run_script(job.command[0], job.command[1:])
            else:
                sys.path.insert(0, os.getcwd())
                if not has_module(job.command[1]):
                    return NO_MODULE
                run_module(job.command[1], job.command[2:])
        status = 0 if others.ended_well() else OTHER_PROCESS_FAILED
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 0 if end.code is None else FAILED
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
    except TwoFits:
        pass  # told by the number of fits, which a script cannot catch
    except BaseException as error:
        traceback.print_exception(error.with_traceback(_of_the_script(error)))
    finally:
        others.stop()
        recorder.close(reached_end=status == 0)
    if recorder.fits > 1:
        return TRAINED_TWICE
    return NEVER_TRAINED if status == 0 and recorder.fits == 0 else status


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


def started(job: Job, python: str) -> list[str]:
    """The command that runs and records `job`."""
    return [python, "-c", START, json.dumps(asdict(job))]


def main() -> None:
    """`python -c … JOB`: as `started` has it."""
    told = json.loads(sys.argv[1])
    told["command"] = tuple(told["command"])
    sys.path[:] = [folder for folder in sys.path if folder]  # the empty one is of `python -c`
    status = run(Job(**told))
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status) if status in (TRAINED_TWICE, NEVER_TRAINED) else sys.exit(status)
