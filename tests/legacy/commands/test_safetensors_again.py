"""What was written as safetensors and JSON is read with both: translated again, verified and inspected."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.legacy.commands.support import legacy


@pytest.fixture
def made(tmp_path: Path) -> Path:
    weight = torch.arange(6.0)
    state = {"model.a": weight, "model.tied": weight, "model.b": torch.ones(2)}
    hyper = {"lr": 1e-3, "cids": [1, 2], "folder": Path("/data"), "size": (3, 4)}
    optimizer = {"state": {0: {"exp_avg": torch.ones(6)}}, "param_groups": [{"lr": 1e-3, "params": [0, 1]}]}
    old = {"state_dict": state, "hyper_parameters": hyper, "optimizer_states": [optimizer], "epoch": 7}
    torch.save(old, tmp_path / "old.ckpt")
    assert legacy("translate", tmp_path / "old.ckpt", tmp_path / "a.safetensors").status == 0
    return tmp_path / "a.safetensors"


def test_as_a_ckpt_it_has_what_has_a_form_in_json(made: Path, tmp_path: Path) -> None:
    done = legacy("translate", made, tmp_path / "c.ckpt")
    assert done.status == 0 and "only described there is left out: optimizer_states" in done.out
    loaded = torch.load(tmp_path / "c.ckpt", weights_only=True)
    assert loaded["hyper_parameters"]["cids"] == [1, 2] and loaded["epoch"] == 7
    assert "optimizer_states" not in loaded and loaded["hyper_parameters"]["size"] == [3, 4]
    tied = loaded["state_dict"]["model.tied"]
    assert tied.data_ptr() == loaded["state_dict"]["model.a"].data_ptr() and torch.equal(tied, torch.arange(6.0))
    assert legacy("verify", made, tmp_path / "c.ckpt").status == 0


def test_as_safetensors_nothing_changes(made: Path, tmp_path: Path) -> None:
    assert legacy("translate", made, tmp_path / "b.safetensors").status == 0
    one, other = (json.loads(path.with_suffix(".json").read_text()) for path in (made, tmp_path / "b.safetensors"))
    assert one["checkpoint"] == other["checkpoint"] and one["tied"] == other["tied"] == {"model.tied": "model.a"}
    assert sorted(one["described"]) == sorted(other["described"])
    assert legacy("verify", made, tmp_path / "b.safetensors").status == 0


@pytest.mark.parametrize("before, after", [("1,", "9,"), ("tensor float32 [6]", "tensor float32 [7]")])
def test_verify_sees_what_changed_in_the_json(made: Path, tmp_path: Path, before: str, after: str) -> None:
    legacy("translate", made, tmp_path / "b.safetensors")
    beside = tmp_path / "b.json"
    text = beside.read_text()
    at = text.index('"checkpoint"')
    assert before in text[at:]
    beside.write_text(text[:at] + text[at:].replace(before, after, 1))
    assert legacy("verify", made, tmp_path / "b.safetensors").status == 1


def test_both_may_be_called_otherwise(made: Path, tmp_path: Path) -> None:
    for suffix in (".safetensors", ".json"):
        made.with_suffix(suffix).rename(tmp_path / f"best{suffix}")
    found = legacy("inspect", tmp_path / "best.safetensors", "--json").json
    assert found["hyper_parameters"]["cids"] == [1, 2] and found["epoch"] == 7


def test_inspect_tells_the_hyper_parameters(made: Path) -> None:
    found = legacy("inspect", made, "--json").json
    assert found["hyper_parameters"]["cids"] == [1, 2] and found["state_dict"] == 3 and found["epoch"] == 7


@pytest.mark.parametrize("content", ["{}", "[", '{"written_by": "python -m legacy", "weights": "other", "checkpoint": {"epoch": 1}}', "[" * 100_000])  # fmt: skip
def test_json_of_others_is_none_of_it(made: Path, content: str) -> None:
    made.with_suffix(".json").write_text(content)
    found = legacy("inspect", made, "--json").json
    assert (found["kind"], found["epoch"], found["state_dict"]) == ("state_dict", None, 3)


def test_what_is_said_to_be_tied_does_not_hide_what_is_there(tmp_path: Path) -> None:
    save_file({"a": torch.ones(3), "b": torch.full((3,), 666.0)}, tmp_path / "new.safetensors", {"tied": '{"b": "a"}'})
    torch.save({"a": torch.ones(3), "b": torch.ones(3)}, tmp_path / "old.ckpt")
    done = legacy("verify", tmp_path / "old.ckpt", tmp_path / "new.safetensors")
    assert done.status == 1 and "'b'" in done.out
    legacy("translate", tmp_path / "new.safetensors", tmp_path / "again.safetensors")
    assert torch.equal(load_file(tmp_path / "again.safetensors")["b"], torch.full((3,), 666.0))


def forged(made: Path, **changes: object) -> None:
    beside = made.with_suffix(".json")
    found = json.loads(beside.read_text())
    beside.write_text(json.dumps({**found, **changes}, indent=1))


@pytest.mark.parametrize(
    "changes",
    [
        {"described": 3},
        {"described": [["epoch", 3]]},
        {"described": [["epoch", "of"]]},
        {"described": [[]]},
        {"checkpoint": {"hyper_parameters": [1], "epoch": {"a": 1}}, "described": [["hyper_parameters", "a"]]},
        {"checkpoint": {"state_dict": {"model.a": 3}, "epoch": 1}, "described": []},
        {"checkpoint": {"state_dict": 3}},
    ],
)
def test_whatever_the_json_says_the_weights_are_what_they_are(
    made: Path, tmp_path: Path, changes: dict[str, object]
) -> None:
    forged(made, **changes)
    done = legacy("translate", made, tmp_path / "b.safetensors", "--json")
    assert done.status == 0, done.err
    one, other = load_file(made), load_file(tmp_path / "b.safetensors")
    assert one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_json_that_is_too_large_is_not_passed_over(made: Path) -> None:
    forged(made, more="x" * (1 << 25))
    done = legacy("inspect", made)
    assert done.status == 3 and "without it the weights alone are read" in done.err
