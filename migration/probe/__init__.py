"""Looking at a tree by importing it, in a fresh process that can change nothing, with stand-ins for what is not installed.

Linters pass trees that cannot be imported: cycles and shadowing show only when Python itself goes through the door.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from migration.tree import Overlay, Tree, is_record

CHILD = Path(__file__).with_name("child.py")
TIMEOUT = 10.0


@dataclass(frozen=True)
class Door:
    """One way of coming into the tree. `entries` are the repository's folders on `sys.path`, in order.

    `module` imports `name`. `script` runs `path` as `__main__`, without what its main guard holds. `statements` runs only `code`, as if it
    stood in `path`: for scripts that do their work at module level and must not be run.
    """

    kind: Literal["module", "script", "statements"]
    name: str = ""
    path: str = ""
    entries: tuple[str, ...] = (".",)
    code: str = ""
    package: str = ""
    cwd: str = "."


@dataclass(frozen=True)
class DoorResult:
    """What came of it. `chain` is the way through the tree to the error; `ran` counts module-level statements by
    (path, line, column), in the order of their first run; `limitation` means that the error may be the stand-ins' or the sandbox's.
    """

    door: Door
    ok: bool
    error: str = ""
    message: str = ""
    chain: list[tuple[str, int]] = field(default_factory=list)
    limitation: bool = False
    loaded: list[str] = field(default_factory=list)
    standins: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    ran: dict[tuple[str, int, int], int] = field(default_factory=dict)

    @property
    def why(self) -> str:
        """The error in one line, with the files it came through."""
        steps = list(dict.fromkeys(f"{path}:{line}" for path, line in self.chain))
        return f"{self.error}: {self.message}" + (f" ({' → '.join(steps)})" if steps else "")


def probe(
    tree: Overlay,
    doors: Sequence[Door],
    *,
    lost: Iterable[str] = (),
    external: Iterable[str] = (),
    timeout: float = TIMEOUT,
) -> list[DoorResult]:
    """Go through `doors`, each in a process of its own. See `start`."""
    return start([tree], [(0, door) for door in doors], lost=lost, external=external, timeout=timeout)()


def start(
    states: Sequence[Overlay],
    doors: Sequence[tuple[int, Door]],
    *,
    lost: Iterable[str] = (),
    external: Iterable[str] = (),
    library: Iterable[str] = (),
    timeout: float = TIMEOUT,
) -> Callable[[], list[DoorResult]]:
    """Begin to go through `doors`, each into one of the `states` of the same repository, all served by one fresh interpreter.

    It works while the caller does something else; calling what is returned waits for the results.

    `lost` are top-level names that only the tree could have meant: where it has none, they are not found instead of stood in
    for. `external` are names that people install: they win over a folder without `__init__.py`, as they do in Python.
    `library` are modules of the standard library worth loading once for all.
    """
    if not doors:
        return list
    request = {
        "root": str(states[0].root),
        "states": [{"paths": python_paths(s), "changed": _changed(s)} for s in states],
        "lost": sorted(lost),
        "external": sorted(external),
        "library": sorted(library),
        "timeout": timeout,
    }
    together = hasattr(os, "fork")
    asked = [list(doors)] if together else [[door] for door in doors]
    children = [Child({**request, "doors": [(s, asdict(d)) for s, d in some]}, len(some), timeout) for some in asked]
    return lambda: [
        _result(door, answer)
        for (_, door), answer in zip(doors, (a for child in children for a in child.answers()), strict=True)
    ]


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


class Child:
    """A fresh interpreter at work on a request."""

    def __init__(self, request: dict[str, Any], count: int, timeout: float) -> None:
        self.count, self.timeout = count, timeout
        self.output, self.complaint = tempfile.TemporaryFile(), tempfile.TemporaryFile()  # noqa: SIM115 (closed with the answers)
        with tempfile.TemporaryFile() as question:
            question.write(json.dumps(request).encode())
            question.seek(0)
            command = [sys.executable, "-I", "-S", "-B", str(CHILD)]
            self.process = subprocess.Popen(command, stdin=question, stdout=self.output, stderr=self.complaint)

    def answers(self) -> list[dict[str, Any]]:
        """The answers in order; a door that it did not come to, because it was ended, is answered for it."""
        try:
            self.process.wait(10 + self.count * self.timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        with self.output, self.complaint:
            self.output.seek(0)
            self.complaint.seek(0)
            answers = dict(json.loads(line) for line in self.output.read().splitlines() if line.endswith(b"]"))
            why = self.complaint.read().decode(errors="replace").strip()[-500:]
        missing: dict[str, Any] = {
            "ok": False,
            "error": "RuntimeError",
            "message": f"no answer from the fresh process: {why}",
            "limitation": True,
        }
        return [answers.get(place, missing) for place in range(self.count)]


def _result(door: Door, answer: dict[str, Any]) -> DoorResult:
    answer["chain"] = [(path, line) for path, line in answer.get("chain", [])]
    answer["ran"] = {(path, line, column): count for path, line, column, count in answer.get("ran", [])}
    return DoorResult(door, **answer)
