"""Processes that do one thing after another, each alone: one that dies takes only its own with it."""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
from collections.abc import Callable, Iterable, Iterator
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, TypeVar

Task = TypeVar("Task")


def each(work: Callable[[Task], Any], tasks: Iterable[Task], jobs: int) -> Iterator[tuple[Task, Any]]:
    """Each task with what `work` made of it, in the order they are done; None where its process was killed.

    `work` is a function of a module, or a partial of one, whose exceptions are its own to catch. It goes to each process once.
    """
    context = multiprocessing.get_context("spawn")  # forked from a process with threads, a child may hang
    rest = iter(tasks)
    busy: dict[Connection, tuple[BaseProcess, Task]] = {}

    def give(process: BaseProcess | None = None, pipe: Connection | None = None) -> None:
        for task in rest:
            if process is None or pipe is None or not process.is_alive():
                pipe, theirs = context.Pipe()
                process = context.Process(target=_serve, args=(work, theirs), daemon=True)
                process.start()
                theirs.close()
            with contextlib.suppress(OSError):  # where it has just died, waiting for its answer will tell
                pipe.send(task)
            busy[pipe] = process, task
            return
        if pipe is not None:
            pipe.close()

    try:
        for _ in range(jobs):
            give()
        while busy:
            for ready in wait(list(busy)):
                assert isinstance(ready, Connection)
                process, task = busy.pop(ready)
                try:
                    made = ready.recv()
                except (EOFError, OSError):
                    ready.close()
                    process.join()
                    yield task, None
                    give()
                    continue
                yield task, made
                give(process, ready)
    finally:
        for pipe, (process, _) in busy.items():
            process.terminate()
            process.join()
            pipe.close()


def _serve(work: Callable[[Any], Any], pipe: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears it, too, and ends us
    signal.signal(signal.SIGTERM, _leave)
    with contextlib.suppress(EOFError, OSError):
        while True:
            pipe.send(work(pipe.recv()))
    # Nothing is begun any more: a parent that ends first may end us as it likes.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _leave(number: int, frame: object) -> None:
    raise SystemExit(128 + number)  # so that what was begun is taken away
