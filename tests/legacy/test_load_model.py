"""`legacy.load_model`: the network of an old checkpoint, by whatever builder, and what does not fit told by name."""

from __future__ import annotations

import collections
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

import legacy
from legacy.lightning import classes
from legacy.resemblance import nearest
from tests.legacy.matrix.data import CELLS, batches, dataset_configs, model_config, rates, write_configs
from visioncore.models import build_model
from visioncore.training.lightning.multidataset_model import MultiDatasetModel

CALLS: list[tuple[Any, ...]] = []


def lab_builder(config: Any, sessions: Any = None) -> torch.nn.Module:
    """As the lab's own: it knows nothing of `compat`."""
    CALLS.append((config, sessions))
    assert "compat" not in config
    network = build_model({**config, "compat": "all"}, sessions)
    if sessions is not None:  # the lab's networks do not have it
        del network.needs_stimulus
    return network


HERE = f"{__name__}:lab_builder"


@pytest.fixture
def single(tmp_path: Path) -> Path:
    """Lightning's keys around a network of the old package."""
    torch.manual_seed(0)
    config = model_config("PLCoreVisionModel")
    network = build_model({**config, "compat": "all"})
    state = collections.OrderedDict((f"model.{name}", value) for name, value in network.state_dict().items())
    found = {"model_class": None, "model_config": config, "optim_kwargs": None, "viz_n_epochs": 5, "cids": [1, 2, 3, 4]}
    saved = {"state_dict": state, "hyper_parameters": found, "pytorch-lightning_version": "2.0.0"}
    torch.save(saved, tmp_path / "old.ckpt")
    return tmp_path / "old.ckpt"


def changed(path: Path, **more: Any) -> Path:
    saved = torch.load(path)
    for name, value in more.items():
        saved[name] = value(saved[name]) if callable(value) else value
    torch.save(saved, path)
    return path


def test_its_kind_is_told_without_loading_it(single: Path, tmp_path: Path) -> None:
    assert legacy.kind(single) == "PLCoreVisionModel"
    assert legacy.kind(changed(single, hyper_parameters={})) == "unknown"
    with pytest.raises(legacy.CheckpointError, match="cannot be read"):
        legacy.kind(tmp_path / "none.ckpt")


def test_it_is_in_eval_mode_and_of_the_class_that_saved_it(single: Path) -> None:
    module = legacy.load_model(single)
    assert type(module) is classes().PLCoreVisionModel and not module.training and module.cids == [1, 2, 3, 4]


def test_the_network_is_the_old_packages(single: Path) -> None:
    module: Any = legacy.load_model(single)
    assert module.model.compat.lag_order
    stated = changed(
        single, hyper_parameters=lambda found: {**found, "model_config": {**found["model_config"], "compat": {}}}
    )
    module = legacy.load_model(stated)
    assert not module.model.compat.lag_order


@pytest.mark.parametrize("builder", [HERE, lab_builder])
def test_another_builder(single: Path, builder: Any) -> None:
    CALLS.clear()
    found, expected = (rates(legacy.load_model(single, *more), "PLCoreVisionModel") for more in ([builder], []))
    assert torch.equal(found[0], expected[0]) and len(CALLS) == 1
    assert CALLS[0] == (model_config("PLCoreVisionModel"), None)


@pytest.mark.parametrize(
    "builder, match",
    [
        ("models.build", "module:name is expected"),
        ("no.such.module:build", "No module named 'no'"),
        ("math:no_such", "no_such"),
        ("math:pi", "is a float"),
    ],
)
def test_a_builder_that_is_none(single: Path, builder: str, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        legacy.load_model(single, builder)


def test_keys_that_do_not_fit_are_told_with_what_they_resemble(single: Path) -> None:
    def renamed(state: Any) -> Any:
        return type(state)((name.replace("readout.bias", "readout.offset"), value) for name, value in state.items())

    changed(single, state_dict=renamed)
    with pytest.raises(legacy.CheckpointError) as caught:
        legacy.load_model(single)
    assert "missing in the file: model.readout.bias, most like model.readout.offset" in str(caught.value)
    assert "left over: model.readout.offset, most like model.readout.bias" in str(caught.value)
    with pytest.warns(UserWarning, match="most like model.readout.offset"):
        legacy.load_model(single, strict=False)


def test_tensors_of_another_shape_are_told(single: Path) -> None:
    changed(single, state_dict=lambda state: type(state)({**state, "model.readout.bias": torch.zeros(CELLS + 1)}))
    with pytest.raises(legacy.CheckpointError, match=r"model.readout.bias: \(5,\) in the file, \(4,\) in the network"):
        legacy.load_model(single)
    with pytest.warns(UserWarning, match="of another shape"):
        legacy.load_model(single, strict=False)


def test_weights_alone_need_a_config(tmp_path: Path) -> None:
    config = model_config("PLCoreVisionModel")
    network = build_model({**config, "compat": "all"})
    torch.save(network.state_dict(), tmp_path / "weights.pt")
    with pytest.raises(legacy.CheckpointError, match="weights alone and no model config"):
        legacy.load_model(tmp_path / "weights.pt")
    (tmp_path / "model.yaml").write_text(yaml.safe_dump(config))
    for given in (config, tmp_path / "model.yaml"):
        module: Any = legacy.load_model(tmp_path / "weights.pt", model_config=given)
        assert all(torch.equal(a, b) for a, b in zip(module.model.parameters(), network.parameters(), strict=True))


@pytest.mark.parametrize("name", ["model", "network"])
def test_weights_under_another_name(tmp_path: Path, name: str) -> None:
    config = model_config("PLCoreVisionModel")
    network = build_model({**config, "compat": "all"})
    torch.save({"epoch": 3, "optimizer": {"state": {}}, name: network.state_dict()}, tmp_path / "old.pt")
    module = legacy.load_model(tmp_path / "old.pt", model_config=config)
    assert all(torch.equal(value, module.model.state_dict()[key]) for key, value in network.state_dict().items())


def test_weights_of_several_sessions(tmp_path: Path) -> None:
    config = model_config("MultiDatasetPLCore")
    torch.save(build_model({**config, "compat": "all"}, dataset_configs()).state_dict(), tmp_path / "weights.pt")
    module = legacy.load_model(tmp_path / "weights.pt", model_config=config, dataset_configs=dataset_configs())
    assert type(module).__name__ == "MultiDatasetPLCore"
    del config["convnet"]


@pytest.fixture
def script(tmp_path: Path) -> tuple[Path, str, str]:
    """A checkpoint of the training script, whose configs lie beside it."""
    model, sessions = write_configs(tmp_path)
    module = MultiDatasetModel(model, sessions, 1e-3, 1e-2, 2, compat="all")
    saved = {
        "state_dict": module.state_dict(),
        "hyper_parameters": dict(module.hparams),
        "pytorch-lightning_version": "2.0.0",
    }
    assert "model_config" not in saved["hyper_parameters"]
    torch.save(saved, tmp_path / "script.ckpt")
    return tmp_path / "script.ckpt", model, sessions


def test_the_scripts_module_reads_its_configs(script: tuple[Path, str, str]) -> None:
    module: Any = legacy.load_model(script[0])
    assert type(module) is MultiDatasetModel and module.compat.old_networks and len(module.names) == 2


def test_the_scripts_configs_may_lie_elsewhere(script: tuple[Path, str, str], tmp_path: Path) -> None:
    path, model, sessions = script
    moved = tmp_path / "moved"
    moved.mkdir()
    Path(model).rename(moved / "model.yaml")
    Path(sessions).rename(moved / "sessions")
    with pytest.raises(legacy.CheckpointError, match=r"model\.yaml.*Give model_config= and dataset_configs="):
        legacy.load_model(path)
    module: Any = legacy.load_model(path, model_config=moved / "model.yaml", dataset_configs=moved / "sessions")
    assert len(rates(module, "MultiDatasetModel")) == len(batches("MultiDatasetModel")[0])


def test_the_scripts_sessions_are_called_by_what_they_say(script: tuple[Path, str, str]) -> None:
    """Configs that come from no file have no file's name."""
    given = dataset_configs()
    del given[1]["session"]
    module: Any = legacy.load_model(
        script[0], lambda config, sessions: build_model(config, dataset_configs()), dataset_configs=given
    )
    assert module.names == [given[0]["session"], "dataset_1"]


def test_the_scripts_module_with_another_builder(script: tuple[Path, str, str]) -> None:
    found, expected = (rates(legacy.load_model(script[0], *more), "MultiDatasetModel") for more in ([HERE], []))
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


def test_the_scripts_module_is_of_one_namespace(script: tuple[Path, str, str]) -> None:
    with pytest.raises(legacy.CheckpointError, match="pytorch_lightning, not of lightning"):
        legacy.load_model(script[0], namespace="lightning")


def test_old_weights_with_new_ways_are_not_loaded_silently(script: tuple[Path, str, str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        legacy.load_model(script[0])


def test_what_was_refused_stays_so(single: Path) -> None:
    saved = torch.load(single)
    saved["hyper_parameters"]["extra"] = print
    torch.save(saved, single)
    with pytest.raises(legacy.Refused, match=r"builtins\.print"):
        legacy.load_model(single)


@pytest.mark.parametrize(
    "name, others, expected",
    [
        ("model.readout.bias", ["model.readouts.0.bias", "model.readout.mean"], "model.readouts.0.bias"),
        ("model.convnet.weight", ["loss"], None),
        ("a", [], None),
    ],
)
def test_resemblance(name: str, others: list[str], expected: str | None) -> None:
    assert nearest(name, others) == expected
