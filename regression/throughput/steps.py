"""In the timed process: how long each training step took, and how much memory it all needed."""

from __future__ import annotations

import functools
import itertools
import json
import os
import resource
import sys
import time
from pathlib import Path
from typing import Any

import torch

from regression.launch import lightnings, run_module, run_script
from regression.trackers import stand_in_for_wandb


class Clock:
    """Time from one step's end to the next one's, within an epoch: waiting for data counts, validation does not."""

    def __init__(self) -> None:
        self.marks: list[list[Any]] = []

    def epoch(self) -> None:
        self.marks.append([self._now()])

    def step(self) -> None:
        if self.marks:
            self.marks[-1].append(self._now())

    def milliseconds(self) -> list[list[float]]:
        """A list for each epoch."""
        if torch.cuda.is_available() and self.marks:
            torch.cuda.synchronize()
            return [[a.elapsed_time(b) for a, b in itertools.pairwise(epoch)] for epoch in self.marks]
        return [[1e3 * (b - a) for a, b in itertools.pairwise(epoch)] for epoch in self.marks]

    @staticmethod
    def _now() -> Any:
        if not torch.cuda.is_available():
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        event.record()  # in the stream: nothing waits
        return event


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

    return Timed()


def main() -> None:
    """`python -c … TOLD`: as `pairs` starts it; what was measured is written to the file that TOLD names."""
    told = json.loads(sys.argv[1])
    sys.path[:] = [folder for folder in sys.path if folder]
    clock = Clock()
    stand_in_for_wandb()
    listen(clock, told["overrides"])
    try:
        if told["command"][0] == "-m":
            sys.path.insert(0, os.getcwd())
            run_module(told["command"][1], told["command"][2:])
        else:
            run_script(told["command"][0], told["command"][1:])
    finally:
        used = torch.cuda.is_available() and torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
        peak = torch.cuda.max_memory_allocated() if used else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        Path(told["out"]).write_text(json.dumps({"steps": clock.milliseconds(), "peak_bytes": peak}))
