"""Commands in pairs: what is timed, in which order, and what is said of commands that fail."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from regression.record import RecordingError
from regression.throughput.pairs import Pair, Throughput, measure, parse

ROOT = Path(__file__).parents[3]
TRAINS = """
import sys, time, torch, pytorch_lightning as pl
class Net(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.head = torch.nn.Linear(2, 1)
    def training_step(self, batch, batch_idx):
        time.sleep(float(sys.argv[1]))
        return self.head(batch).sum()
    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)
trainer = pl.Trainer(max_epochs=2, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False)
trainer.fit(Net(), torch.utils.data.DataLoader(torch.randn(10, 2)))
"""


def throughput(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "regression", "throughput", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=200)


def test_a_trainer_four_times_as_slow(tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text(TRAINS)
    save = tmp_path / "saved.json"
    old, new = f"python {script} 0.01", f"python {script} 0.04"
    done = throughput("--pairs", 3, "--old", old, "--new", new, "--json", "--save", save)
    told = json.loads(done.stdout)
    assert done.returncode == 1 and told["verdict"] == "slower" and told["unit"] == "step", done.stderr
    assert [pair["order"] for pair in told["pairs"]] == ["old then new", "new then old", "old then new"]
    assert all(pair["old"] >= 10 and pair["new"] >= 40 for pair in told["pairs"]), (
        "milliseconds, the training step within"
    )
    assert json.loads(save.read_text()) == told and told["memory_ratio"] == pytest.approx(1, abs=0.1)


def test_a_command_that_trains_nothing_is_timed_whole() -> None:
    done = throughput("--pairs", 3, "--old", "sleep 0.4", "--new", "NAME=value sleep 0.05")
    assert done.returncode == 0 and "not slower" in done.stdout and "by run" in done.stdout, done.stderr


@pytest.mark.parametrize("command", ["", "'", "python", "python -x", "no-such-command", "false", "python nowhere.py"])
def test_what_cannot_be_run_is_a_sentence(command: str) -> None:
    done = throughput("--pairs", 1, "--old", command, "--new", "true")
    assert done.returncode == 2 and done.stdout == "", done.stderr
    assert ("Traceback" in done.stderr) == ("nowhere" in command), "the command's own, and only that"


def test_too_few_steps(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(TRAINS)
    command = parse(f"python {tmp_path / 'train.py'} 0")
    with pytest.raises(RecordingError, match="no step beyond the 30"):
        measure(command, command, 1, warmup=30)


def test_swapping_both_inverts_the_ratio() -> None:
    pairs = [Pair("old then new", 2.0 + i / 10, 3.0, 100, 200) for i in range(5)]
    swapped = [Pair(p.order, p.new, p.old, p.new_bytes, p.old_bytes) for p in pairs]
    one, other = (Throughput(ps, 0.98, "step", 3) for ps in (pairs, swapped))
    assert one.interval.median == pytest.approx(1 / other.interval.median)
    assert one.memory.median == pytest.approx(2) and other.memory.median == pytest.approx(0.5)
    assert (one.verdict, other.verdict) == ("slower", "not slower")


def test_the_interpreter_and_variables_of_a_command() -> None:
    found = parse("A=1 B='x y' /usr/bin/python3.11 train.py --lr '1 2'")
    assert found.environment == {"A": "1", "B": "x y"} and found.python == "/usr/bin/python3.11"
    assert found.arguments == ("train.py", "--lr", "1 2")
    assert parse("python -m train --x").arguments == ("-m", "train", "--x")
    assert parse("train.py").python == sys.executable and not parse("bash run.sh").is_python
