"""Two optimisers that take turns, in a script that steps by hand; and two runs in one folder."""

from __future__ import annotations

import os
from pathlib import Path

from regression.compare.judge import compare
from regression.pool import Pool
from regression.recorder.child import Job
from regression.trace import Trace

ROOT = Path(__file__).parents[2]
SCRIPT = """
import sys, torch, pytorch_lightning as pl
from torch import nn
class GAN(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.automatic_optimization = False
        self.generator, self.critic = nn.Linear(3, 4), nn.Linear(4, 1)
    def training_step(self, batch, batch_idx):
        made, judge = self.optimizers()
        loss = -(self.critic(batch[0]).mean() - self.critic(self.generator(torch.randn(8, 3)).detach()).mean())
        judge.zero_grad()
        self.manual_backward(loss)
        judge.step()
        loss = -self.critic(self.generator(torch.randn(8, 3))).mean()
        made.zero_grad()
        self.manual_backward(loss)
        made.step()
        self.log("generator", loss)
    def configure_optimizers(self):
        judge = torch.optim.RMSprop(self.critic.parameters(), 1e-3, alpha=float(sys.argv[1]))
        return torch.optim.Adam(self.generator.parameters(), 1e-3), judge
data = torch.utils.data.TensorDataset(torch.randn(40, 4))
trainer = pl.Trainer(max_epochs=2, enable_progress_bar=False, enable_model_summary=False)
trainer.fit(GAN(), torch.utils.data.DataLoader(data, 8, shuffle=True))
"""


def run(pool: Pool, folder: Path, name: str, alpha: float) -> Trace:
    (folder / "gan.py").write_text(SCRIPT)
    job = Job(("gan.py", str(alpha)), str(folder / name), device="cpu")
    return pool.record(job, folder, {"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]})


def test_two_runs_in_one_folder_are_the_same(pool: Pool, tmp_path: Path) -> None:
    """Lightning numbers the second one's files otherwise."""
    found = compare(run(pool, tmp_path, "one.trace", 0.99), run(pool, tmp_path, "two.trace", 0.99))
    assert found.same and found.compared["checkpoint"], str(found.first)


def test_turns_of_a_step_come_one_after_the_other(pool: Pool, tmp_path: Path) -> None:
    one, other = (run(pool, tmp_path, f"{alpha}.trace", alpha) for alpha in (0.99, 0.98))
    losses = one.steps[0]["phases"]["loss"]
    assert list(losses) == ["loss", "loss 2"]
    found = compare(one, other)
    assert found.first and (found.first.step, found.first.phase, found.first.quantity) == (1, "step", "options")
    assert found.first.name == "0.alpha"
