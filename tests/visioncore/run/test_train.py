"""`python -m visioncore.train` as a command."""

from __future__ import annotations

import csv
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from tests.visioncore.run.forks import Forks
from visioncore.data.synthetic import SyntheticStudy, write_sessions
from visioncore.train import main

ROOT = Path(__file__).parents[3]
QUIET = ("--device", "cpu", "--loggers", "csv", "--no-plots", "--precision", "32")


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> SyntheticStudy:
    folder = tmp_path_factory.mktemp("study")
    return write_sessions(folder, 2, size=9, lags=4, frames=1000, n_units=4, types=("backimage", "fixrsvp"))


def command(*arguments: Any) -> list[str]:
    return [sys.executable, "-m", "visioncore.train", *map(str, arguments)]


def train(folder: Path, *arguments: Any) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    environment = {**inherited, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore", "WANDB_MODE": "offline"}
    return subprocess.run(command(*arguments), cwd=folder, env=environment, capture_output=True, text=True, timeout=900)


def forked(forks: Forks, folder: Path, *arguments: Any) -> subprocess.CompletedProcess[str]:
    """The same without the seconds that a start takes."""
    return forks.run(["-m", "visioncore.train", *arguments], folder, {"PYTHONPATH": str(ROOT)})


def options(study: SyntheticStudy, model: str = "resnet_convgru", **more: Any) -> list[Any]:
    values = {
        "model_config": study.models[model],
        "dataset_configs_path": study.configs_path,
        "batch_size": 16,
        "steps_per_epoch": 5,
        "max_epochs": 4,
        "experiment_name": "run",
        **more,
    }
    return [*QUIET, *(part for name, value in values.items() for part in (f"--{name}", value))]


def test_a_newcomers_run_learns(tmp_path: Path) -> None:
    done = train(tmp_path, "--max_epochs", 2)
    assert done.returncode == 0, done.stderr
    told = re.search(r"bits per spike: ([\d.]+), ([\d.]+) of the best reachable ([\d.]+)", done.stdout)
    assert told is not None and float(told[2]) > 0.5, done.stdout
    assert "corr." in done.stdout and "FEVE" in done.stdout
    run = tmp_path / "checkpoints" / "synthetic"
    assert {path.name for path in (run / "plots").iterdir()} == {
        "loss.png",
        "bits_per_spike.png",
        "temporal_filters.png",
        "readout_positions.png",
    }
    assert (run / "wandb").is_dir() and (run / "csv" / "metrics.csv").is_file()


def test_same_seed_same_bits_and_killed_and_resumed_too(forks: Forks, study: SyntheticStudy, tmp_path: Path) -> None:
    told = [*options(study, lr_scheduler="cosine_warmup", warmup_epochs=2, curriculum_steps=12), "--enable_curriculum"]
    whole, again, cut = (tmp_path / name for name in ("whole", "again", "cut"))
    for folder in (whole, again):
        folder.mkdir()
        assert forked(forks, folder, *told).returncode == 0
    cut.mkdir()
    killed_in_epoch_two(cut, told)
    resumed = forked(forks, cut, *told, "--resume", "auto")
    assert resumed.returncode == 0, resumed.stderr
    expected = state(whole)
    assert state(again) == expected and state(cut) == expected
    assert (cut / "checkpoints/run/csv/metrics.csv").read_text() == (
        whole / "checkpoints/run/csv/metrics.csv"
    ).read_text()


def interrupted(folder: Path, told: list[Any], by: signal.Signals) -> tuple[int, str]:
    """A run that gets a signal in its second epoch: exit status, and what it told of it."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    environment = {**inherited, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    errors = folder / "stderr"
    with (
        errors.open("w") as stderr,
        subprocess.Popen(
            command(*told), cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=stderr, text=True
        ) as running,
    ):
        assert running.stdout is not None
        for line in running.stdout:
            if "epoch 1 " in line:
                running.send_signal(by)
                break
        running.stdout.read()
    return running.returncode, errors.read_text()


def killed_in_epoch_two(folder: Path, told: list[Any]) -> None:
    interrupted(folder, told, signal.SIGKILL)
    assert not (folder / "checkpoints/run/csv/metrics.csv").read_text().count("\n3,"), "it was killed before its end"


def state(folder: Path) -> str:
    """All that goes on with a run, as text in which every bit counts; paths of files left out."""
    checkpoint = torch.load(folder / "checkpoints" / "run" / "last.ckpt", weights_only=True)
    checkpoint.pop("callbacks")
    torch.set_printoptions(profile="full", precision=20)
    try:
        return repr(checkpoint)
    finally:
        torch.set_printoptions(profile="default")


def test_the_checkpoint_loads_without_classes_and_says_where_it_comes_from(
    forks: Forks, study: SyntheticStudy, tmp_path: Path
) -> None:
    assert forked(forks, tmp_path, *options(study, max_epochs=1, steps_per_epoch=2)).returncode == 0
    checkpoint = torch.load(tmp_path / "checkpoints" / "run" / "last.ckpt", weights_only=True)
    kept = checkpoint["visioncore"]
    assert kept["configs"]["model"]["convnet"]["type"] == "resnet" and len(kept["configs"]["datasets"]) == 2
    assert kept["versions"]["torch"] == torch.__version__ and "git_commit" in kept


def test_two_processes_on_the_processor(forks: Forks, study: SyntheticStudy, tmp_path: Path) -> None:
    done = forked(forks, tmp_path, *options(study, max_epochs=1, num_gpus=2))
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("validation bits per spike") == 1, "one process tells"


def test_bf16_compiled(study: SyntheticStudy, tmp_path: Path) -> None:
    """A network of little more than two matrices, and batches of one size: almost all of the time, a C++ compiler is at work."""
    config = yaml.safe_load(study.models["modulator_only"].read_text())
    config["modulator"] = {"type": "concat", "params": {"behavior_dim": 6, "encoder_params": {"dims": [4]}}}
    model = tmp_path / "matrices.yaml"
    model.write_text(yaml.safe_dump(config))
    evenly = {"batch_size": 4, "val_fraction": 1}  # of 356 validation samples
    told = options(study, model_config=model, max_epochs=1, steps_per_epoch=2, max_datasets=1, **evenly)
    done = train(tmp_path, *told, "--precision", "bf16", "--compile")
    assert done.returncode == 0 and "bfloat16" in done.stderr, done.stderr
    keys = torch.load(tmp_path / "checkpoints" / "run" / "last.ckpt", weights_only=True)["state_dict"]
    assert not any("_orig_mod" in key for key in keys)


def test_a_sweep_on_submitits_local_executor(study: SyntheticStudy, tmp_path: Path) -> None:
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher")
    told = options(study, max_epochs=1, steps_per_epoch=2)
    done = train(tmp_path, *told, "trainer.seed=1,2", "--multirun", "hydra/launcher=local")
    assert done.returncode == 0, done.stderr
    runs = sorted((tmp_path / "checkpoints").iterdir())
    assert [path.name for path in runs] == ["run-0", "run-1"]
    first, second = (torch.load(path / "last.ckpt", weights_only=True)["hyper_parameters"] for path in runs)
    assert (first["seed"], second["seed"]) == (1, 2)


def test_every_format_trains_to_the_same_numbers(forks: Forks, tmp_path: Path) -> None:
    pytest.importorskip("h5py")
    found = set()
    for suffix in (".dset", ".h5"):
        folder = tmp_path / suffix[1:]
        made = write_sessions(folder, 1, size=7, lags=3, frames=500, n_units=3, types=("gaborium",), suffix=suffix)
        assert forked(forks, folder, *options(made, "small", max_epochs=1, steps_per_epoch=2)).returncode == 0
        with (folder / "checkpoints/run/csv/metrics.csv").open() as file:
            found.add(tuple(row["val_loss"] for row in csv.DictReader(file) if row["val_loss"]))
    assert len(found) == 1


def damaged(study: SyntheticStudy, folder: Path, damage: Any) -> SyntheticStudy:
    """A copy of the study with something wrong in its first session."""
    shutil.copytree(study.folder, folder)
    damage(folder)
    return SyntheticStudy(
        folder, folder / "configs", {name: folder / "models" / path.name for name, path in study.models.items()}, {}
    )


def without_the_session(folder: Path) -> None:
    shutil.rmtree(next((folder / "sessions").iterdir()))


def cut_short(folder: Path) -> None:
    path = next((folder / "sessions").rglob("backimage.dset"))
    path.write_bytes(path.read_bytes()[:5000])


def nan_in_the_stimulus(folder: Path) -> None:
    path = next((folder / "sessions").rglob("backimage.dset"))
    content = torch.load(path, weights_only=True)
    content["covariates"]["stim"] = content["covariates"]["stim"].float()
    content["covariates"]["stim"][3] = float("nan")
    torch.save(content, path)


def misspelt(folder: Path) -> None:
    path = next((folder / "configs").iterdir())
    path.write_text(path.read_text().replace("keys_lags", "key_lags"))


def no_cells(folder: Path) -> None:
    path = next((folder / "configs").iterdir())
    path.write_text(re.sub("cids: .*", "cids: []", path.read_text()))


def empty(folder: Path) -> None:
    for path in (folder / "configs").iterdir():
        path.unlink()


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (without_the_session, "there is no folder"),
        (cut_short, r"backimage\.dset"),
        (nan_in_the_stimulus, "the stimulus is not finite, first in frame 3"),
        (misspelt, "unknown key 'key_lags'; did you mean 'keys_lags'"),
        (no_cells, "cids is a list of at least one cell"),
        (empty, "there is no dataset YAML to take"),
    ],
)
def test_bad_input_is_a_sentence(
    study: SyntheticStudy,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    damage: Any,
    sentence: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    earlier = tmp_path / "checkpoints" / "run" / "csv" / "metrics.csv"
    earlier.parent.mkdir(parents=True)
    earlier.write_text("an earlier run's")
    assert main([str(each) for each in options(damaged(study, tmp_path / "study", damage))]) == 2
    told = capfd.readouterr().err
    assert re.search(sentence, told) and "Traceback" not in told, told
    assert [path for path in tmp_path.glob("checkpoints/**/*") if path.is_file()] == [earlier]
    assert earlier.read_text() == "an earlier run's"


def test_behaviour_of_another_width_is_told_before_training(
    study: SyntheticStudy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    model = tmp_path / "narrow.yaml"
    text = study.models["densenet_concat"].read_text()
    assert "behavior_dim: 6" in text
    model.write_text(text.replace("behavior_dim: 6", "behavior_dim: 5"))
    assert main([str(each) for each in options(study, model_config=model)]) == 2
    told = capfd.readouterr().err
    assert re.search(
        r"narrow\.yaml: modulator cannot take .*behavior has 6 columns, and modulator\.params\.behavior_dim", told
    )


def test_a_run_that_diverges_has_failed_and_is_no_best(
    study: SyntheticStudy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    told = options(study, "densenet_concat", learning_rate=30, gradient_clip_val=0, steps_per_epoch=1)
    assert main([str(each) for each in told]) == 1
    assert "the network's rates are no numbers any more" in capfd.readouterr().err
    best = torch.load(tmp_path / "checkpoints" / "run" / "last.ckpt", weights_only=True)["callbacks"]
    (kept,) = (state for name, state in best.items() if name.startswith("ModelCheckpoint"))
    assert float(kept["best_model_score"]) < 0 and "nan" not in Path(kept["best_model_path"]).name

    assert main([str(each) for each in options(study, resume="auto")]) == 2
    assert "last.ckpt is of another network" in capfd.readouterr().err


def test_a_run_that_is_told_to_stop_has_failed(study: SyntheticStudy, tmp_path: Path) -> None:
    status, told = interrupted(tmp_path, options(study, max_epochs=1000, steps_per_epoch=1), signal.SIGTERM)
    assert status == 1 and "stopped by SIGTERM; --resume auto goes on" in told


def test_more_workers_than_cores(study: SyntheticStudy, capfd: pytest.CaptureFixture[str]) -> None:
    assert main([str(each) for each in options(study, num_workers=4096)]) == 2
    told = capfd.readouterr().err
    assert "cores" in told and "Traceback" not in told
