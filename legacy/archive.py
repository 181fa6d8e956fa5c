"""A folder of checkpoints made new: several at a time, one line of a manifest each, resumable, and no file stops another."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from legacy import __version__
from legacy.checkpoint import CheckpointError
from legacy.translate import Options, translate
from legacy.workers import each

SUFFIXES: Final = frozenset({".ckpt", ".pt", ".pth", ".bin", ".safetensors"})
_KILLED: Final = "the process that read it was killed: out of memory?"


@dataclass(frozen=True, slots=True)
class Task:
    """One file of an archive; `name` and `target` are below the two folders."""

    name: str
    target: str
    source: Path
    destination: Path
    options: Options


def files(source: Path, destination: Path, to: str = "ckpt") -> Iterator[tuple[str, str]]:
    """The checkpoints below `source`, sorted, each with the name it will have below `destination`, which is left out where it lies within."""
    found = sorted(_below(source, destination))
    wanted = {name: str(_target(Path(name), to)) for name in found}
    taken = Counter(wanted.values())
    for name, target in wanted.items():  # a.ckpt and a.pt cannot both be a.safetensors
        yield name, target if taken[target] == 1 else f"{name}.{to}"


def _target(name: Path, to: str) -> Path:
    return name.with_suffix(f".{to}") if to == "safetensors" or name.suffix == ".safetensors" else name


def _below(source: Path, destination: Path) -> Iterator[str]:
    own = os.path.realpath(destination)
    for folder, subfolders, names in os.walk(source):
        subfolders[:] = [name for name in subfolders if os.path.realpath(os.path.join(folder, name)) != own]
        for name in names:
            if os.path.splitext(name)[1].lower() in SUFFIXES and not name.startswith("."):
                yield os.path.relpath(os.path.join(folder, name), source)


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
    _check_folders(source, destination)
    began = time.perf_counter()
    manifest = Manifest(destination, options, shard)
    every = list(files(source, destination, options.to))
    mine = every[shard[0] - 1 :: shard[1]]
    tasks = [Task(name, target, source / name, destination / target, options) for name, target in mine]
    left = [task for task in tasks if not manifest.done(task)]
    count = Counter[int]()
    failed: list[dict[str, Any]] = []
    with manifest.opened() as write, _progress(len(left), sum(_size(task.source) for task in left)) as advance:
        workers = min(jobs or os.cpu_count() or 1, len(left)) or 1
        for task, line in each(run_task, left, workers):
            line = line or _line(task, {"status": 2, "error": _KILLED})
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
        "manifest": None if options.dry_run else str(manifest.path),
        "seconds": round(time.perf_counter() - began, 3),
    }
    print(json.dumps(summary) if as_json else _told(summary))
    return max(count, default=0)


def _check_folders(source: Path, destination: Path) -> None:
    if destination.exists() and not destination.is_dir():
        raise CheckpointError(f"{destination} is a file: {source} is a folder, and goes into one")
    if os.path.realpath(source) == os.path.realpath(destination):
        raise CheckpointError(f"{destination} is the folder that is read: give another one to write to")


def run_task(task: Task) -> dict[str, Any]:
    """What the manifest says of one file; no exception leaves it."""
    began = time.perf_counter()
    try:
        if not task.options.dry_run:
            task.destination.parent.mkdir(parents=True, exist_ok=True)
            for partial in task.destination.parent.glob(f".{_literal(task.destination.name[:100])}.????????.partial"):
                partial.unlink(missing_ok=True)  # of a run that was killed
        found = translate(task.source, task.destination, task.options).as_json()
        rules = [rule["name"] for rule in found["rules"]]
        outcome: dict[str, Any] = {**found, "status": 0, "error": None, "rules": rules}
    except CheckpointError as error:
        outcome = {"status": error.status, "error": str(error)}
    except MemoryError:
        outcome = {"status": 2, "error": f"{task.source}: there is not enough memory for it"}
    except Exception as error:  # one file never stops the rest
        outcome = {"status": 2, "error": f"{task.source}: {type(error).__name__}: {error}"}
    return _line(task, {**outcome, "seconds": round(time.perf_counter() - began, 3)})


def _literal(name: str) -> str:
    return "".join(f"[{char}]" if char in "[*?" else char for char in name)


def _line(task: Task, outcome: dict[str, Any]) -> dict[str, Any]:
    found = _stat(task.source)
    return {
        **outcome,
        "source": task.name,
        "destination": task.target,
        "source_bytes": found.st_size if found else None,
        "source_mtime_ns": found.st_mtime_ns if found else None,
        "options": options_key(task.options),
    }


def options_key(options: Options) -> str:
    """Equal for equal translations: with another the file is translated anew."""
    rows = [dict(row.text) for row in options.rows]
    text = json.dumps(
        [__version__, options.to, rows, sorted(options.allow), options.hashed], sort_keys=True, default=str
    )
    return hashlib.sha256(text.encode()).hexdigest()[:16]


class Manifest:
    """`manifest.jsonl` in the destination: one JSON object a file. Each shard has its own, and all are looked at."""

    def __init__(self, folder: Path, options: Options, shard: tuple[int, int]) -> None:
        index, shards = shard
        self.path = folder / ("manifest.jsonl" if shards == 1 else f"manifest-{index}-of-{shards}.jsonl")
        self._dry = options.dry_run
        self._key = options_key(options)
        self._lines: dict[str, dict[str, Any]] = {}
        for path in sorted(folder.glob("manifest*.jsonl"), key=lambda path: path.stat().st_mtime_ns):
            for line in _lines(path):
                self._lines[str(line.get("source"))] = line

    def done(self, task: Task) -> bool:
        """Whether the file was translated before, in the same way, and neither it nor its translation has changed."""
        line, source, made = self._lines.get(task.name), _stat(task.source), _stat(task.destination)
        return (
            line is not None
            and source is not None
            and made is not None
            and line.get("status") == 0
            and (line.get("options"), line.get("destination")) == (self._key, task.target)
            and (line.get("source_bytes"), line.get("source_mtime_ns")) == (source.st_size, source.st_mtime_ns)
            and line.get("bytes") == made.st_size
        )

    @contextlib.contextmanager
    def opened(self) -> Iterator[Callable[[dict[str, Any]], None]]:
        """A function that adds a line, on disk when it returns; of a dry run nothing is kept."""
        if self._dry:
            yield lambda line: None
            return
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            file = self.path.open("a+b")
        except OSError as error:
            raise CheckpointError(f"{self.path} cannot be written: {error.strerror}") from None
        with file:
            _end_torn_line(file)

            def write(line: dict[str, Any]) -> None:
                file.write(json.dumps(line).encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())

            yield write


def _end_torn_line(file: IO[bytes]) -> None:
    end = file.seek(0, os.SEEK_END)
    if end:
        file.seek(end - 1)
        if file.read(1) != b"\n":
            file.write(b"\n")


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    for text in path.read_bytes().splitlines():
        with contextlib.suppress(ValueError):  # cut off when a run was killed
            line = json.loads(text)
            if isinstance(line, dict):
                yield line


def _stat(path: Path) -> os.stat_result | None:
    with contextlib.suppress(OSError):
        return path.stat()
    return None


def _size(path: Path) -> int:
    found = _stat(path)
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
        yield lambda line: print(line["error"], file=sys.stderr) if line["status"] else None
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
                console.print(f"[red]failed[/red] {escape(line['error'])}", highlight=False)

        yield advance


def _told(summary: dict[str, Any]) -> str:
    verb = "would be translated" if summary["dry_run"] else "translated"
    parts = [f"{summary['translated']:,} of {summary['files']:,} checkpoints {verb}"]
    if summary["skipped"]:
        parts.append(f"{summary['skipped']:,} were already")
    if summary["failed"]:
        parts.append(f"{summary['failed']:,} failed")
    text = ", ".join(parts) + f" in {summary['seconds']:.1f} s"
    return text + (f"; {summary['manifest']} has a line for each" if summary["manifest"] else "")
