"""What has no hook of Lightning's, or one that comes too early, is recorded all the same, and where it belongs."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from regression.compare.flatten import values
from regression.pool import Pool
from regression.recorder.child import Job
from regression.trace import Trace

ROOT = Path(__file__).parents[2]
SCRIPT = """
import torch, pytorch_lightning as pl
from torch import nn
class Net(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.body, self.norm, self.head = nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Linear(3, 1)
    def training_step(self, batch, batch_idx):
        loss = self.head(self.norm(self.body(batch[0]))).square().mean()
        self.log("loss", loss)
        return loss
    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)
data, collate, logger = torch.utils.data.TensorDataset(torch.randn(24, 4)), None, False
trainer = pl.Trainer(max_epochs=2, logger=logger, enable_progress_bar=False, enable_checkpointing=False)
net, loader = Net(), torch.utils.data.DataLoader(data, 8, collate_fn=collate)
trainer.fit(net, loader)
"""
METHODS, LOGGED = "    def configure_optimizers", '        self.log("loss", loss)\n'
Run = Callable[..., Trace]


@pytest.fixture
def run(pool: Pool, tmp_path: Path) -> Run:
    """`run((old, new), …)`: the trace of the script above, edited."""

    def record(*edits: tuple[str, str], name: str = "run", **job: object) -> Trace:
        script = SCRIPT
        for old, new in edits:
            assert script.count(old) == 1
            script = script.replace(old, new)
        (tmp_path / f"{name}.py").write_text(script)
        told = Job((f"{name}.py",), str(tmp_path / f"{name}.trace"), **{"device": "cpu", **job})  # type: ignore[arg-type]
        return pool.record(told, tmp_path, {"PATH": os.environ["PATH"]})

    return record


def of(trace: Trace, kind: str, phase: str) -> list[object]:
    return [record["phases"].get(phase) for record in trace.records if record["record"] == kind]


TUNED = (
    ("super().__init__()", "super().__init__()\n        self.lr, self.batch_size = 0.1, 8"),
    ("self.parameters(), 0.1", "self.parameters(), self.lr"),
    (METHODS, "    def train_dataloader(self):\n        return torch.utils.data.DataLoader(data, self.batch_size)\n" + METHODS),
    ("trainer.fit(net, loader)", "from pytorch_lightning.tuner import Tuner\ntrainer.fit(net)"),
)  # fmt: skip
BEFORE_FIT = "Tuner(trainer).lr_find(net, num_training=4)\nTuner(trainer).scale_batch_size(net, max_trials=2)\nnet.lr, net.batch_size = 0.1, 8\n"
IN_FIT = "trainer.callbacks = [pl.callbacks.LearningRateFinder(num_training_steps=4, update_attr=False), pl.callbacks.BatchSizeFinder(init_val=8, max_trials=1)]\n"


@pytest.mark.parametrize("tries", [BEFORE_FIT, IN_FIT], ids=["before fit", "in fit"])
def test_what_a_tuner_tries_is_not_of_the_training_and_a_replay_finds_its_way(run: Run, tries: str) -> None:
    edits = (*TUNED[:3], (TUNED[3][0], TUNED[3][1].replace("trainer.fit", f"{tries}trainer.fit")))
    plain, tried, again = run(*TUNED), run(*edits), run(*edits, name="again", save=False, tensors=(3, 3))
    assert plain.losses() == tried.losses() and again.losses() == tried.losses()[:3]
    assert [record["record"] for record in plain.records] == [record["record"] for record in tried.records]


def test_callbacks_may_be_replaced_after_the_trainer_is_made(run: Run) -> None:
    replaced = "trainer.callbacks = [pl.callbacks.ModelCheckpoint(dirpath='.'), pl.callbacks.Timer()]\n"
    trace = run(("trainer.fit(", f"{replaced}trainer.fit("))
    assert len(trace.steps) == 6 and trace.complete
    assert next(iter(of(trace, "last", "end")[0]["callbacks"])) == "Timer"  # type: ignore[index]


def test_what_is_logged_at_the_end_of_an_epoch_is_of_that_epoch(run: Run) -> None:
    hook = "    def on_train_epoch_end(self):\n        self.log('epochs', float(self.current_epoch))\n"
    trace = run((METHODS, hook + METHODS))
    logged = [record["phases"]["metrics"] for record in trace.records if record["record"] == "epoch"]
    assert [told["logged"] for told in logged] == [
        [["on_train_epoch_end", "epochs", 0.0, {}]],
        [["on_train_epoch_end", "epochs", 1.0, {}]],
    ]
    assert [told["metrics"]["epochs"] for told in logged] == [0.0, 1.0]


def test_a_switch_that_a_hook_sets_is_told_by_the_step_after_it(run: Run) -> None:
    hook = "    def on_train_start(self):\n        torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = False\n"
    trace = run((METHODS, hook + METHODS))
    assert trace.start and trace.start["phases"]["settings"]["flags"]["matmul.allow_bf16_reduction"] is True
    first, *others = of(trace, "step", "settings")
    assert first == {"flags": {"matmul.allow_bf16_reduction": False}} and not any(others)


def test_a_test_after_training_and_what_comes_after_it(run: Run) -> None:
    hook = "    def test_step(self, batch, batch_idx):\n        self.log('tested', batch[0].sum())\n"
    after = "trainer.fit(net, loader)\ntrainer.test(net, loader, verbose=False)\n"
    logger = ("data, collate, logger", "data, collate, _"), ("logger=logger", "logger=pl.loggers.CSVLogger('.')")
    trace = run(
        (METHODS, hook + METHODS),
        ("trainer.fit(net, loader)\n", after + "trainer.logger.log_metrics({'at': 3.0}, 7)\n"),
        *logger,
    )
    (tested,) = [record["phases"] for record in trace.records if record["record"] == "test"]
    assert len(tested["data"]) == 3 and "tested" in tested["metrics"]["callback_metrics"]
    assert of(trace, "after", "metrics") == [{"logged": [["logger", "at", 3.0, {"step": 7}]]}]


def test_what_the_script_tells_its_logger_is_logged_once(run: Run) -> None:
    told = "        self.logger.log_metrics({'raw': float(batch_idx)})\n"
    trace = run(
        (LOGGED, LOGGED + told),
        ("collate, logger =", "collate, _ ="),
        ("logger=logger", "logger=pl.loggers.CSVLogger('.'), log_every_n_steps=1"),
    )
    logged = [[key for _, key, *_ in metrics["logged"]] for metrics in of(trace, "step", "metrics")]  # type: ignore[index]
    assert logged == [["loss", "raw"]] * 6


def test_a_torchmetrics_object_is_what_it_made_of_the_batch(run: Run) -> None:
    made = ("nn.Linear(3, 1)\n", "nn.Linear(3, 1)\n        self.seen = __import__('torchmetrics').SumMetric()\n")
    told = "        self.seen(batch_idx + 0.5)\n        self.log('seen', self.seen, on_epoch=True)\n"
    trace = run(made, (LOGGED, told))
    logged = [metrics["logged"][0][2] for metrics in of(trace, "step", "metrics")]  # type: ignore[index]
    assert logged == [0.5, 1.5, 2.5] * 2
    assert [metrics["metrics"]["seen_epoch"] for metrics in of(trace, "epoch", "metrics")] == [4.5, 4.5]  # type: ignore[index]


@pytest.mark.parametrize("slots", ["", "__slots__ = ('x', 'names')"])
def test_a_batch_of_the_scripts_own_class_is_its_tensors(run: Run, slots: str) -> None:
    batch = f"class Batch:\n    {slots or 'pass'}\n    def __init__(self, rows):\n        self.x, self.names = torch.stack([row[0] for row in rows]), ['a']\n"
    edits = (
        ("class Net", batch + "class Net"),
        ("batch[0]", "batch.x"),
        ("randn(24, 4)), None", "randn(24, 4)), Batch"),
        (LOGGED, "        self.log('loss', loss, batch_size=8)\n"),
    )
    trace = run(*edits)
    found = values(trace, trace.steps[0])
    assert found["data", "content", "tensors.x"].shape == (8, 4) and "0x" not in str(trace.steps)


def test_buffers_are_told_after_each_step(run: Run) -> None:
    one, other = run(), run(("BatchNorm1d(3)", "BatchNorm1d(3, momentum=0.2)"), name="other")
    first, second = (values(trace, trace.steps[0]) for trace in (one, other))
    assert first["loss", "loss", ""] == second["loss", "loss", ""]
    assert first["step", "buffers", "norm.running_mean"] != second["step", "buffers", "norm.running_mean"]


def test_weights_that_a_callback_averages_are_told_after_each_step(run: Run) -> None:
    trace = run(("logger=logger", "logger=False, callbacks=[pl.callbacks.EMAWeightAveraging()]"))
    names = [name for _, quantity, name in values(trace, trace.steps[0]) if quantity == "buffers"]
    assert "EMAWeightAveraging._average_model.module.head.weight" in names


def test_a_module_put_into_evaluation_is_told_before_what_comes_of_it(run: Run) -> None:
    trace = run(("        loss = self.head", "        self.norm.eval()\n        loss = self.head"))
    first = trace.steps[0]["phases"]["forward"]
    assert first["evaluating"] == ["norm"] and list(first).index("evaluating") < list(first).index("outputs")


def test_backward_by_hand_has_its_loss_and_gradients(run: Run) -> None:
    by_hand = (
        ("super().__init__()", "super().__init__()\n        self.automatic_optimization = False"),
        (
            "        return loss",
            "        step = self.optimizers()\n        step.zero_grad()\n        loss.backward()\n        step.step()",
        ),
    )
    for record in run(*by_hand).steps:
        phases = record["phases"]
        assert phases["loss"]["loss"] == phases["metrics"]["logged"][0][2]
        assert list(phases["backward"]) == ["gradients"] and phases["clip"]["gradients"] == {"as": "backward.gradients"}
