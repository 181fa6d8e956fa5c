"""The runs that the gate's tests share: each recorded once, as many at a time as there are servers."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from regression.pool import Pool
from regression.record import ROOT
from regression.recorder.child import Job
from regression.scenarios import Side, Studies, scenario_of, settings, side
from regression.trace import Trace

Trainer: TypeAlias = Side | Trace


class Recordings:
    """`recordings(trainer, scenario, *arguments, **options)` is the trace of that run; a trace stands for the trainer it was recorded of."""

    def __init__(self, pool: Pool, studies: Studies, folder: Callable[[str], Path], device: str) -> None:
        self._pool, self._studies, self._folder, self._device = pool, studies, folder, device
        self._threads = ThreadPoolExecutor(pool.size)
        self._made: dict[str, Future[Trace]] = {}

    def __call__(self, who: Trainer, scenario: str, *arguments: str, steps: int | None = None, **options: Any) -> Trace:
        """Raises RecordingError where the run fails."""
        return self.start(who, scenario, *arguments, steps=steps, **options).result()

    def both(self, old: Trainer, new: Trainer, scenario: str, **options: Any) -> tuple[Trace, Trace]:
        """Side by side, where the machine has room for two."""
        first, second = self.start(old, scenario, **options), self.start(new, scenario, **options)
        return first.result(), second.result()

    def start(
        self, who: Trainer, scenario: str, *arguments: str, steps: int | None = None, **options: Any
    ) -> Future[Trace]:
        """The same without waiting for it. A trace of another training skips the test."""
        if isinstance(who, Trace):
            if scenario_of(who) != scenario:
                pytest.skip(f"{who.path.name} is a trace of {scenario_of(who)}; this one is {scenario}")
            there: Future[Trace] = Future()
            there.set_result(who)
            return there
        told = [*self._studies.options(scenario, **options), *who.arguments, *arguments]
        wanted = settings()["scenario"][scenario]
        if "pretrained_from" in wanted:
            before = self(side(ROOT / "legacy" / "monolith", "old"), wanted["pretrained_from"])
            told += ["--pretrained_checkpoint", str(next(before.path.parent.glob("runs/*/last.ckpt")))]
        if who.command[0] == "-m":
            told += ["--device", self._device]
        key = repr((who.name, who.command, told, steps))
        if key not in self._made:
            folder = self._folder(who.name)
            # where more than one process is asked for, the script takes its devices by itself
            device = self._device if wanted.get("num_gpus", 1) == 1 else None
            job = Job((*who.command, *told), str(folder / f"{scenario}.trace"), steps, device)
            self._made[key] = self._threads.submit(self._pool.record, job, folder, who.environment())
        return self._made[key]
