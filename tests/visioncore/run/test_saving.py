from __future__ import annotations

import os
import random
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from tests.visioncore.run.forks import ROOT, Forks
from visioncore.errors import SavingError
from visioncore.run.saving import Generators, WholeFiles

# a process whose files must not grow beyond 100 kB stands for a full disk
FULL = """
import resource, signal, sys, torch
from visioncore.errors import SavingError
from visioncore.run.saving import WholeFiles
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    WholeFiles().save_checkpoint({"weights": torch.ones(1_000_000)}, sys.argv[1])
except SavingError as error:
    print(error)
"""


def test_a_whole_file_and_nothing_beside_it(tmp_path: Path) -> None:
    WholeFiles().save_checkpoint({"a": torch.ones(3)}, tmp_path / "run" / "last.ckpt")
    assert os.listdir(tmp_path / "run") == ["last.ckpt"]
    assert torch.load(tmp_path / "run" / "last.ckpt", weights_only=True)["a"].tolist() == [1, 1, 1]


def test_others_may_read_it_as_the_umask_has_it(tmp_path: Path) -> None:
    WholeFiles().save_checkpoint({}, tmp_path / "a.ckpt")
    umask = os.umask(0)
    os.umask(umask)
    assert (tmp_path / "a.ckpt").stat().st_mode & 0o777 == 0o666 & ~umask


def test_a_full_disk_leaves_the_previous_checkpoint(forks: Forks, tmp_path: Path) -> None:
    run = tmp_path / "run"
    WholeFiles().save_checkpoint({"step": 1}, run / "last.ckpt")
    (tmp_path / "full.py").write_text(FULL)
    done = forks.run([tmp_path / "full.py", run / "last.ckpt"], tmp_path, {"PYTHONPATH": str(ROOT)})
    assert done.returncode == 0, done.stderr
    assert "last.ckpt cannot be written" in done.stdout and "what was saved before is as it was" in done.stdout
    assert os.listdir(run) == ["last.ckpt"] and torch.load(run / "last.ckpt", weights_only=True) == {"step": 1}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(SavingError, match="Permission denied"):
        WholeFiles().save_checkpoint({}, tmp_path / "a.ckpt")


def test_generators_go_on_where_they_were() -> None:
    callback, checkpoint, nobody = Generators(), {}, SimpleNamespace()
    np.random.normal()  # leaves a second draw behind
    callback.on_save_checkpoint(nobody, nobody, checkpoint)  # type: ignore[arg-type]
    drawn = (torch.rand(2).tolist(), random.random(), np.random.normal(), np.random.rand())
    callback.on_load_checkpoint(nobody, nobody, checkpoint)  # type: ignore[arg-type]
    callback.on_train_start(nobody, nobody)  # type: ignore[arg-type]
    assert (torch.rand(2).tolist(), random.random(), np.random.normal(), np.random.rand()) == drawn


def test_their_states_are_plain(tmp_path: Path) -> None:
    checkpoint: dict[str, Any] = {}
    Generators().on_save_checkpoint(SimpleNamespace(), SimpleNamespace(), checkpoint)  # type: ignore[arg-type]
    torch.save(checkpoint, tmp_path / "a.ckpt")
    assert torch.load(tmp_path / "a.ckpt", weights_only=True)["generators"].keys() == checkpoint["generators"].keys()
