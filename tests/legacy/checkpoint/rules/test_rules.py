"""Each built-in rule: what is before, what after, and what is left alone."""

from __future__ import annotations

import argparse
import collections
import copy
import datetime
import functools
import pathlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from legacy.checkpoint import Refused
from legacy.checkpoint.rules import INDEX
from legacy.translate import Options, translate
from tests.legacy.checkpoint.rules.support import applied, translated

W = torch.arange(6.0)
OLD = ["model_config", "optim_kwargs", "viz_n_epochs"]


def lab(name: str, module: str) -> Any:
    """A function that pickles under another module's name."""

    def function() -> None: ...

    function.__qualname__ = function.__name__ = name
    function.__module__ = module
    return function


class Elsewhere:
    """Makes functions with `lab` picklable: they are looked up in modules that are not there."""

    def __init__(self, *functions: Any) -> None:
        self.functions = functions

    def __enter__(self) -> None:
        import sys
        import types

        self.before = dict(sys.modules)
        for function in self.functions:
            path = ""
            for part in function.__module__.split("."):
                path = f"{path}.{part}" if path else part
                sys.modules.setdefault(path, types.ModuleType(path))
            setattr(sys.modules[function.__module__], function.__name__, function)

    def __exit__(self, *error: object) -> None:
        import sys

        for name in set(sys.modules) - set(self.before):
            del sys.modules[name]


def test_every_rule_says_what_it_does_and_since_when() -> None:
    names = [rule.name for rule in INDEX]
    assert len(set(names)) == len(names) and all(
        rule.why.endswith(".") and len(rule.why) > 60 and rule.since for rule in INDEX
    )


# Hyper-parameters


@pytest.mark.parametrize("old", ["hparams", "module_arguments"])
def test_hyper_parameters_key(tmp_path: Path, old: str) -> None:
    loaded, _ = translated(tmp_path, {"state_dict": {"a": W}, old: {"lr": 1}})
    assert loaded["hyper_parameters"] == {"lr": 1} and old not in loaded


def attribute_dict(space: str) -> Any:
    module = __import__(f"{space}.utilities.parsing", fromlist=["AttributeDict"])
    return module.AttributeDict(lr=1.5, deep={"a": [1]})


@pytest.mark.parametrize("sort", ["namespace", "lightning.fabric", "lightning_fabric", "simple"])
def test_hyper_parameters_opened(tmp_path: Path, sort: str) -> None:
    import types

    given: Any
    if sort == "namespace":
        given = argparse.Namespace(lr=1.5, deep={"a": [1]})
    elif sort == "simple":
        given = types.SimpleNamespace(lr=1.5, deep={"a": [1]})
    else:
        module = pytest.importorskip(f"{sort}.utilities.data")
        given = module.AttributeDict(lr=1.5, deep={"a": [1]})
    loaded, report = translated(tmp_path, {"state_dict": {"a": W}, "hyper_parameters": given})
    assert loaded["hyper_parameters"] == {"lr": 1.5, "deep": {"a": [1]}} and type(loaded["hyper_parameters"]) is dict
    assert "hyper-parameters-opened" in applied(report)


@pytest.mark.parametrize(
    "module, name",
    [
        ("models.build", "build_model"),
        ("DataYatesV1.models.build", "build_model"),
        ("DataYatesV1.models", "build_model"),
        ("models.modules.models", "ModularV1Model"),
        ("DataYatesV1.models.modules.models", "ModularV1Model"),
        ("DataYatesV1.some.other.place", "build_model"),
    ],
)
def test_model_class_to_builder_name(tmp_path: Path, module: str, name: str) -> None:
    builder = lab(name, module)
    hyper = {"model_class": builder, **dict.fromkeys([*OLD, "cids"])}
    with Elsewhere(builder):
        loaded, report = translated(tmp_path, {"state_dict": {"model.readout.a": W}, "hyper_parameters": hyper})
    assert loaded["hyper_parameters"]["model_class"] == "visioncore.models:build_model"
    assert applied(report)["model-class-to-builder-name"] == [
        f"model_class: {module}.{name} → visioncore.models:build_model"
    ]


def test_an_unknown_model_class_of_the_labs_keeps_its_name(tmp_path: Path) -> None:
    builder = lab("Special", "models.special")
    hyper = {"model_class": builder, **dict.fromkeys([*OLD, "cids"])}
    with Elsewhere(builder):
        loaded, _ = translated(tmp_path, {"state_dict": {"model.readout.a": W}, "hyper_parameters": hyper})
    assert loaded["hyper_parameters"]["model_class"] == "models.special:Special"


class Drawing:
    """An evaluation module of the user's own."""

    def __init__(self) -> None:
        self.when = collections.defaultdict(list, {"a": [1]})


def test_live_objects_dropped(tmp_path: Path) -> None:
    hyper = {**dict.fromkeys([*OLD, "cids"]), "eval_modules": [Drawing(), nn.Linear(2, 2)]}
    loaded, report = translated(tmp_path, {"state_dict": {"model.readout.a": W}, "hyper_parameters": hyper})
    assert loaded["hyper_parameters"]["eval_modules"] == []
    (note,) = applied(report)["live-objects-dropped"]
    assert f"{__name__}.Drawing" in note and "torch.nn.modules.linear.Linear" in note


def test_live_objects_of_the_oldest_protocols_too(tmp_path: Path) -> None:
    hyper = {**dict.fromkeys([*OLD, "cids"]), "eval_modules": [Drawing()]}
    torch.save({"state_dict": {"model.readout.a": W}, "hyper_parameters": hyper}, tmp_path / "a", pickle_protocol=1)
    report = translate(tmp_path / "a", tmp_path / "b", Options())
    assert f"{__name__}.Drawing" in applied(report)["live-objects-dropped"][0]


def test_what_is_dangerous_is_refused_among_live_objects_too(tmp_path: Path) -> None:
    hyper = {**dict.fromkeys([*OLD, "cids"]), "eval_modules": [print, torch.hub.load]}
    with pytest.raises(Refused) as caught:
        translated(tmp_path, {"state_dict": {"model.readout.a": W}, "hyper_parameters": hyper})
    assert "builtins.print" in str(caught.value) and "torch.hub.load" in str(caught.value)


def test_names_of_evaluation_modules_stay(tmp_path: Path) -> None:
    hyper = {**dict.fromkeys([*OLD, "cids"]), "eval_modules": ["rf", "gratings"]}
    loaded, report = translated(tmp_path, {"state_dict": {"model.readout.a": W}, "hyper_parameters": hyper})
    assert loaded["hyper_parameters"]["eval_modules"] == ["rf", "gratings"] and not report.rules


def test_omegaconf(tmp_path: Path) -> None:
    omegaconf = pytest.importorskip("omegaconf")
    given = omegaconf.OmegaConf.create({"lr": 0.1, "sizes": [1, 2], "deep": {"a": None, "b": "x"}})
    saved = {"state_dict": {"a": W}, "hyper_parameters": given, "hparams_type": type(given)}
    loaded, report = translated(tmp_path, saved)
    assert loaded["hyper_parameters"] == {"lr": 0.1, "sizes": [1, 2], "deep": {"a": None, "b": "x"}}
    assert "hparams_type" not in loaded and "hparams-type-dropped" in applied(report)


# Values


@pytest.mark.parametrize(
    "value, expected",
    [
        (pathlib.PurePosixPath("/a/b"), "/a/b"),
        (pathlib.PureWindowsPath("c:/a"), "c:\\a"),
        (Path("/a") / "b", "/a/b"),
        (np.float32(1.5), 1.5),
        (np.int64(7), 7),
        (np.bool_(True), True),
        (np.arange(4).reshape(2, 2), [[0, 1], [2, 3]]),
        (np.asfortranarray(np.arange(6.0).reshape(2, 3)), [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]),
        (np.zeros((0, 3)), []),
        (np.array(["ab", "c"]), ["ab", "c"]),
        (np.array(["ä"], dtype=">U3"), ["ä"]),
        (np.array([["x", None], [1, (2,)]], dtype=object), [["x", None], [1, (2,)]]),
        (np.str_("ab"), "ab"),
        (np.dtype("float16"), "float16"),
        (np.dtype(bool), "bool"),
        (collections.defaultdict(list, a=[1]), {"a": [1]}),
        (collections.deque([1, 2]), [1, 2]),
        (argparse.Namespace(a=Path("x")), {"a": "x"}),
        (nn.ReLU, "torch.nn.modules.activation.ReLU"),
        (torch.optim.AdamW, "torch.optim.adamw.AdamW"),
        (int, "int"),
        (functools.partial(nn.Linear, 3, bias=False), {"function": "torch.nn.modules.linear.Linear", "args": (3,), "keywords": {"bias": False}}),
        (torch.float16, torch.float16),
        (torch.Size([2]), torch.Size([2])),
        ({1, 2}, {1, 2}),
        ((1, [2, {"a": Path("b")}]), (1, [2, {"a": "b"}])),
    ],
)  # fmt: skip
def test_plain_values(tmp_path: Path, value: Any, expected: Any) -> None:
    loaded, _ = translated(tmp_path, {"state_dict": {"a": W}, "hyper_parameters": {"x": value}})
    assert loaded["hyper_parameters"]["x"] == expected and type(loaded["hyper_parameters"]["x"]) is type(expected)


@pytest.mark.parametrize(
    "value",
    [
        np.array([object()]),
        np.datetime64("2020-01-01"),
        {frozenset([1]): 2},
        {(frozenset([1]), 1): 2},
        {frozenset([1])},
        datetime.datetime(2020, 1, 1),
        print,
        collections.UserDict,
    ],
)
def test_what_has_no_plain_value_is_refused(tmp_path: Path, value: Any) -> None:
    with pytest.raises(Refused):
        translated(tmp_path, {"state_dict": {"a": W}, "hyper_parameters": {"x": value}})


def test_shared_values_stay_shared(tmp_path: Path) -> None:
    shared = [Path("a")]
    loaded, _ = translated(tmp_path, {"state_dict": {"a": W}, "hyper_parameters": {"x": shared, "y": shared}})
    assert loaded["hyper_parameters"]["x"] is loaded["hyper_parameters"]["y"]


# Optimisers


def fitted(names: list[str], order: list[str]) -> dict[str, Any]:
    """An optimiser's state in some order, with names; each moment is filled with the number of its parameter's name."""
    group = {"lr": 0.1, "params": list(range(len(order))), "param_names": order}
    moments = {
        i: {"step": torch.tensor(3.0), "exp_avg": torch.full((2,), float(names.index(n)))} for i, n in enumerate(order)
    }
    return {"state": moments, "param_groups": [group]}


def of_kind(**more: Any) -> dict[str, Any]:
    return {"hyper_parameters": dict.fromkeys([*OLD, "cids"]), **more}


def test_a_permuted_optimizer_is_put_in_the_networks_order(tmp_path: Path) -> None:
    names = ["model.readout.a", "model.readout.b", "model.readout.c"]
    state = {name: torch.zeros(2) for name in names}
    saved = of_kind(state_dict=state, optimizer_states=[fitted(names, [names[2], names[0], names[1]])])
    loaded, report = translated(tmp_path, saved)
    (found,) = loaded["optimizer_states"]
    assert found["param_groups"][0]["param_names"] == names and found["param_groups"][0]["params"] == [0, 1, 2]
    assert [float(found["state"][i]["exp_avg"][0]) for i in range(3)] == [0, 1, 2]
    assert applied(report)["optimizer-by-name"] == ["optimiser 0: 3 parameters into the network's order"]
    assert "training code that orders its parameters otherwise" in report.warnings[0]


@pytest.mark.parametrize(
    "change, told",
    [
        (lambda o: o["param_groups"][0]["param_names"].pop(), "incompletely or twice"),
        (lambda o: o["param_groups"][0]["param_names"].__setitem__(1, "model.readout.b"), "incompletely or twice"),
        (lambda o: o["param_groups"][0]["param_names"].__setitem__(0, "model.readout.z"), "the network lacks"),
        (lambda o: o["state"][0].update(exp_avg=torch.zeros(9)), "of another shape than the parameter"),
    ],
)
def test_names_that_do_not_fit_are_told_and_left(tmp_path: Path, change: Any, told: str) -> None:
    names = ["model.readout.a", "model.readout.b"]
    optimizer = fitted(names, names[::-1])
    change(optimizer)
    before = copy.deepcopy(optimizer["param_groups"])
    saved = of_kind(state_dict={name: torch.zeros(2) for name in names}, optimizer_states=[optimizer])
    loaded, report = translated(tmp_path, saved)
    assert told in report.warnings[-1] and loaded["optimizer_states"][0]["param_groups"] == before


def test_the_scripts_groups_get_their_names(tmp_path: Path) -> None:
    """Core first, then the rest, as the script forms its groups; buffers are no parameters."""
    names = [
        "model.adapters.0.a",
        "model.frontend.b",
        "model.convnet.running_mean",
        "model.convnet.c",
        "model.readouts.0.d",
    ]
    moments = {i: {"exp_avg": torch.zeros(2)} for i in range(4)}
    groups = [{"lr": 0.1, "params": [0, 1]}, {"lr": 0.1, "params": [2, 3]}]
    saved = {
        "hyper_parameters": dict.fromkeys(["model_cfg", "cfg_dir", "lr", "wd", "max_ds"]),
        "state_dict": {name: torch.zeros(2) for name in names},
        "optimizer_states": [{"state": moments, "param_groups": groups}],
    }
    loaded, _ = translated(tmp_path, saved)
    found = [group["param_names"] for group in loaded["optimizer_states"][0]["param_groups"]]
    assert found == [["model.frontend.b", "model.convnet.c"], ["model.adapters.0.a", "model.readouts.0.d"]]


def test_groups_that_cannot_be_told_are_left(tmp_path: Path) -> None:
    saved = of_kind(
        state_dict={"model.readout.a": torch.zeros(2), "model.readout.b": torch.zeros(3)},
        optimizer_states=[{"state": {0: {"exp_avg": torch.zeros(3)}}, "param_groups": [{"params": [0, 1]}]}],
    )
    loaded, report = translated(tmp_path, saved)
    assert "could not be told by name" in report.warnings[-1]
    assert loaded["optimizer_states"][0]["param_groups"] == [{"params": [0, 1]}]


def test_scheduler_states_come_through(tmp_path: Path) -> None:
    optimizer = torch.optim.AdamW([nn.Parameter(W)])
    for make in (
        lambda: torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 5),
        lambda: torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer),
        lambda: torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, 10),
    ):
        state = make().state_dict()
        loaded, _ = translated(tmp_path, {"state_dict": {"a": W}, "epoch": 1, "lr_schedulers": [state]})
        assert {k: v for k, v in loaded["lr_schedulers"][0].items() if k != "anneal_func"} == {
            k: v for k, v in state.items() if k != "anneal_func"
        }
