"""Three traces of one tiny training: two alike, one with another learning rate. And two made by hand, for what is not drawn of them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from regression.compare.judge import compare
from regression.pool import Pool
from regression.recorder.child import Job
from regression.report import write
from regression.trace import Trace
from tests.regression.made import whole, written

TINY = Path(__file__).with_name("tiny.py")
Record = Callable[..., Trace]


@pytest.fixture(scope="session")
def recorded(pool: Pool, tmp_path_factory: pytest.TempPathFactory) -> Record:
    """`recorded(name, *arguments, **options)`: the trace of `tiny.py`, as a script and a trace of that name."""

    def run(name: str, *arguments: str, **options: Any) -> Trace:
        folder = tmp_path_factory.mktemp("run")
        shutil.copy(TINY, folder / f"{name}.py")
        job = Job((f"{name}.py", *arguments), str(folder / f"{name}.trace"), device="cpu", **options)
        return pool.record(job, folder, {})

    return run


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


@pytest.fixture(scope="session")
def report(tmp_path_factory: pytest.TempPathFactory, old: Trace, other: Trace) -> list[Path]:
    """The files of the report on `old` and `other`, in a folder of their own that was not there before. They are for reading."""
    return write(tmp_path_factory.mktemp("report") / "new" / "report.html", old, other, compare(old, other))


@pytest.fixture(scope="session")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Trace:
    """Two steps and a loss for each: with one picture, a report takes a fifth of the time."""
    return written(tmp_path_factory.mktemp("plain") / "plain.trace", whole(*[{"loss": {"loss": 1.0}}] * 2))


@pytest.fixture(scope="session")
def plain_other(tmp_path_factory: pytest.TempPathFactory) -> Trace:
    return written(tmp_path_factory.mktemp("plain") / "other.trace", whole(*[{"loss": {"loss": 2.0}}] * 2))
