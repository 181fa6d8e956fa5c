from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from regression.launch import main

ROOT = Path(__file__).parents[2]
SCRIPT = """
import sys
import {lightning} as pl
import beside
trainer = pl.Trainer(accelerator="gpu", devices=2, max_epochs=3, logger=False, enable_checkpointing=False)
print(__name__, sys.argv[1:], beside.NAME, type(trainer.accelerator).__name__, trainer.num_devices, trainer.max_epochs)
"""


def launch(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "regression.launch", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900)


def script(folder: Path, lightning: str = "pytorch_lightning") -> Path:
    (folder / "beside.py").write_text("NAME = 'beside'\n")
    (folder / "train.py").write_text(SCRIPT.format(lightning=lightning))
    return folder / "train.py"


def test_a_script_for_gpus_runs_on_a_processor_as_it_is(tmp_path: Path) -> None:
    done = launch(tmp_path, "--device", "cpu", "--", str(script(tmp_path)), "--lr", "1")
    assert done.stdout.split("\n")[-2] == "__main__ ['--lr', '1'] beside CPUAccelerator 1 3", done.stderr


def test_the_other_lightning_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "beside", None)  # to be forgotten
    del sys.modules["beside"]
    made = script(tmp_path, "lightning.pytorch")
    assert main(["--device", "cpu", "--set", "max_epochs=1", "--", str(made)]) == 0
    assert capsys.readouterr().out.split("\n")[-2].endswith("CPUAccelerator 1 1")


def test_a_module(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["--", "-m", "json.tool", "--help"])
    assert end.value.code == 0 and "usage" in capsys.readouterr().out


def test_no_script() -> None:
    for arguments in ((), ("--", "nowhere.py")):
        done = launch(ROOT, *arguments)
        assert done.returncode == 2 and "Traceback" not in done.stderr


def test_a_folder_called_lightning_is_no_lightning_and_without_wandb_its_logger_keeps_nothing(tmp_path: Path) -> None:
    """Of one machine, as each of them needs a start of Python."""
    (tmp_path / "lightning").mkdir()
    (tmp_path / "lightning" / "__init__.py").write_text("raise ModuleNotFoundError('not this one')\n")
    here = tmp_path / "here"
    here.mkdir()
    code = (
        "import sys; sys.modules['wandb'] = None\n"
        "import importlib.util; real = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name, *rest: None if name == 'wandb' else real(name, *rest)\n"
        "from regression.launch import lightnings; print([package.__name__ for package in lightnings()])\n"
        "from regression.trackers import stand_in_for_wandb; assert stand_in_for_wandb()\n"
        "from pytorch_lightning.loggers import WandbLogger\n"
        "logger = WandbLogger(project='p', name='n', save_dir='logs'); logger.log_metrics({'loss': 1.0}, step=1)\n"
        "logger.experiment.log({'loss': 1.0}); print('quiet')\n"
    )
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}:{ROOT}"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, cwd=here)
    assert done.stdout.splitlines() == ["['pytorch_lightning']", "quiet"], done.stderr
    assert list(here.iterdir()) == [], done.stderr
