"""What the tests of the command share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from regression.launch import LIGHTNINGS
from tests.visioncore.run.forks import Forks


@pytest.fixture(scope="session")
def forks() -> Iterator[Forks]:
    with Forks(*LIGHTNINGS) as made:
        yield made
