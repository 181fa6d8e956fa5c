"""The old trainer's checkpoint, translated: the new trainer goes on from it as the old one did."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from regression.compare.expected import read
from regression.compare.judge import compare
from regression.record import ROOT
from regression.recordings import Recordings
from regression.scenarios import Side

pytestmark = pytest.mark.cpu
EXPECTED = [
    *read(Path(__file__).with_name("expected.toml")),
    *read(Path(__file__).with_name("expected.toml"), "resumed"),
]


def test_the_new_trainer_goes_on_as_the_old_one_did(recorded: Recordings, old: Any, new: Any, tmp_path: Path) -> None:
    if not isinstance(old, Side) or not isinstance(new, Side) or new.command[0] != "-m":
        pytest.skip("the old script makes the checkpoint and visioncore.train goes on from it")
    whole = recorded(old, "resnet_convgru")
    (saved,) = whole.path.parent.glob("runs/*/epoch=00*.ckpt")
    translated = tmp_path / "epoch-0.ckpt"
    translate = [sys.executable, "-m", "legacy", "translate", str(saved), str(translated)]
    subprocess.run(translate, cwd=ROOT, check=True, capture_output=True)
    resumed = recorded(new, "resnet_convgru", "--resume", str(translated))
    assert resumed.began == 6 and resumed.steps[-1]["step"] == whole.steps[-1]["step"]
    found = compare(whole, resumed, EXPECTED)
    assert found.compared["loss"] == 12 and not found.incomparable
    assert [str(d) for d in found.divergences] == []
