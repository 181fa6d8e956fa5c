"""Many recordings, each in a process of its own that has torch and Lightning imported already.

A server imports them once and forks for each run; what the run itself imports is fresh every time. On two cores this is a second a run
instead of five.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from queue import Queue
from threading import Lock
from types import TracebackType
from typing import Any

from regression import trace
from regression.record import ROOT, check, finished, surroundings
from regression.recorder.child import Job, read, run

START = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from regression.pool import serve; sys.path.remove({str(ROOT)!r}); serve()"


class Pool:
    """`size` servers, started when the first recording is asked for; `record` may be called from as many threads."""

    def __init__(self, size: int = 1, threads: int = 1) -> None:
        self.size = size
        self._environment = {**surroundings(), "OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
        for name in [name for name in self._environment if name.startswith("COV")]:
            del self._environment[name]  # traced, a run takes thrice as long, and it is covered elsewhere
        self._servers: list[subprocess.Popen[str]] = []
        self._starting = Lock()
        self._free: Queue[subprocess.Popen[str]] = Queue()

    def _start(self) -> None:
        with self._starting:
            for _ in range(self.size - len(self._servers)):
                server = subprocess.Popen(
                    [sys.executable, "-c", START],
                    env=self._environment,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
                self._servers.append(server)
                self._free.put(server)

    def record(self, job: Job, folder: Path, environment: Mapping[str, str]) -> trace.Trace:
        """
        As `regression.record.record` does, quietly: the script's output is in OUT.log.

        Raises:
            RecordingError: as there
        """
        check(job, folder)
        self._start()
        server = self._free.get()
        with tempfile.TemporaryDirectory() as aside:
            told = Path(aside) / "end"
            try:
                assert server.stdin is not None and server.stdout is not None
                absolute = {**asdict(job), "out": str(Path(job.out).absolute())}
                order = {"job": absolute, "told": str(told), "folder": str(folder), "environment": dict(environment)}
                server.stdin.write(json.dumps(order) + "\n")
                server.stdin.flush()
                answer = server.stdout.readline()
            finally:
                self._free.put(server)
            status = int(answer) if answer.strip() else 1
            return finished(job, status, told, Path(f"{job.out}.log").read_text() if status else "")

    def close(self) -> None:
        for server in self._servers:
            server.kill()  # it holds nothing, and may still be importing
        for server in self._servers:
            with server:  # closes its pipes and waits
                pass

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def serve() -> None:
    """Forks for every order on stdin, and answers with its exit status."""
    from regression.launch import lightnings
    from regression.recorder import install  # noqa: F401

    lightnings()
    for name in ("yaml", "safetensors"):
        if find_spec(name) is not None:
            importlib.import_module(name)
    sys.path[:] = [folder for folder in sys.path if folder]
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        order = json.loads(line)
        child = os.fork()
        if child == 0:
            os._exit(_run(order))
        _, status = os.waitpid(child, 0)
        answers.write(f"{os.waitstatus_to_exitcode(status)}\n")
        answers.flush()


def _run(order: dict[str, Any]) -> int:
    job = read(order["job"])
    log = os.open(f"{job.out}.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.chdir(order["folder"])
    os.environ.update(order["environment"])
    looked_up = order["environment"].get("PYTHONPATH", "")
    sys.path[:0] = [folder for folder in looked_up.split(os.pathsep) if folder]
    status = run(job, Path(order["told"]))
    sys.stdout.flush()
    sys.stderr.flush()
    return status
