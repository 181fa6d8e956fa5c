"""A run of two processes: both are made alike, and both must end well."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from regression.pool import Pool
from regression.record import RecordingError
from regression.recorder.child import Job
from regression.recorder.processes import Processes

SCRIPT = """
import os, sys, torch, pytorch_lightning as pl
class Net(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.body = torch.nn.Linear(4, 1)
    def training_step(self, batch, batch_idx):
        loss = self.body(batch[0]).square().mean()
        self.log("loss", loss, sync_dist=True)
        return loss
    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)
rank = os.environ.get("LOCAL_RANK", "0")
told = torch.initial_seed(), torch.are_deterministic_algorithms_enabled()
loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.randn(32, 4)), 4)
trainer = pl.Trainer(max_epochs=2, accelerator="cpu", devices=2, strategy="ddp", logger=False, enable_progress_bar=False, enable_checkpointing=False)
trainer.fit(Net(), loader)
open(f"{rank}.txt", "w").write(f"{told} {trainer.global_step}")
if rank == "1" and "fails" in sys.argv:
    sys.exit(3)
"""


def test_every_process_has_the_recorders_settings_and_must_end_well(pool: Pool, tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(SCRIPT)
    job = Job(("train.py", "fails"), str(tmp_path / "run.trace"), steps=3, seed=5)
    with pytest.raises(RecordingError, match=r"failed in another of its processes; .*run.trace has the 3 steps"):
        pool.record(job, tmp_path, {"PATH": os.environ["PATH"]})
    assert [(tmp_path / f"{rank}.txt").read_text() for rank in (0, 1)] == ["(5, True) 3"] * 2


@pytest.mark.parametrize("status", [0, 3])
def test_a_process_that_fails_is_told(status: int) -> None:
    others = Processes(Job(("train.py",), "run.trace"))
    others._running.append(subprocess.Popen([sys.executable, "-c", f"raise SystemExit({status})"]))
    assert others.ended_well() is (status == 0)
