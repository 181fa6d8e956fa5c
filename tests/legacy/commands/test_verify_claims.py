"""What a new file says of itself to `verify`: told where it matters, and never more than that."""

from __future__ import annotations

import json
import os
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch

from legacy.checkpoint import read
from tests.legacy.commands.support import legacy, save

DROP = {"name": "x", "drop": "model.w"}
SET = {"name": "y", "set_hyper_parameter": {"name": "lr", "value": 99}}
RENAME = {"name": "z", "rename": {"from": "model.b", "to": "model.c"}}


def saved(path: Path, names: str, lr: int, rules: object = None, **record: Any) -> Path:
    """Weights by name and a learning rate, with a provenance of somebody's making."""
    state = {f"model.{name}": torch.full((2,), float(ord(name.upper()))) for name in names}
    torch.save({"state_dict": state, "hyper_parameters": {"lr": lr}}, path)
    with zipfile.ZipFile(path, "a") as archive:
        top = archive.namelist()[0].partition("/")[0]
        archive.writestr(f"{top}/provenance.json", json.dumps({"user_rules": rules, **record}))
    return path


def test_what_only_the_new_file_says_is_told(tmp_path: Path) -> None:
    old, new = saved(tmp_path / "old.ckpt", "wb", 1), saved(tmp_path / "new.ckpt", "b", 99, [DROP, SET])
    done = legacy("verify", old, new)
    assert done.status == 0 and "only because the new file says so itself" in done.out
    assert "['lr'] is 1 in" in done.out and f"checkpoint['state_dict']['model.w'] is in {old} only" in done.out
    found = legacy("verify", old, new, "--json").json
    assert found["same"] and found["claim_count"] == len(found["claims"]) == 3
    rules = tmp_path / "rules.toml"
    rules.write_text('[[rule]]\nname = "x"\ndrop = "model.w"\n')
    done = legacy("verify", old, new, "--rules", rules)
    assert done.status == 1 and "['lr'] is 1 in" in done.out and "model.w" not in done.out


def test_renames_are_told_as_such(tmp_path: Path) -> None:
    old, new = saved(tmp_path / "old.ckpt", "wb", 1), tmp_path / "new.ckpt"
    loaded = torch.load(saved(new, "wb", 1, [RENAME]), weights_only=True)
    loaded["state_dict"] = {name.replace(".b", ".c"): value for name, value in loaded["state_dict"].items()}
    torch.save(loaded, new)
    assert legacy("verify", old, new).status == 1
    with zipfile.ZipFile(new, "a") as archive:
        archive.writestr(
            archive.namelist()[0].partition("/")[0] + "/provenance.json", json.dumps({"user_rules": [RENAME]})
        )
    found = legacy("verify", old, new, "--json").json
    assert found["same"] and found["claims"] == ["weights are renamed, 'model.b' → 'model.c'"]


def test_a_rule_that_drops_one_weight_hides_no_other(tmp_path: Path) -> None:
    old, new = saved(tmp_path / "old.ckpt", "wbe", 1), saved(tmp_path / "new.ckpt", "bf", 1, [DROP])
    done = legacy("verify", old, new)
    assert done.status == 1
    assert (
        f"the values of 'model.e' are in {old} only" in done.out
        and f"the values of 'model.f' are in {new} only" in done.out
    )


@pytest.mark.parametrize(
    "rules, told",
    [
        ([{"name": "r", "rename": {"pattern": "(a|a)*$", "to": ""}}], "a pattern, which is only run for those who give it"),
        ([{"name": "r", "rename": {"pattern": "(?:(?:|x){60000}){60000}", "to": ""}}], "a pattern, which is only run"),
        (["x"], "rule 1 is a str, where a table is expected"),
        ([{"name": 3}], "rule 1 has no name"),
        ([{"name": str(n), "drop": "x"} for n in range(1001)], "over 1,000 rules"),
    ],
    ids=["slow", "slow on nothing", "text", "number", "many"],
)  # fmt: skip
def test_rules_that_are_none_or_would_take_for_ever(tmp_path: Path, rules: object, told: str) -> None:
    old, new = tmp_path / "old.ckpt", saved(tmp_path / "new.ckpt", "w", 1, rules)
    torch.save({"state_dict": {"model." + "a" * 60 + "!": torch.ones(2)}}, old)
    began = time.monotonic()
    done = legacy("verify", old, new)
    assert done.status == 2 and told in done.err and time.monotonic() - began < 20


def test_a_pattern_of_ones_own_is_run(tmp_path: Path) -> None:
    old, new, rules = save(tmp_path / "old.ckpt"), tmp_path / "new.ckpt", tmp_path / "rules.toml"
    rules.write_text('[[rule]]\nname = "r"\nsince = 2024-01-01\nrename = { pattern = "readout", to = "readouts.0" }\n')
    assert legacy("translate", old, new, "--rules", rules).status == 0
    assert legacy("verify", old, new, "--rules", rules).status == 0
    done = legacy("verify", old, new)
    assert done.status == 2 and "--rules" in done.err


def test_a_provenance_nested_too_deep_is_none(tmp_path: Path) -> None:
    deep: Any = {}
    for _ in range(900):
        deep = {"previous": deep}
    old, new = saved(tmp_path / "old.ckpt", "w", 1, previous=deep), tmp_path / "new.ckpt"
    assert read(old).provenance is None
    assert legacy("translate", old, new).status == 0
    assert legacy("verify", old, new).status == 0


def test_ties_that_are_none(tmp_path: Path) -> None:
    new = tmp_path / "new.safetensors"
    save(tmp_path / "old.ckpt")
    assert legacy("translate", tmp_path / "old.ckpt", new, "--to", "safetensors").status == 0
    data = new.read_bytes()
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    header["__metadata__"]["tied"] = '{"x": ["model.readout.weight"], "y": {}}'
    text = json.dumps(header).encode()
    new.write_bytes(len(text).to_bytes(8, "little") + text + data[8 + size :])
    assert legacy("verify", tmp_path / "old.ckpt", new).status == 0


def test_a_pipe_beside_a_safetensors_file(tmp_path: Path) -> None:
    new = tmp_path / "new.safetensors"
    save(tmp_path / "old.ckpt")
    legacy("translate", tmp_path / "old.ckpt", new, "--to", "safetensors")
    (tmp_path / "new.json").unlink()
    os.mkfifo(tmp_path / "new.json")
    done = legacy("verify", tmp_path / "old.ckpt", new)
    assert done.status == 1 and "the hyper-parameters are in it" in done.out
