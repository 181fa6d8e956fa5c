"""A fresh interpreter that goes through doors while its owner does something else."""

from __future__ import annotations

import base64
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
import weakref
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

from migration.probe import Door, DoorResult
from migration.tree import Overlay, Tree, is_record

CHILD = Path(__file__).with_name("child.py")
TIMEOUT = 10.0
Results = Callable[[], list[DoorResult]]
Asked = tuple[int, Door]


def probe(
    tree: Overlay,
    doors: Sequence[Door],
    *,
    lost: Iterable[str] = (),
    external: Iterable[str] = (),
    timeout: float = TIMEOUT,
) -> list[DoorResult]:
    """Go through `doors`, each in a process of its own."""
    interpreter = Interpreter([tree], lost=lost, external=external, timeout=timeout)
    return interpreter.begin([(0, door) for door in doors])()


class Interpreter:
    """Serves every door from one process, each in a fork of it; where there are no forks, each door gets an interpreter.

    `states` are of the same repository. `lost` are top-level names that only the tree could have meant: where it has none, they
    are not found instead of stood in for. `external` are names that people install: they win over a folder without
    `__init__.py`, as they do in Python. `library` are modules of the standard library worth loading once for all.
    """

    def __init__(
        self,
        states: Sequence[Overlay],
        *,
        lost: Iterable[str] = (),
        external: Iterable[str] = (),
        library: Iterable[str] = (),
        timeout: float = TIMEOUT,
    ) -> None:
        self._setup = {
            "root": str(states[0].root),
            "states": [{"paths": python_paths(s), "changed": _changed(s)} for s in states],
            "lost": sorted(lost),
            "external": sorted(external),
            "library": sorted(library),
            "timeout": timeout,
        }
        self._timeout = timeout
        self._process: _Process | None = None

    def begin(self, asked: Sequence[Asked]) -> Results:
        """Begin to go through doors, each into one of the states. Calling what is returned waits for the results; in the order
        in which they were begun.
        """
        if not asked:
            return list
        if not hasattr(os, "fork"):
            return self._one_by_one(asked)
        process = self._process = self._process or _Process(self._setup)
        process.ask(asked)
        return lambda: process.results(asked, self._timeout)

    def _one_by_one(self, asked: Sequence[Asked]) -> Results:
        processes = [_Process(self._setup) for _ in asked]
        for process, one in zip(processes, asked, strict=True):
            process.ask([one])
        return lambda: [process.results([one], self._timeout)[0] for process, one in zip(processes, asked, strict=True)]


class _Process:
    """One child: requests and answers are lines of JSON. It ends when nobody holds it any more."""

    def __init__(self, setup: dict[str, Any]) -> None:
        self._complaint = tempfile.TemporaryFile()  # noqa: SIM115 (closed by _end)
        command = [sys.executable, "-I", "-S", "-B", str(CHILD)]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._complaint)
        assert process.stdin and process.stdout
        self._process, self._to = process, process.stdin
        self._lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        # Without a reader the child would stand still as soon as the pipe is full.
        threading.Thread(target=_pass_on, args=(process.stdout, self._lines), daemon=True).start()
        weakref.finalize(self, _end, process, self._complaint)
        self._send(setup)

    def ask(self, asked: Sequence[Asked]) -> None:
        self._send([(state, asdict(door)) for state, door in asked])

    def results(self, asked: Sequence[Asked], timeout: float) -> list[DoorResult]:
        """The results in order; a door that the child did not come to, because it was ended, is answered for it."""
        answers: dict[int, dict[str, Any]] = {}
        try:
            while len(answers) < len(asked) and (line := self._lines.get(timeout=10 + len(asked) * timeout)):
                place, answer = json.loads(line)
                answers[place] = answer
        except queue.Empty:
            self._process.kill()
        missing = {} if len(answers) == len(asked) else self._missing()
        return [_result(door, dict(answers.get(place, missing))) for place, (_, door) in enumerate(asked)]

    def _send(self, what: Any) -> None:
        try:
            self._to.write(json.dumps(what).encode() + b"\n")
            self._to.flush()
        except BrokenPipeError:  # it has died; the results will say so
            pass

    def _missing(self) -> dict[str, Any]:
        self._process.wait()
        self._complaint.seek(0)
        why = self._complaint.read().decode(errors="replace").strip()[-500:]
        message = f"no answer from the fresh process: {why}"
        return {"ok": False, "error": "RuntimeError", "message": message, "limitation": True}


def _pass_on(output: IO[bytes], lines: queue.SimpleQueue[bytes]) -> None:
    with output:
        for line in output:
            lines.put(line)
    lines.put(b"")


def _end(process: subprocess.Popen[bytes], complaint: IO[bytes]) -> None:
    if process.stdin:
        process.stdin.close()
    process.kill()
    process.wait()
    complaint.close()


def python_paths(tree: Overlay) -> list[str]:
    """The files that an import can find; snapshots of earlier states are not among them."""
    return [path for path in tree.paths() if path.endswith(".py") and not is_record(path)]


def _changed(tree: Overlay) -> dict[str, str]:
    """Every Python file that is not as it is on the disk, base64."""
    edited: set[str] = set()
    state: Overlay | Tree = tree
    while isinstance(state, Overlay):
        edited |= state.edits.keys()
        state = state.base
    return {p: base64.b64encode(tree.read(p)).decode() for p in edited if p.endswith(".py") and tree.exists(p)}


def _result(door: Door, answer: dict[str, Any]) -> DoorResult:
    answer["chain"] = [(path, line) for path, line in answer.get("chain", [])]
    answer["ran"] = {(path, line, column): count for path, line, column, count in answer.get("ran", [])}
    return DoorResult(door, **answer)
