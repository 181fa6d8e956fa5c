"""Recordings of `tiny.py`, each made once for all tests."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from regression.pool import Pool
from regression.recorder.child import Job
from regression.trace import Trace

TINY = Path(__file__).with_name("tiny.py")
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def pool() -> Iterator[Pool]:
    with Pool() as made:
        yield made


@pytest.fixture(scope="session")
def tiny(pool: Pool, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Trace]:
    """`tiny("--fault", "swapped", steps=3)`: the trace of that run."""
    made: dict[str, Trace] = {}

    def run(*arguments: str, again: int = 0, **job: object) -> Trace:
        key = repr((arguments, again, job))
        if key not in made:
            folder = tmp_path_factory.mktemp("tiny")
            told = Job((str(TINY), *arguments), str(folder / "run.trace"), device="cpu", **job)  # type: ignore[arg-type]
            made[key] = pool.record(told, folder, {"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]})
        return made[key]

    return run
