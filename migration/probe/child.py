"""The fresh process: reads a request, goes through each door in a fork of its own, prints one result a line.

Started with the interpreter's bare minimum (`-I -S`): no installed package is reachable, whatever the environment.
"""

from __future__ import annotations

import os
import sys

# What any interpreter has before its first import: nothing in a tree can take the place of these.
STARTED_WITH = frozenset(sys.modules)

import types

if __name__ == "__main__":
    # The package's own `__init__` files would bring in the whole tool; only the modules beside this file are needed.
    _here = os.path.dirname(os.path.abspath(__file__))
    for _name, _folder in (("migration", os.path.dirname(_here)), ("migration.probe", _here)):
        sys.modules[_name] = types.ModuleType(_name)
        sys.modules[_name].__path__ = [_folder]

# Loaded once, before the forks, because most trees ask for them.
import argparse  # noqa: F401
import base64
import contextlib
import gc
import importlib
import json
import marshal
import select
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from migration.probe import sandbox, standins
from migration.probe.finder import Compiled, Files, Seen, TreeFinder, install

# Errors that a stand-in can bring about in code that is in order: it is not a number, has no items, no text.
VAGUE = (TypeError, ValueError, ArithmeticError, LookupError, AssertionError)


def go_through(door: dict[str, Any], files: Files, lost: frozenset[str], external: frozenset[str]) -> dict[str, Any]:
    """Import a module, run a script, or run statements in a script's place; what came of it. Seals this process first."""
    seen = Seen()
    tried = sandbox.seal()
    result: dict[str, Any] = {"ok": True, "names": []}
    os.chdir(files.full(door["cwd"]) if os.path.isdir(files.full(door["cwd"])) else files.root)
    for name in [n for n in sys.modules if n.partition(".")[0] in files.names and n not in STARTED_WITH]:
        del sys.modules[name]
    install(TreeFinder(files, seen, lost, external), [os.path.normpath(files.full(entry)) for entry in door["entries"]])
    sys.argv = [files.full(door["path"])]
    try:
        result["names"] = sorted(dir(_module(door, files, seen)))
    except BaseException as error:  # whatever user code raises, SystemExit and KeyboardInterrupt included, is a result
        result |= _failure(error, files, seen, tried)
    return result | {
        "loaded": seen.loaded,
        "standins": seen.standins,
        "ran": [[*place, count] for place, count in seen.ran.items()],
    }


def _module(door: dict[str, Any], files: Files, seen: Seen) -> types.ModuleType:
    if door["kind"] == "module":
        return importlib.import_module(door["name"])
    module = types.ModuleType(door["name"] or "__main__")
    module.__file__ = files.full(door["path"])
    if module.__name__ == "__main__":  # statements of a module do not stand in for the module itself
        sys.modules["__main__"] = module
    if door["kind"] == "script":
        if door["path"] not in files.paths:
            raise FileNotFoundError(f"{door['path']} is not there")
        seen.loaded.append(door["path"])
        exec(files.code(door["path"], as_script=True), module.__dict__)
    else:
        module.__package__ = door["package"] or None
        if not door["package"]:
            del module.__dict__["__package__"]
        exec(compile(door["code"], "<statements>", "exec", dont_inherit=True), module.__dict__)
    return module


def _failure(error: BaseException, files: Files, seen: Seen, tried: list[str]) -> dict[str, Any]:
    chain: list[tuple[str, int]] = []
    in_standin = False
    trace = error.__traceback__
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        in_standin = file == standins.__file__
        if (path := files.relative(file)) is not None:
            chain.append((path, trace.tb_lineno))
        trace = trace.tb_next
    if isinstance(error, SyntaxError) and error.filename and (path := files.relative(error.filename)) is not None:
        chain.append((path, error.lineno or 1))
    vague = bool(seen.standins) and (
        isinstance(error, VAGUE) or (isinstance(error, NameError) and bool(standins.STAR_IMPORTS))
    )
    limitation = in_standin or isinstance(error, sandbox.Refused) or bool(tried) or vague
    return {"ok": False, "error": type(error).__name__, "message": str(error), "chain": chain, "limitation": limitation}


@dataclass
class Fork:
    """A door being gone through in a fork of this process. What the fork compiled comes back with its answer."""

    place: int
    process: int
    reader: int
    deadline: float
    pieces: list[bytes] = field(default_factory=list)

    @classmethod
    def start(cls, place: int, work: Callable[[], dict[str, Any]], compiled: Compiled, timeout: float) -> Fork:
        reader, writer = os.pipe()
        process = os.fork()
        if process == 0:
            try:
                known = set(compiled)
                result = json.dumps(work())
                answer = marshal.dumps((result, {key: code for key, code in compiled.items() if key not in known}))
                while answer:
                    answer = answer[os.write(writer, answer) :]
            finally:
                os._exit(0)
        os.close(writer)
        return cls(place, process, reader, time.monotonic() + timeout)

    def read(self) -> bool:
        """Take what has come; whether that was all."""
        piece = os.read(self.reader, 1 << 16)
        self.pieces.append(piece)
        return not piece

    def end(self, compiled: Compiled, timeout: float) -> dict[str, Any]:
        """The answer of a fork that is through, or is stopped here because it takes too long."""
        os.close(self.reader)
        if time.monotonic() >= self.deadline:
            os.kill(self.process, signal.SIGKILL)
        _, status = os.waitpid(self.process, 0)
        late = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        try:
            told, new = marshal.loads(b"".join(self.pieces))
        except (ValueError, EOFError, TypeError):
            why = (
                f"did not finish within {timeout:g} s"
                if late
                else "the interpreter ended before the import was through"
            )
            error = "TimeoutError" if late else "SystemExit"
            return {"ok": False, "error": error, "message": why, "limitation": late}
        compiled.update(new)
        return dict(json.loads(told))


def in_forks(
    works: list[Callable[[], dict[str, Any]]], compiled: Compiled, timeout: float
) -> Iterator[tuple[int, dict[str, Any]]]:
    """(place, answer) of every work as it is through, as many at a time as there are cores."""
    waiting = list(enumerate(works))[::-1]
    running: list[Fork] = []
    while waiting or running:
        while waiting and len(running) < (os.cpu_count() or 1):
            place, work = waiting.pop()
            running.append(Fork.start(place, work, compiled, timeout))
        first = min(fork.deadline for fork in running)
        ready = select.select([fork.reader for fork in running], [], [], max(0.0, first - time.monotonic()))[0]
        for fork in list(running):
            if (fork.reader in ready and fork.read()) or time.monotonic() >= fork.deadline:
                running.remove(fork)
                yield fork.place, fork.end(compiled, timeout)


def load_beforehand(names: list[str]) -> None:
    """Modules of the standard library that the tree asks for, loaded once for all forks."""
    for name in names:
        with contextlib.suppress(Exception):
            importlib.import_module(name)


def main() -> None:
    """The first line is the setting, each further one a list of doors; an answer is a line of (place in the list, result)."""
    setting = json.loads(sys.stdin.buffer.readline())
    compiled: Compiled = {}
    states = [
        Files(setting["root"], s["paths"], {p: base64.b64decode(c) for p, c in s["changed"].items()}, compiled)
        for s in setting["states"]
    ]
    lost, external, timeout = frozenset(setting["lost"]), frozenset(setting["external"]), setting["timeout"]
    load_beforehand(setting["library"])
    gc.collect()
    gc.freeze()  # a fork shares these pages as long as nobody writes to them
    out = os.fdopen(os.dup(1), "w")
    for line in sys.stdin.buffer:
        works = [partial(go_through, door, states[state], lost, external) for state, door in json.loads(line)]
        answers = in_forks(list(works), compiled, timeout) if hasattr(os, "fork") else ((0, w()) for w in works)
        for place, answer in answers:
            print(json.dumps([place, answer]), file=out, flush=True)


if __name__ == "__main__":
    main()
