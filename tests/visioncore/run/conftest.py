"""What the tests of the command share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.visioncore.run.forks import Forks


@pytest.fixture(scope="package")
def forks() -> Iterator[Forks]:
    with Forks() as made:
        yield made
