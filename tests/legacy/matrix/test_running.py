"""`verify --builder`: the networks run side by side, and every difference is seen there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from legacy import CheckpointError
from legacy.running import side_by_side
from legacy.translate import Options, translate
from tests.legacy.commands.support import legacy

BUILDER = "visioncore.models:build_model"
KINDS = ("PLCoreVisionModel", "MultiDatasetPLCore", "MultiDatasetModel")


def changed(made: Path, tmp_path: Path, kind: str, change: Callable[[Any], None] | None) -> tuple[Path, Path]:
    source, target = made / f"{kind}-both.ckpt", tmp_path / "new.ckpt"
    translate(source, target, Options())
    if change is not None:
        loaded = torch.load(target, weights_only=True)
        change(loaded)
        torch.save(loaded, target)
    return source, target


@pytest.mark.parametrize("kind", KINDS)
def test_a_translation_runs_as_its_source(made: Path, tmp_path: Path, kind: str) -> None:
    assert side_by_side(*changed(made, tmp_path, kind, None), BUILDER).differences == []


def weight(loaded: Any) -> None:
    name = next(name for name in loaded["state_dict"] if name.endswith("bias"))
    loaded["state_dict"][name][0] += 1e-3


def moment(loaded: Any) -> None:
    state = loaded["optimizer_states"][0]["state"]
    state[len(state) - 1]["exp_avg"] += 1


def rate(loaded: Any) -> None:
    loaded["optimizer_states"][0]["param_groups"][0]["lr"] *= 2


def swapped(loaded: Any) -> None:
    """Two moments of one shape, each other's: torch loads that without a word."""
    state = loaded["optimizer_states"][0]["state"]
    shapes: dict[Any, int] = {}
    for index, values in state.items():
        other = shapes.setdefault(values["exp_avg"].shape, index)
        if other != index:
            values["exp_avg"], state[other]["exp_avg"] = state[other]["exp_avg"], values["exp_avg"]
            return
    raise AssertionError("no two of one shape")


def no_optimizer(loaded: Any) -> None:
    del loaded["optimizer_states"]


@pytest.mark.parametrize(
    "change, told",
    [
        (weight, "the rates of session 0 differ by up to"),
        (moment, "is not the same after one more step"),
        (rate, "is not the same after one more step"),
        (swapped, "is not the same after one more step"),
        (no_optimizer, "only one of the two has an optimiser"),
    ],
)
def test_what_is_not_the_same_is_told(made: Path, tmp_path: Path, change: Callable[[Any], None], told: str) -> None:
    found = side_by_side(*changed(made, tmp_path, "MultiDatasetPLCore", change), BUILDER).differences
    assert found and told in found[0]


def test_the_command(made: Path, tmp_path: Path) -> None:
    source, target = changed(made, tmp_path, "PLCoreVisionModel", None)
    done = legacy("verify", source, target, "--builder", BUILDER, "--json")
    assert done.status == 0 and done.json["ran"] and done.json["same"]


def test_a_builder_that_is_none(made: Path, tmp_path: Path) -> None:
    source, target = changed(made, tmp_path, "PLCoreVisionModel", None)
    done = legacy("verify", source, target, "--builder", "no.such:builder")
    assert done.status == 2 and "cannot be imported" in done.err


def test_configs_that_are_gone_are_asked_for(made: Path, tmp_path: Path) -> None:
    source, target = changed(made, tmp_path, "MultiDatasetModel", None)
    loaded = torch.load(target, weights_only=True)
    loaded["hyper_parameters"]["model_cfg"] = "/gone/model.yaml"
    torch.save(loaded, target)
    with pytest.raises(CheckpointError, match="Give model_config="):
        side_by_side(target, target, BUILDER)
    given = {"model_config": made / "model.yaml", "dataset_configs": made / "sessions"}
    assert side_by_side(source, target, BUILDER, **given).differences == []


def test_a_step_that_was_not_run_is_not_claimed(made: Path, tmp_path: Path) -> None:
    source = made / "PLCoreVisionModel-no-optimizer.ckpt"
    translate(source, tmp_path / "new.ckpt", Options())
    done = legacy("verify", source, tmp_path / "new.ckpt", "--builder", BUILDER)
    assert done.status == 0 and "their rates for random input; no step of training was run" in done.out
