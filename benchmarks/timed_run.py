"""
Runs a trainer on the CPU and writes down how long its parts took.

    python timed_run.py OUT.json SCRIPT ARGS…
    python timed_run.py OUT.json -m MODULE ARGS…

OUT: seconds to the first batch (from the start of this process), seconds of each training epoch, peak resident memory in MB.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

START = time.perf_counter()

import pytorch_lightning as pl  # noqa: E402

from regression.launch import run_module, run_script, trainer_arguments  # noqa: E402


class Clock(pl.Callback):
    def __init__(self) -> None:
        self.first = 0.0
        self.epochs: list[float] = []
        self._since = 0.0

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        self._since = time.perf_counter()

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        self.first = self.first or time.perf_counter() - START

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        self.epochs.append(time.perf_counter() - self._since)


def main(out: str, command: list[str]) -> None:
    clock = Clock()
    init = pl.Trainer.__init__

    def with_clock(self: Any, *args: Any, **kwargs: Any) -> None:
        init(self, *args, **{**kwargs, "callbacks": [*kwargs["callbacks"], clock]})

    pl.Trainer.__init__ = with_clock  # type: ignore[method-assign]
    try:
        if command[0] == "-m":
            run_module(command[1], command[2:])
        else:
            with trainer_arguments({"accelerator": "cpu", "devices": 1}):
                run_script(command[0], command[1:])
    except SystemExit as end:
        if end.code:
            raise
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    Path(out).write_text(json.dumps({"first_batch": clock.first, "epochs": clock.epochs, "peak_mb": peak}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
