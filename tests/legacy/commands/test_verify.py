"""`verify`: two checkpoints are the same, or it is told where they are not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.legacy.commands.support import legacy, save

Change = Callable[[dict[str, Any]], object]


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    old, new = save(tmp_path / "old.ckpt", callbacks={"A": {"best": torch.tensor(1.0)}}), tmp_path / "new.ckpt"
    assert legacy("translate", old, new).status == 0
    return old, new


def test_a_translation_is_the_same(pair: tuple[Path, Path]) -> None:
    done = legacy("verify", *pair)
    assert done.status == 0 and "are the same: 2 weights, hash by hash" in done.out and "wrapper-prefixes" in done.out
    found = legacy("verify", *pair, "--json").json
    assert found["same"] and found["tensors"] == 2 and found["renamed"] == 2 and not found["ran"]


def test_a_file_is_the_same_as_itself(pair: tuple[Path, Path]) -> None:
    assert legacy("verify", pair[0], pair[0]).status == legacy("verify", pair[1], pair[1]).status == 0


@pytest.mark.parametrize(
    "change, told",
    [
        (lambda c: c["state_dict"]["model.readout.weight"].view(-1)[5].add_(1), "the values of 'model.readout.weight'"),
        (lambda c: c["state_dict"].pop("model.readout.weight"), "the values of 'model._orig_mod.readout.weight'"),
        (lambda c: c["state_dict"].update(x=torch.ones(3)), "the values of 'x' are in"),
        (lambda c: c["state_dict"].update({"model.readout.bias": c["state_dict"]["model.readout.bias"].double()}), "the values of"),
        (lambda c: c["hyper_parameters"].update(viz_n_epochs=6), "['viz_n_epochs'] is 5 in"),
        (lambda c: c["hyper_parameters"].update(viz_n_epochs=5.0), "['viz_n_epochs'] is 5 in"),
        (lambda c: c["hyper_parameters"].pop("cids"), "checkpoint['hyper_parameters']['cids'] is in"),
        (lambda c: c["optimizer_states"][0]["state"][0]["exp_avg"].add_(1), "['exp_avg'] is tensor"),
        (lambda c: c["optimizer_states"][0]["param_groups"][0].update(lr=2), "['lr'] is 0.001 in"),
        (lambda c: c.update(global_step=5), "checkpoint['global_step'] is 4 in"),
        (lambda c: c["callbacks"]["A"].update(best=torch.tensor(2.0)), "['best'] is tensor"),
        (lambda c: c.update(more=1), "checkpoint['more'] is in"),
    ],
)  # fmt: skip
def test_every_difference_is_told(pair: tuple[Path, Path], change: Change, told: str) -> None:
    loaded = torch.load(pair[1], weights_only=True)
    change(loaded)
    torch.save(loaded, pair[1])
    done = legacy("verify", *pair)
    assert done.status == 1 and told in done.out, done.out
    assert legacy("verify", *pair, "--json").json["same"] is False


def test_weights_that_change_places_are_told(tmp_path: Path) -> None:
    one, two = torch.zeros(2), torch.ones(2)
    torch.save({"a": one, "b": two}, tmp_path / "old.pt")
    torch.save({"a": two, "b": one}, tmp_path / "new.pt")
    done = legacy("verify", tmp_path / "old.pt", tmp_path / "new.pt")
    assert done.status == 1 and "checkpoint['a']" in done.out and "checkpoint['b']" in done.out


def test_sharing_is_part_of_it(tmp_path: Path) -> None:
    shared = torch.zeros(2)
    inner = {"w": shared}
    torch.save({"a": inner, "b": inner}, tmp_path / "old.pt")
    torch.save({"a": {"w": shared}, "b": {"w": shared}}, tmp_path / "new.pt")
    done = legacy("verify", tmp_path / "old.pt", tmp_path / "new.pt")
    assert done.status == 1 and "as checkpoint" in done.out


def test_names_that_nobody_allowed_are_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "old.ckpt", extra=[print])
    done = legacy("verify", path, path)
    assert done.status == 3 and "builtins.print at checkpoint['extra'][0]" in done.err
    assert legacy("translate", path, tmp_path / "new.ckpt", "--allow", "builtins.print").status == 0
    done = legacy("verify", path, tmp_path / "new.ckpt")
    assert done.status == 0 and "says so itself" in done.out and "names are let through: builtins.print" in done.out


def test_safetensors_against_its_source(pair: tuple[Path, Path], tmp_path: Path) -> None:
    legacy("translate", pair[0], tmp_path / "new.safetensors", "--to", "safetensors")
    done = legacy("verify", pair[0], tmp_path / "new.safetensors")
    assert done.status == 0 and "without their values: optimizer_states (4)" in done.out
    text = (tmp_path / "new.json").read_text().replace('"viz_n_epochs": 5', '"viz_n_epochs": 6')
    (tmp_path / "new.json").write_text(text)
    done = legacy("verify", pair[0], tmp_path / "new.safetensors")
    assert done.status == 1 and "viz_n_epochs" in done.out
    (tmp_path / "new.json").unlink()
    done = legacy("verify", pair[0], tmp_path / "new.safetensors")
    assert done.status == 1 and "the hyper-parameters are in it" in done.out


def test_dropped_weights_are_a_listed_rule(pair: tuple[Path, Path], tmp_path: Path) -> None:
    rule = '[[rule]]\nname = "no bias"\ndrop = "model.readout.bias"\n'
    (tmp_path / "rules.toml").write_text(rule)
    made = tmp_path / "made.ckpt"
    assert legacy("translate", pair[0], made, "--rules", tmp_path / "rules.toml").status == 0
    assert legacy("verify", pair[0], made).status == 0
    assert legacy("verify", pair[0], made, "--rules", tmp_path / "rules.toml").status == 0
    (tmp_path / "rules.toml").write_text("")
    assert legacy("verify", pair[0], made, "--rules", tmp_path / "rules.toml").status == 1


def test_a_forged_provenance_changes_nothing(pair: tuple[Path, Path], tmp_path: Path) -> None:
    """The rules it names are applied to the source alone: what is in neither side cannot be explained away."""
    loaded = torch.load(pair[1], weights_only=True)
    loaded["state_dict"]["model.readout.weight"][0, 0] = 9
    torch.save(loaded, pair[1])
    assert legacy("verify", *pair).status == 1


def test_folders(tmp_path: Path) -> None:
    for name in ("a", "b"):
        save(tmp_path / "runs" / f"{name}.ckpt")
    legacy("translate", tmp_path / "runs", tmp_path / "new")
    done = legacy("verify", tmp_path / "runs", tmp_path / "new", "--json")
    assert done.status == 0 and done.json["same"] and len(done.json["files"]) == 2
    (tmp_path / "new" / "b.ckpt").unlink()
    done = legacy("verify", tmp_path / "runs", tmp_path / "new", "--json")
    assert done.status == 2 and not done.json["same"] and "No such file" in done.err
    assert legacy("verify", tmp_path / "runs", tmp_path / "new" / "a.ckpt").status == 2
