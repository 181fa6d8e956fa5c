from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from visioncore.run.command_line import parser, read, split
from visioncore.run.settings import Settings, SettingsError, from_values, settings_fields
from visioncore.training.lightning.optimisation import LR_SCHEDULERS as REAL_SCHEDULERS

ROOT = Path(__file__).parents[3]
SCRIPT = ROOT / "legacy" / "monolith" / "training" / "train_ddp_multidataset.py"
NEEDED = ("model_config", "dataset_configs_path")  # the old script could not do without


def old_options() -> dict[str, dict[str, Any]]:
    """Name → keywords of each `add_argument` of the old script, read and not run."""
    found = {}
    for node in ast.walk(ast.parse(SCRIPT.read_text())):
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "add_argument":
            name = ast.literal_eval(node.args[0]).removeprefix("--")
            found[name] = {str(word.arg): ast.unparse(word.value) for word in node.keywords}
    return found


@pytest.mark.parametrize("name", old_options())
def test_every_old_option_by_name_default_and_choices(name: str) -> None:
    old = old_options()[name]
    new = {item.name: item for item in settings_fields()}[name]
    if name not in NEEDED:
        flag = old.get("action") == "'store_true'"
        assert new.default == (False if flag else ast.literal_eval(old.get("default", "None")))
    if "choices" in old:
        assert set(ast.literal_eval(old["choices"])) <= set(new.metadata["choices"])


def test_there_are_as_many_as_the_facts_have() -> None:
    assert len(old_options()) == 25 and set(old_options()) <= {item.name for item in settings_fields()}


def test_options_and_overrides_apart() -> None:
    ours, hydras = split(
        ["--model_config", "a=b.yaml", "trainer.seed=1,2", "--multirun", "+x=1", "--compile", "~logger", "--cfg", "job"]
    )
    assert ours == ["--model_config", "a=b.yaml", "--compile"]
    assert hydras.options == ["--multirun", "--cfg", "job"] and hydras.overrides == [
        "trainer.seed=1,2",
        "+x=1",
        "~logger",
    ]


def test_an_equals_sign_in_an_option() -> None:
    settings, hydras = read(["--learning_rate=0.5", "--experiment_name=a=b"])
    assert (settings.learning_rate, settings.experiment_name) == (0.5, "a=b") and not any(hydras)


def test_what_was_given_is_known() -> None:
    settings, _ = read(["--batch_size", "64", "--no-plots"])
    assert settings.given == {"batch_size", "plots"} and settings.batch_size == Settings().batch_size
    assert settings.with_defaults(batch_size=1, max_epochs=2) == from_values(
        {"batch_size": 64, "plots": False, "max_epochs": 2}, settings.given
    )


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--lr_schedule", "none"], "there is no option --lr_schedule; did you mean '--lr_scheduler'"),
        (["--batch_size", "0"], "batch_size 0: 1 or more is expected"),
        (["--batch_size", "9" * 20], "batch_size 9{20}: at most 9223372036854775807 is expected"),
        (["--seed", "4294967296"], "seed 4294967296: at most 4294967295 is expected"),
        (["--val_fraction", "1.5"], "at most 1"),
        (["--loggers", "csv,wanb"], "did you mean 'wandb'"),
        (["--compat", "core_lr_scale"], "did you mean 'core_lr_scale_ignored'"),
        (["--learning_rate", "nan"], "learning_rate nan: 0 or more is expected"),
    ],
)
def test_what_cannot_be_is_a_sentence(arguments: list[str], sentence: str) -> None:
    with pytest.raises(SettingsError, match=sentence):
        read(arguments)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"batchsize": 1}, "there is no setting 'batchsize'; did you mean 'batch_size'"),
        ({"batch_size": True}, "a value of type int is expected, True found"),
        ({"batch_size": 1.5}, "a value of type int is expected, 1.5 found"),
        ({"precision": "bf61"}, "did you mean 'bf16'"),
    ],
)
def test_settings_check_their_values(values: dict[str, Any], sentence: str) -> None:
    with pytest.raises(SettingsError, match=sentence):
        from_values(values)


def test_names_of_runs_are_the_old_ones() -> None:
    settings = from_values({"model_config": "configs/res.yaml", "batch_size": 32})
    assert settings.name == "res_ddp_bs32_ds30_lr0.0001_wd1e-05"
    assert from_values({"experiment_name": "mine"}).folder == Path("checkpoints/mine")


def test_the_schedules_are_those_of_the_optimiser() -> None:
    choices = {item.name: item for item in settings_fields()}["lr_scheduler"].metadata["choices"]
    assert tuple(choices) == tuple(REAL_SCHEDULERS)


def test_help_shows_examples_and_defaults() -> None:
    text = parser().format_help()
    assert "examples:" in text and "--multirun" in text and "(default: bf16)" in text


def test_help_does_not_wait_for_torch() -> None:
    code = "import sys; from visioncore.train import main\ntry: main(['--help'])\nexcept SystemExit: pass\nprint('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False"


@pytest.mark.parametrize(
    "arguments",
    [
        ["--learnin_rate", "1"],
        ["--model_config", "nowhere.yaml", "--dataset_configs_path", "sessions"],
        ["--dataset_configs_path", "sessions"],
    ],
    ids=["misspelt", "no such file", "half"],
)
def test_a_mistake_on_the_command_line_is_told_before_torch_is_loaded(arguments: list[str]) -> None:
    code = "import sys; from visioncore.train import main; print(main(sys.argv[1:]), 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code, *arguments], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == "2 False\n" and done.stderr.startswith("visioncore.train: "), done.stderr
