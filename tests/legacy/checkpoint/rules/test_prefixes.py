"""Names of weights, without what wrappers put into them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from legacy.checkpoint import Refused
from legacy.checkpoint.rules.prefixes import COMPILED, unwrapped
from tests.legacy.checkpoint.rules.support import applied, translated

W = torch.arange(6.0)
PARTS = st.sampled_from([COMPILED, "model", "core", "0", f"x{COMPILED}", f"{COMPILED}2", ""])


@given(st.lists(PARTS, max_size=6), PARTS)
def test_every_part_that_torch_compile_put_there_goes_but_a_weights_own_name_stays(path: list[str], own: str) -> None:
    assert unwrapped(".".join([*path, own])) == ".".join([*(part for part in path if part != COMPILED), own])


@pytest.mark.parametrize(
    "before, after",
    [
        ("model._orig_mod.readout.weight", "model.readout.weight"),
        ("module.model.readout.weight", "model.readout.weight"),
        ("model.module._orig_mod.readout.weight", "model.readout.weight"),
        ("_orig_mod.module.module._orig_mod.model.readout.weight", "model.readout.weight"),
        ("model.readout._orig_mod.weight", "model.readout.weight"),
        ("model.readout.module.weight", "model.readout.weight"),
        ("net.module._orig_mod.head.weight", "net.head.weight"),
        ("model.my_module.weight", "model.my_module.weight"),
        ("model.module", "model.module"),  # a parameter's own name
    ],
)
def test_wrapper_prefixes(tmp_path: Path, before: str, after: str) -> None:
    loaded, report = translated(tmp_path, {"state_dict": {before: W}, "epoch": 1})
    assert list(loaded["state_dict"]) == [after]
    assert ("wrapper-prefixes" in applied(report)) == (before != after)


def test_wrapper_prefixes_of_module_versions_and_parameter_names(tmp_path: Path) -> None:
    network = torch.nn.DataParallel(nn.Sequential(nn.BatchNorm1d(3)))
    state = network.state_dict()
    group = {"params": [0, 1], "param_names": ["module.0.weight", "module.0.bias"]}
    saved = {"state_dict": state, "optimizer_states": [{"state": {}, "param_groups": [group]}]}
    loaded, _ = translated(tmp_path, saved)
    bare = nn.Sequential(nn.BatchNorm1d(3)).state_dict()
    assert list(loaded["state_dict"]) == list(bare) and loaded["state_dict"]._metadata == bare._metadata
    assert loaded["optimizer_states"][0]["param_groups"][0]["param_names"] == ["0.weight", "0.bias"]


def test_an_averaged_model_keeps_its_own_module(tmp_path: Path) -> None:
    averaged = torch.optim.swa_utils.AveragedModel(nn.Linear(2, 1))
    loaded, _ = translated(tmp_path, {"state_dict": averaged.state_dict(), "epoch": 1})
    averaged.load_state_dict(loaded["state_dict"])
    wrapped = {f"_orig_mod.{name}": value for name, value in averaged.state_dict().items()}
    assert list(translated(tmp_path, wrapped)[0]) == list(averaged.state_dict())


class Norm(nn.Module):
    """As PyTorch Geometric's: what it normalises with is called `module`."""

    def __init__(self) -> None:
        super().__init__()
        self.module = nn.BatchNorm1d(3)


@pytest.mark.parametrize("wrapped", [nn.Module.state_dict, lambda net: nn.DataParallel(net).state_dict()])
def test_a_module_that_others_call_so_keeps_its_name(tmp_path: Path, wrapped: Any) -> None:
    network = nn.ModuleDict({"norm": Norm(), "head": nn.Linear(3, 1)})
    loaded, _ = translated(tmp_path, {"state_dict": wrapped(network), "epoch": 1})
    assert list(loaded["state_dict"]) == list(network.state_dict())


def test_compile_model_goes_with_the_prefix(tmp_path: Path) -> None:
    saved = {"state_dict": {"model._orig_mod.a": W}, "hyper_parameters": {"compile_model": True}}
    assert translated(tmp_path, saved)[0]["hyper_parameters"] == {"compile_model": False}
    saved["state_dict"] = {"model.a": W}
    assert translated(tmp_path, saved)[0]["hyper_parameters"] == {"compile_model": True}


def test_two_names_that_become_one(tmp_path: Path) -> None:
    tensor = W.clone()
    loaded, report = translated(tmp_path, {"state_dict": {"model.module.w": tensor, "model.w": tensor}, "epoch": 1})
    assert list(loaded["state_dict"]) == ["model.w"] and "are one tensor, kept once" in report.warnings[0]
    with pytest.raises(Refused, match=r"would both be called 'model\.w'"):
        translated(tmp_path, {"state_dict": {"model.module.w": tensor, "model.w": W + 1}, "epoch": 1})


def test_weights_that_no_stage_has_are_told(tmp_path: Path) -> None:
    saved = {
        "state_dict": {"model.readout.w": W, "model.redout.w": W},
        "hyper_parameters": dict.fromkeys(["model_config", "optim_kwargs", "viz_n_epochs", "cids"]),
    }
    _, report = translated(tmp_path, saved)
    assert report.warnings == ["1 tensors match no stage of the network: 'model.redout.w'"]
