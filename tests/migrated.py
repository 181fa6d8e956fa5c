"""The old tree, taken apart by the shipped plan."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.once import once

ROOT = Path(__file__).parents[1]
MONOLITH = ROOT / "legacy" / "monolith"


def migrated_tree(factory: pytest.TempPathFactory) -> Path:
    """The root of the migrated tree, for reading."""

    def make(folder: Path) -> None:
        shutil.copytree(MONOLITH, folder / "repo")
        command = [sys.executable, "-m", "migration", "apply", "--yes", "--plan", "visioncore", "--repo"]
        done = subprocess.run([*command, str(folder / "repo")], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr

    return once(factory, "migrated", make) / "repo"
