from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from visioncore.compat import FLAGS, Compat
from visioncore.run.command_line import EPILOG, Hydras
from visioncore.run.composition import overrides_of, run_with_hydra, settings_of
from visioncore.run.settings import Settings, SettingsError, from_values, settings_fields

pytest.importorskip("hydra")
CONFIGS = Path(__file__).parents[3] / "visioncore" / "configs"


def composed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *overrides: str, **given: Any) -> Settings:
    """The settings that a run gets."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["train"])
    seen: list[Settings] = []
    run_with_hydra(from_values(given), Hydras([], list(overrides)), seen.append)
    return seen[0]


def test_the_configuration_holds_every_default(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    settings = composed(monkeypatch, tmp_path, "trainer.seed=0")
    for item in settings_fields():
        assert getattr(settings, item.name) == item.default, item.name
    assert settings.given == {"seed"}


@pytest.mark.parametrize(("name", "value"), [("none", False), ("all", True)])
def test_the_compat_group_holds_every_flag(name: str, value: bool) -> None:
    written = yaml.safe_load((CONFIGS / "compat" / f"{name}.yaml").read_text())
    assert written == {flag.name: value for flag in FLAGS}


def test_an_override_wins_over_an_option(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    settings = composed(monkeypatch, tmp_path, "data.batch_size=3", batch_size=5, max_epochs=7)
    assert (settings.batch_size, settings.max_epochs) == (3, 7) and settings.given == {"batch_size", "max_epochs"}


@pytest.mark.parametrize(
    "path", ["a=b, c.yaml", "it's here", "back\\slash", "end\\", "a\\'b", "[x]", "null", "", "a${x}", "\\${x}"]
)
def test_options_come_through_as_they_were_typed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, path: str) -> None:
    assert composed(monkeypatch, tmp_path, model_config=path).model_config == path


def test_what_fails_in_a_run_is_told_without_all_overrides(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    def fail(settings: Settings) -> None:
        raise SettingsError("this one")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["train"])
    with pytest.raises(SettingsError, match="this one"):
        run_with_hydra(from_values({}), Hydras([], ["trainer.seed=3"]), fail)
    assert "trainer.seed=3" not in capfd.readouterr().err


def test_all_quirks_but_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    settings = composed(monkeypatch, tmp_path, "compat=all", "compat.unseeded=false")
    assert settings.quirks == Compat.parse({"all": True, "unseeded": False}) and "compat" in settings.given


def test_a_group_is_a_choice_of_what_it_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    settings = composed(monkeypatch, tmp_path, "trainer=smoke")
    assert (settings.max_epochs, settings.steps_per_epoch, settings.num_gpus) == (1, 10, 1)
    assert {"max_epochs", "steps_per_epoch", "num_gpus"} <= settings.given and "learning_rate" not in settings.given


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("trainer.max_epoch=3", "there is no setting 'trainer.max_epoch'; did you mean 'trainer.max_epochs'"),
        ("compat.unseeeded=true", "did you mean 'compat.unseeded'"),
        ("trainer=quick", "Could not find 'trainer/quick'; Available options in 'trainer': default smoke"),
        ("+trainer.more=1", "trainer.more: there is no such setting"),
        ("trainer.max_epochs=many", "max_epochs: a value of type int is expected, 'many' found"),
    ],
)
def test_what_cannot_be_is_a_sentence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, override: str, sentence: str
) -> None:
    with pytest.raises(SettingsError, match=sentence.replace("(", r"\(")):
        composed(monkeypatch, tmp_path, override)


def test_every_setting_has_a_place_of_its_own() -> None:
    keys = [item.metadata["key"] for item in settings_fields()]
    assert len(keys) == len(set(keys))


def test_given_options_as_overrides() -> None:
    given = from_values({"compile": True, "learning_rate": 1e-4, "compat": "unseeded", "resume": None})
    expected = {"compat.unseeded=true", "trainer.learning_rate=0.0001", "trainer.resume=null", "model.compile=true"}
    assert set(overrides_of(given)) == expected
    assert overrides_of(from_values({"compat": "all"})) == ["compat=all"]


def test_settings_of_a_plain_mapping() -> None:
    config = {"compat": {}, "trainer": {"max_epochs": 2}}
    assert settings_of(config, ["trainer.max_epochs"]) == from_values(
        {"max_epochs": 2, "compat": ""}, frozenset({"max_epochs"})
    )


@pytest.mark.parametrize(("launcher", "kind"), [("local", "LocalLauncher"), ("slurm", "SlurmLauncher")])
def test_the_launchers_are_submitits(launcher: str, kind: str) -> None:
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher")
    from hydra import compose, initialize_config_module

    with initialize_config_module("visioncore.configs", version_base="1.3"):
        config = compose("train", ["trainer.num_gpus=4", f"hydra/launcher={launcher}"], return_hydra_config=True)
    made = config.hydra.launcher
    assert made._target_.endswith(kind) and made.timeout_min == 1440
    if launcher == "slurm":
        assert (made.nodes, made.tasks_per_node, made.gpus_per_node) == (1, 4, 4), (
            "a task a device, as Lightning wants it"
        )


def test_the_choices_of_the_helps_examples_exist() -> None:
    chosen = re.findall(r"\b(model|data|trainer|logger|compat|hydra/launcher)=(\w+)", EPILOG)
    assert chosen and all((CONFIGS / group / f"{choice}.yaml").is_file() for group, choice in chosen)
