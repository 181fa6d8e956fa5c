"""The old classes' checkpoints, made once for a session of tests."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.once import once

ROOT = Path(__file__).parents[3]
MONOLITH = ROOT / "legacy" / "monolith"


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that `make.py` fills, running the old tree as it is."""
    return once(tmp_path_factory, "old-kinds", _make)


def _make(folder: Path) -> None:
    path = os.pathsep.join(map(str, (ROOT / "legacy", ROOT, MONOLITH, MONOLITH / "training")))
    environment = {**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, str(Path(__file__).with_name("make.py")), str(folder)]
    done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
