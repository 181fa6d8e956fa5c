"""The other processes of a run on several devices.

Lightning starts each by running the script again, which would know nothing of the seed, the options and the hooks. Here each is started as the
first one was. All record, so that what is gathered from every process is asked for by every process; what the first one records is kept.
"""

from __future__ import annotations

import functools
import importlib
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any

from regression.launch import lightnings, replaced
from regression.recorder.child import Job, started

# they end together; one that is left waits for another that is gone
PATIENCE_SECONDS = 60


class Processes:
    """Those that the run of `job` starts beside itself."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._running: list[subprocess.Popen[bytes]] = []
        self._asked = 0

    @contextmanager
    def started_alike(self) -> Iterator[None]:
        """Inside, what Lightning starts in the place of the script is the script recorded."""
        with ExitStack() as stack:
            for package in lightnings():
                launcher = importlib.import_module(f"{package.__name__}.strategies.launchers.subprocess_script")
                replaced(stack, launcher, "_basic_subprocess_cmd", self._with_recorder)
                replaced(stack, launcher, "_hydra_subprocess_cmd", self._with_recorder)
                replaced(stack, launcher._SubprocessScriptLauncher, "_call_children_scripts", self._kept)
            yield

    def ended_well(self) -> bool:
        try:
            return all(process.wait(PATIENCE_SECONDS) == 0 for process in self._running)
        except subprocess.TimeoutExpired:
            return False

    def stop(self) -> None:
        """Whatever still runs."""
        for process in self._running:
            if process.poll() is None:
                process.kill()

    def _with_recorder(self, original: Any) -> Any:
        @functools.wraps(original)
        def command(*args: Any, **kwargs: Any) -> Any:
            made = original(*args, **kwargs)
            told, *folder = made if isinstance(made, tuple) else (made,)  # Hydra's has its folder beside it
            self._asked += 1
            again = started(replace(self._job, command=tuple(told[1:]), rank=self._asked), told[0])
            return (again, *folder) if folder else again

        return command

    def _kept(self, original: Any) -> Any:
        @functools.wraps(original)
        def call(launcher: Any) -> None:
            original(launcher)
            self._running += launcher.procs

        return call
