"""One process at a time in a repository. The kernel lets go of the lock when its holder dies, however it dies."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from migration.errors import BadInput, MigrationError

POLL = 0.05  # seconds; flock has no timeout of its own


@contextmanager
def exclusive(path: Path, wait: float) -> Iterator[None]:
    """Hold the lock file at `path`. Raises MigrationError, naming the holder, where it is not free within `wait` seconds."""
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise BadInput(
            f"{path} cannot be opened ({error.strerror}); it must be a plain file that you may write"
        ) from error
    try:
        deadline = time.monotonic() + wait
        while not _taken(handle, path):
            if time.monotonic() >= deadline:
                holder = os.pread(handle, 32, 0).decode("ascii", "replace").strip() or "unknown"
                raise MigrationError(
                    f"another migration (process {holder}) is at work in {path.parent.parent}; run this again when it has ended"
                )
            time.sleep(POLL)
        os.ftruncate(handle, 0)
        os.pwrite(handle, b"%d\n" % os.getpid(), 0)
        yield
    finally:
        os.close(handle)


def _taken(handle: int, path: Path) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        raise MigrationError(
            f"{path} cannot be locked ({error.strerror}); the file system must support flock"
        ) from error
    return True
