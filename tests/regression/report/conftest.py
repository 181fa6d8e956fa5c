"""Three traces of one tiny training: two alike, one with another learning rate."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from regression.pool import Pool
from regression.recorder.child import Job
from regression.trace import Trace

TINY = Path(__file__).with_name("tiny.py")
Record = Callable[..., Trace]


@pytest.fixture(scope="session")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Record]:
    """`recorded(name, *arguments, **options)`: the trace of `tiny.py`, as a script and a trace of that name."""
    with Pool() as pool:

        def run(name: str, *arguments: str, **options: Any) -> Trace:
            folder = tmp_path_factory.mktemp("run")
            shutil.copy(TINY, folder / f"{name}.py")
            job = Job((f"{name}.py", *arguments), str(folder / f"{name}.trace"), device="cpu", **options)
            return pool.record(job, folder, {})

        yield run


@pytest.fixture(scope="session")
def old(recorded: Record) -> Trace:
    return recorded("old")


@pytest.fixture(scope="session")
def alike(recorded: Record) -> Trace:
    return recorded("alike")


@pytest.fixture(scope="session")
def other(recorded: Record) -> Trace:
    """Its name would be markup if it were not escaped."""
    return recorded("a<i>&c", "--lr", "0.02")
