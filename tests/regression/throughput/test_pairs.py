"""Commands in pairs: what is timed, in which order, and what is said of commands that fail."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from regression.cli import main
from regression.record import RecordingError
from regression.throughput.command import parse
from regression.throughput.pairs import Pair, Throughput, measure, run

ROOT = Path(__file__).parents[3]
TRAINS = """
import sys, time, torch, pytorch_lightning as pl
told = dict(word.split("=") for word in sys.argv[1:])
class Net(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.head = torch.nn.Linear(2, 1)
    def training_step(self, batch, batch_idx):
        time.sleep(float(told.get("step", 0)))
        return self.head(batch).sum()
    def validation_step(self, batch, batch_idx):
        time.sleep(float(told.get("validation", 0)))
    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)
class Data(torch.utils.data.Dataset):
    def __len__(self):
        return 10
    def __getitem__(self, i):
        time.sleep(float(told.get("burst", 0)) if i % 5 == 4 else 0)
        return torch.ones(2)
trainer = pl.Trainer(max_epochs=2, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
                     val_check_interval=2, num_sanity_val_steps=0)
trainer.fit(Net(), torch.utils.data.DataLoader(Data()), torch.utils.data.DataLoader(torch.ones(1, 2)))
"""


@pytest.fixture
def train(tmp_path: Path) -> str:
    """A command that trains 20 steps; behind it `step=SECONDS`, `burst=SECONDS` for every fifth batch, `validation=SECONDS`."""
    (tmp_path / "train.py").write_text(TRAINS)
    return f"python {tmp_path / 'train.py'}"


def throughput(*arguments: object) -> int:
    return main(["throughput", *map(str, arguments)])


def test_steps_of_a_training_are_timed(train: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What counts is the step and the wait for its batch, here each fifth as worker processes hand them over; validation does not.

    Sleeps are never shorter than asked for, so that a busy machine can only eat up the distance to the next bound. Validation takes less
    than either of what counts, and so cannot stand in for it.
    """
    new = f"{train} step=0.15 burst=0.6 validation=0.3"
    assert throughput("--pairs", 1, "--json", "--old", f"{train} step=0.005", "--new", new) == 1, "one decides nothing"
    told = json.loads(capsys.readouterr().out)
    (pair,) = told["pairs"]
    assert told["unit"] == "step" and told["memory_ratio"] == pytest.approx(1, abs=0.1)
    assert pair["old"] >= 5 and pair["ratio"] < 0.5, "milliseconds"
    counted = 150 + 600 * 4 / 17
    assert pair["new"] >= counted, "four waits in 17 steps, of which the median step knows nothing"
    assert pair["new"] < counted + 300 * 7 / 17, "seven validations are between them"


def test_a_slower_command_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Asked for a hundred times the throughput, as one run that stalls makes an interval of three pairs wide."""
    save = tmp_path / "saved.json"
    asked = ("--pairs", 3, "--threshold", 100, "--json", "--save", save)
    status = throughput(*asked, "--old", "sleep 0.1", "--new", "sleep 0.5")
    told = json.loads(capsys.readouterr().out)
    assert status == 1 and told["verdict"] == "slower" and told["unit"] == "run"
    assert [pair["order"] for pair in told["pairs"]] == ["old then new", "new then old", "old then new"]
    assert all(pair["old"] >= 100 and pair["new"] >= 500 for pair in told["pairs"]) and told["ratio"] < 1
    assert json.loads(save.read_text()) == told


def test_a_command_that_is_no_python_is_timed_whole() -> None:
    command = [sys.executable, "-m", "regression", "throughput", "--pairs", "3", "--threshold", "0.1"]
    command += ["--old", "sleep 0.5", "--new", "NAME=value sleep 0.1"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0 and "not slower" in done.stdout and "by run" in done.stdout, done.stderr


def test_a_script_that_trains_nothing_is_timed_without_the_start_of_the_clock(tmp_path: Path) -> None:
    """And its interpreter gets the options that it has on the command line: without them it fails."""
    lines = ("import sys, time", "time.sleep(0.05)", "sys.exit(not (sys.flags.no_user_site and sys.flags.utf8_mode))")
    (tmp_path / "sleeps.py").write_text("\n".join(lines))
    began = time.perf_counter()
    milliseconds, _, unit = run(parse(f"python -s -X utf8 {tmp_path / 'sleeps.py'}"), "it", 3, {})
    whole = 1e3 * (time.perf_counter() - began)
    assert unit == "script" and 50 <= milliseconds < whole / 2, "torch and Lightning to import are most of it"


def test_a_script_and_a_program_are_not_compared(tmp_path: Path) -> None:
    (tmp_path / "nothing.py").touch()
    with pytest.raises(RecordingError, match="timed by run and the other by script"):
        measure(parse(f"python {tmp_path / 'nothing.py'}"), parse("true"), 1)


@pytest.mark.parametrize("command", ["", "'", "python", "python -x", "no-such-command", "false", "python nowhere.py"])
def test_what_cannot_be_run_is_a_sentence(command: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["throughput", "--pairs", "1", "--old", command, "--new", "true"]) == 2
    told = capfd.readouterr()
    assert told.out == "" and told.err and "Traceback" not in told.err


def test_a_script_that_fails_tells_its_own_traceback(tmp_path: Path) -> None:
    script = tmp_path / "fails.py"
    script.write_text("def inner():\n    raise ValueError('no such recording')\ninner()\n")
    with pytest.raises(RecordingError) as failed:
        measure(parse(f"python {script}"), parse("true"), 1)
    told = str(failed.value)
    assert told.startswith(f'Traceback (most recent call last):\n  File "{script}", line 3') and "status 1" in told
    with pytest.raises(RecordingError, match=r"^ImportError: No module named no_such\nthe old command"):
        measure(parse("python -m no_such"), parse("true"), 1)


@pytest.mark.parametrize(
    ("option", "word"),
    [
        (("--save", "/nowhere/x.json"), "no file can be written there"),
        (("--save", ROOT), "no file can be written there"),
        (("--threshold", "nan"), "a multiple of the old throughput"),
        (("--threshold", "inf"), "a multiple of the old throughput"),
        (("--pairs", 0), "at least 1"),
    ],
)
def test_a_bad_option_is_a_sentence_before_anything_runs(
    option: tuple[object, ...], word: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["throughput", *map(str, option), "--old", f"touch {tmp_path / 'ran'}", "--new", "true"]
    assert main(asked) == 2 and word in capsys.readouterr().err
    assert not (tmp_path / "ran").exists()


def test_too_few_steps(train: str) -> None:
    with pytest.raises(RecordingError, match="no step beyond the 30"):
        measure(parse(train), parse(train), 1, warmup=30)


def test_swapping_both_inverts_the_ratio() -> None:
    pairs = [Pair("old then new", 2.0 + i / 10, 3.0, 100, 200) for i in range(5)]
    swapped = [Pair(p.order, p.new, p.old, p.new_bytes, p.old_bytes) for p in pairs]
    one, other = (Throughput(ps, 0.98, "step", 3) for ps in (pairs, swapped))
    assert one.interval.median == pytest.approx(1 / other.interval.median)
    assert one.memory.median == pytest.approx(2) and other.memory.median == pytest.approx(0.5)
    assert (one.verdict, other.verdict) == ("slower", "not slower")
