"""A folder of checkpoints made new: several at a time, one line of a manifest each, resumable, and no file stops another."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final

from legacy.checkpoint import CheckpointError
from legacy.checkpoint.files import Identity
from legacy.layout import check_folders, check_targets, found, targets
from legacy.manifest import Manifest, Task, stat
from legacy.terminal import failure, visible
from legacy.translate import Options, outputs, translate
from legacy.workers import each

_KILLED: Final = "the process that read it was killed: out of memory?"


def translate_archive(
    source: Path,
    destination: Path,
    options: Options,
    *,
    jobs: int | None = None,
    shard: tuple[int, int] = (1, 1),
    as_json: bool = False,
) -> int:
    """Translates every checkpoint below `source` and returns the exit status: the highest of any file's.

    Raises `CheckpointError` where the folders cannot be used at all.
    """
    check_folders(source, destination)
    began = time.perf_counter()
    below = found(source, destination)
    every = [
        Task(name, target, source / name, destination / target, options)
        for name, target in targets(below.names, options.to).items()
    ]
    manifest = Manifest(destination, options, shard)
    written = (path for task in every for path in outputs(task.destination, options.to))
    check_targets(below.spared, destination, [manifest.path, *written])
    tasks = every[shard[0] - 1 :: shard[1]]
    left = [task for task in tasks if not manifest.done(task)]
    count = Counter[int]()
    failed: list[dict[str, Any]] = []
    with manifest.opened() as write, _progress(len(left), sum(_size(task.source) for task in left)) as advance:
        workers = min(jobs or os.cpu_count() or 1, len(left)) or 1
        for task, line in each(partial(run_task, spared=below.spared), left, workers):
            line = line or task.line({"status": 2, "error": _KILLED})
            write(line)
            count[line["status"]] += 1
            if line["status"]:
                failed.append(line)
            advance(line)
    summary = {
        "source": str(source),
        "destination": str(destination),
        "files": len(tasks),
        "translated": count[0],
        "skipped": len(tasks) - len(left),
        "failed": len(failed),
        "failures": [{"source": line["source"], "status": line["status"], "error": line["error"]} for line in failed],
        "dry_run": options.dry_run,
        "unrecorded": manifest.unwritten,
        "manifest": None if options.dry_run else str(manifest.path),
        "seconds": round(time.perf_counter() - began, 3),
    }
    print(json.dumps(summary) if as_json else _told(summary))
    if manifest.why is None:
        return max(count, default=0)
    print(
        f"translate: {manifest.path} could not be written: {manifest.why.strerror}. It has no line for {manifest.unwritten:,} files: "
        "make room and run the same again, which does those anew",
        file=sys.stderr,
    )
    return max(2, *count)


def run_task(task: Task, spared: Collection[Identity] = ()) -> dict[str, Any]:
    """What the manifest says of one file; no exception leaves it."""
    began = time.perf_counter()
    try:
        if not task.options.dry_run:
            _make_room(task)
        found = translate(task.source, task.destination, task.options, spared).as_json()
        rules = [rule["name"] for rule in found["rules"]]
        outcome: dict[str, Any] = {**found, "status": 0, "error": None, "rules": rules}
    except Exception as error:  # one file never stops the rest
        text, status = failure(task.source, error)
        outcome = {"status": status, "error": text}
    return task.line({**outcome, "seconds": round(time.perf_counter() - began, 3)})


def _make_room(task: Task) -> None:
    """The folder it goes to, without what a run that was killed had begun."""
    folder = task.destination.parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path in outputs(task.destination, task.options.to):
            for begun in folder.glob(f".{_literal(path.name[:100])}.????????.partial"):
                begun.unlink(missing_ok=True)
    except OSError as error:
        raise CheckpointError(f"{folder} cannot be written to: {error.strerror}") from None


def _literal(name: str) -> str:
    return "".join(f"[{char}]" if char in "[*?" else char for char in name)


def _size(path: Path) -> int:
    found = stat(path)
    return found.st_size if found else 0


@contextlib.contextmanager
def _progress(count: int, total: int) -> Iterator[Callable[[dict[str, Any]], None]]:
    """A bar on stderr where someone looks at it; failures are told as they come."""
    try:
        from rich.console import Console
        from rich.markup import escape
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
            TransferSpeedColumn,
        )
    except ImportError:
        yield lambda line: print(_shown(line["error"]), file=sys.stderr) if line["status"] else None
        return
    console = Console(stderr=True, soft_wrap=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        done = bar.add_task(f"0 of {count} files", total=total)
        finished = 0

        def advance(line: dict[str, Any]) -> None:
            nonlocal finished
            finished += 1
            bar.update(done, advance=line["source_bytes"] or 0, description=f"{finished} of {count} files")
            if line["status"]:
                console.print(f"[red]failed[/red] {escape(_shown(line['error']))}", highlight=False)

        yield advance


def _shown(error: str) -> str:
    return "\n".join(map(visible, error.split("\n")))


def _told(summary: dict[str, Any]) -> str:
    verb = "would be translated" if summary["dry_run"] else "translated"
    parts = [f"{summary['translated']:,} of {summary['files']:,} checkpoints {verb}"]
    if summary["skipped"]:
        parts.append(f"{summary['skipped']:,} were already")
    if summary["failed"]:
        parts.append(f"{summary['failed']:,} failed")
    text = ", ".join(parts) + f" in {summary['seconds']:.1f} s"
    return text + (f"; {summary['manifest']} has a line for each" if summary["manifest"] else "")
