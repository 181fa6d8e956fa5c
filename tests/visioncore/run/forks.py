"""
Commands of Python, each in a process of its own that has torch and Lightning imported already: three seconds a command, not eight.

    with Forks("pytorch_lightning") as forks:
        done = forks.run(["-m", "visioncore.train", "--max_epochs", "1"], folder, {"PYTHONPATH": …})

All else is imported afresh, from where the command has it.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from regression.launch import run_module, run_script

ROOT = Path(__file__).parents[3]


class Forks:
    """A server that has `modules` imported, and forks for every command."""

    def __init__(self, *modules: str) -> None:
        # traced by coverage, a training takes thrice as long, and it is covered elsewhere
        environment = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
        environment |= {
            "OMP_NUM_THREADS": "1",
            "MKL_NUM_THREADS": "1",
        }  # of these networks, threads make nothing faster
        self._server = subprocess.Popen(
            [sys.executable, "-m", __name__, *modules],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(
        self, command: Sequence[object], folder: Path, environment: Mapping[str, str]
    ) -> subprocess.CompletedProcess[str]:
        """As `python COMMAND` in `folder`, a script or -m and a module.

        environment: laid over this process's; what the interpreter itself reads of it, as PYTHONWARNINGS, it has read already
        """
        assert self._server.stdin is not None and self._server.stdout is not None
        told = [str(part) for part in command]
        with tempfile.TemporaryDirectory() as aside:
            streams = [str(Path(aside) / name) for name in ("stdout", "stderr")]
            order = {"command": told, "folder": str(folder), "environment": dict(environment), "streams": streams}
            self._server.stdin.write(json.dumps(order) + "\n")
            self._server.stdin.flush()
            status = int(self._server.stdout.readline())
            return subprocess.CompletedProcess(told, status, *(Path(stream).read_text() for stream in streams))

    def __enter__(self) -> Forks:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.communicate(timeout=60)  # its stdin is closed, and with that it ends


def serve(modules: Sequence[str]) -> None:
    for name in modules:
        importlib.import_module(name)
    sys.path[:] = [folder for folder in sys.path if folder != str(ROOT)]
    answers = os.fdopen(os.dup(1), "w")
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            os._exit(run(**json.loads(line)))
        _, status = os.waitpid(child, 0)
        answers.write(f"{os.waitstatus_to_exitcode(status)}\n")
        answers.flush()
    os._exit(0)  # to take torch down takes a second


def run(command: list[str], folder: str, environment: dict[str, str], streams: list[str]) -> int:
    """In the fork."""
    signal.alarm(900)  # nobody waits for ever
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for descriptor, stream in enumerate(streams, start=1):
        os.dup2(os.open(stream, os.O_WRONLY | os.O_CREAT), descriptor)
    os.chdir(folder)
    os.environ.update(environment)
    sys.path[:0] = [entry for entry in environment.get("PYTHONPATH", "").split(os.pathsep) if entry]
    status: Any = 0
    try:
        if command[0] == "-m":
            sys.path.insert(0, folder)
            run_module(command[1], command[2:])
        else:
            run_script(command[0], command[1:])
    except SystemExit as end:
        status = end.code
    except BaseException:
        traceback.print_exc()
        status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    return status if isinstance(status, int) else int(status is not None)


if __name__ == "__main__":
    serve(sys.argv[1:])
