"""In the timed process: how long each training step took, and how much memory it all needed."""

from __future__ import annotations

import functools
import itertools
import json
import os
import resource
import sys
import time
import traceback
from pathlib import Path
from typing import Any

import torch

from regression.launch import lightnings, run_module, run_script
from regression.trackers import stand_in_for_wandb

HERE = Path(__file__).parents[1]


class Clock:
    """Time from one step's end to the next one's, within an epoch: waiting for data counts, validation does not."""

    def __init__(self) -> None:
        # of each step of each epoch the moments at which it goes on and is interrupted, in turn
        self._epochs: list[list[list[Any]]] = []
        self._moments: list[Any] = []

    def epoch(self) -> None:
        self._epochs.append([])
        self._moments = [self._now()]

    def interrupt(self) -> None:
        self._moments.append(self._now())

    resume = interrupt

    def step(self) -> None:
        now = self._now()
        self._epochs[-1].append([*self._moments, now])
        self._moments = [now]

    def milliseconds(self) -> list[list[float]]:
        """A list for each epoch."""
        if torch.cuda.is_available() and self._epochs:
            torch.cuda.synchronize()
        return [
            [sum(map(_between, moments[::2], moments[1::2])) for moments in epoch] for epoch in self._epochs if epoch
        ]

    @staticmethod
    def _now() -> Any:
        if not torch.cuda.is_available():
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        event.record()  # in the stream: nothing waits
        return event


def _between(a: Any, b: Any) -> float:
    return 1e3 * (b - a) if isinstance(a, float) else float(a.elapsed_time(b))


def listen(clock: Clock, overrides: dict[str, Any]) -> None:
    """Every Trainer that is made from now on has the clock among its callbacks, and the overrides."""
    for package in lightnings():
        package.Trainer.__init__ = _with(package.Trainer.__init__, _callback(package, clock), overrides)


def _with(original: Any, callback: Any, overrides: dict[str, Any]) -> Any:
    @functools.wraps(original)
    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        callbacks = kwargs.get("callbacks") or []
        callbacks = list(callbacks) if isinstance(callbacks, list | tuple) else [callbacks]
        original(self, *args, **{**kwargs, **overrides, "callbacks": [*callbacks, callback]})

    return init


def _callback(package: Any, clock: Clock) -> Any:
    class Timed(package.Callback):  # type: ignore[misc]
        def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
            clock.epoch()

        def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
            clock.step()

        def on_validation_start(self, trainer: Any, pl_module: Any) -> None:
            clock.interrupt()

        def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
            clock.resume()

    return Timed()


def main() -> None:
    """`python -c … TOLD`: as `pairs` starts it; what was measured is written to the file that TOLD names."""
    told = json.loads(sys.argv[1])
    sys.path[:] = [folder for folder in sys.path if folder]
    clock = Clock()
    stand_in_for_wandb()
    listen(clock, told["overrides"])
    began = time.perf_counter()  # starting up the clock is no part of the script
    try:
        if told["command"][0] == "-m":
            sys.path.insert(0, os.getcwd())
            run_module(told["command"][1], told["command"][2:])
        else:
            run_script(told["command"][0], told["command"][1:])
    except Exception as error:
        sys.exit(_of_the_script(error))
    finally:
        seconds = time.perf_counter() - began
        used = torch.cuda.is_available() and torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
        peak = torch.cuda.max_memory_allocated() if used else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        seen = {"steps": clock.milliseconds(), "seconds": seconds, "peak_bytes": peak}
        Path(told["out"]).write_text(json.dumps(seen))


def _of_the_script(error: Exception) -> str:
    """The traceback without the frames that led to the script's first."""
    told = traceback.TracebackException.from_exception(error)
    frames = itertools.dropwhile(
        lambda frame: HERE in Path(frame.filename).parents or "runpy" in frame.filename, told.stack
    )
    told.stack = traceback.StackSummary.from_list(frames)
    return "".join(told.format() if told.stack else told.format_exception_only()).rstrip()  # the exit ends the line
