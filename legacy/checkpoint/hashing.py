"""The SHA-256 of a whole file, computed beside whatever else is done with it."""

from __future__ import annotations

import hashlib
import os
import threading
from types import TracebackType

from legacy.checkpoint.errors import CheckpointError
from legacy.checkpoint.files import CHUNK, Source


class Sha256:
    """Reads the file in a thread, from `with` on; `hexdigest` waits for the end, leaving the block gives up.

    Both reading and hashing let other threads run, so that a copy at the same time costs what the slower of the two does.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._made = hashlib.sha256()
        self._error: Exception | None = None
        self._given_up = False
        self._thread = threading.Thread(target=self._run, name="sha256", daemon=True)

    def __enter__(self) -> Sha256:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._given_up = True
        self._thread.join()

    def hexdigest(self) -> str:
        """Raises `CheckpointError` where the file could not be read to its end, or changed meanwhile."""
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._made.hexdigest()

    def _run(self) -> None:
        buffer = bytearray(CHUNK)
        view = memoryview(buffer)
        try:
            with self._source.open() as descriptor:
                at = 0
                while not self._given_up and (count := os.preadv(descriptor, [buffer], at)):
                    self._made.update(view[:count])
                    at += count
        except OSError as error:
            self._error = CheckpointError(f"{self._source.path} cannot be read: {error.strerror}")
        except CheckpointError as error:
            self._error = error
