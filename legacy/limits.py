"""What a command may use, whatever the file says: a checkpoint's structure is small beside its tensors, which are never in memory."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Final

from legacy.checkpoint.errors import CheckpointError

VARIABLE: Final = "LEGACY_MEMORY_MB"
_DEFAULT: Final = 2048  # some 500,000 tensors


@contextlib.contextmanager
def limited_memory() -> Iterator[None]:
    """Within it the process and those it starts get no more than so much memory, where the system can see to it.

    Raises CheckpointError: the variable is no number; there was not enough.
    """
    try:
        wanted = int(os.environ.get(VARIABLE, _DEFAULT)) << 20
    except ValueError:
        raise CheckpointError(f"{VARIABLE}={os.environ[VARIABLE]!r}: a number of megabytes is expected") from None
    try:
        import resource
    except ImportError:  # Windows
        yield
        return
    before, most = resource.getrlimit(resource.RLIMIT_DATA)
    set_already = before != resource.RLIM_INFINITY and before < wanted
    if not set_already:
        resource.setrlimit(resource.RLIMIT_DATA, (wanted, most))
    try:
        yield
    except MemoryError:
        raise CheckpointError(
            f"it takes over {wanted >> 20:,} MB of memory, more than any checkpoint should: {VARIABLE} allows more"
        ) from None
    finally:
        if not set_already:
            resource.setrlimit(resource.RLIMIT_DATA, (before, most))
