"""`manifest.jsonl`, by which a run knows what those before it have done: one JSON object a file."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from legacy import __version__
from legacy.checkpoint import CheckpointError
from legacy.checkpoint.beside import beside
from legacy.translate import Options


@dataclass(frozen=True, slots=True)
class Task:
    """One file of an archive; `name` and `target` are below the two folders."""

    name: str
    target: str
    source: Path
    destination: Path
    options: Options

    def line(self, outcome: dict[str, Any]) -> dict[str, Any]:
        """What the manifest says of it."""
        found = stat(self.source)
        return {
            **outcome,
            "source": self.name,
            "destination": self.target,
            "source_bytes": found.st_size if found else None,
            "source_mtime_ns": found.st_mtime_ns if found else None,
            "beside_bytes": self.beside_bytes(),
            "options": options_key(self.options),
        }

    def beside_bytes(self) -> int | None:
        """The size of the JSON beside safetensors; None where there is none."""
        found = stat(beside(self.destination)) if self.options.to == "safetensors" else None
        return found.st_size if found else None


def options_key(options: Options) -> str:
    """Equal for equal translations: with another the file is translated anew."""
    rows = [dict(row.text) for row in options.rows]
    text = json.dumps(
        [__version__, options.to, rows, sorted(options.allow), options.hashed], sort_keys=True, default=str
    )
    return hashlib.sha256(text.encode()).hexdigest()[:16]


class Manifest:
    """Each shard has a manifest of its own, and all are looked at. `unwritten` counts the lines there was no room for, `why`."""

    def __init__(self, folder: Path, options: Options, shard: tuple[int, int]) -> None:
        index, shards = shard
        self.path = folder / ("manifest.jsonl" if shards == 1 else f"manifest-{index}-of-{shards}.jsonl")
        self.unwritten = 0
        self.why: OSError | None = None
        self._dry = options.dry_run
        self._key = options_key(options)
        self._lines: dict[str, dict[str, Any]] = {}
        self._last: dict[str, str] = {}  # of what source each translation is
        for path in sorted(folder.glob("manifest*.jsonl"), key=lambda path: path.stat().st_mtime_ns):
            for line in _lines(path):
                self._lines[str(line.get("source"))] = line
                if line.get("status") == 0:
                    self._last[str(line.get("destination"))] = str(line.get("source"))

    def done(self, task: Task) -> bool:
        """Whether the file was translated before, in the same way, and neither it nor its translation has changed."""
        line, source, made = self._lines.get(task.name), stat(task.source), stat(task.destination)
        return (
            line is not None
            and source is not None
            and made is not None
            and line.get("status") == 0
            and (line.get("options"), line.get("destination")) == (self._key, task.target)
            and self._last.get(task.target) == task.name
            and (line.get("source_bytes"), line.get("source_mtime_ns")) == (source.st_size, source.st_mtime_ns)
            and (line.get("bytes"), line.get("beside_bytes")) == (made.st_size, task.beside_bytes())
        )

    @contextlib.contextmanager
    def opened(self) -> Iterator[Callable[[dict[str, Any]], None]]:
        """A function that adds a line, on disk when it returns; of a dry run nothing is kept.

        A line that cannot be written is left out whole, and counted. Raises `CheckpointError` where none can, or another run writes them.
        """
        if self._dry:
            yield lambda line: None
            return
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            file = self.path.open("a+b", buffering=0)  # what is held back in a buffer could not be taken back
        except OSError as error:
            raise CheckpointError(f"{self.path} cannot be written: {error.strerror}") from None
        with file:
            _lock(file, self.path)

            def write(line: dict[str, Any]) -> None:
                end = file.seek(0, os.SEEK_END)
                try:
                    data = (b"\n" if _torn(file, end) else b"") + json.dumps(line).encode() + b"\n"
                    while data:
                        data = data[file.write(data) :]
                    os.fsync(file.fileno())
                except OSError as error:
                    self.unwritten, self.why = self.unwritten + 1, error
                    with contextlib.suppress(OSError):
                        file.truncate(end)

            yield write


def _lock(file: io.FileIO, path: Path) -> None:
    """Two runs would do the same work twice. The system takes the lock away from one that is killed."""
    try:
        import fcntl
    except ImportError:  # Windows
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise CheckpointError(
            f"{path} is being written by another run: wait for that one, or share the work with --shard"
        ) from None
    except OSError:  # not every file system has locks
        return


def _torn(file: io.FileIO, end: int) -> bool:
    """Whether the last line was cut off, when a run was killed in the middle of it."""
    return end > 0 and os.pread(file.fileno(), 1, end - 1) != b"\n"


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror}") from None
    for text in data.splitlines():
        with contextlib.suppress(ValueError):  # cut off
            line = json.loads(text)
            if isinstance(line, dict):
                yield line


def stat(path: Path) -> os.stat_result | None:
    with contextlib.suppress(OSError):
        return path.stat()
    return None
