"""A user's rules file: rows, what they do, and every way to write one wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from legacy.checkpoint import CheckpointError, Refused
from legacy.checkpoint.rules.user import load, parse
from legacy.translate import Options, translate
from tests.legacy.checkpoint.rules.support import applied, translated

W = torch.arange(6.0)


def saved(*names: str, **hyper: Any) -> dict[str, Any]:
    return {
        "state_dict": {name: W + i for i, name in enumerate(names)},
        "hyper_parameters": {"lr": 1, **hyper},
        "epoch": 1,
    }


def row(name: str = "mine", **kind: Any) -> dict[str, Any]:
    return {"name": name, **kind}


@pytest.mark.parametrize(
    "change, before, after",
    [
        ({"from": "model.readout.", "to": "model.readouts.0."}, "model.readout.w", "model.readouts.0.w"),
        ({"from": "model.readout", "to": "model.readouts.0"}, "model.readout.w", "model.readouts.0.w"),
        ({"from": "model.readout", "to": "model.head"}, "model.readouts.w", "model.readouts.w"),
        ({"from": "model.readout", "to": "model.head"}, "model.readout", "model.head"),
        ({"from": "a.", "to": "a.b."}, "a.w", "a.b.w"),
        ({"pattern": r"^net\.", "to": "model."}, "net.w", "model.w"),
        ({"pattern": r"layer(\d+)", "to": r"layers.\1"}, "model.layer3.w", "model.layers.3.w"),
    ],
)
def test_rename(tmp_path: Path, change: dict[str, str], before: str, after: str) -> None:
    loaded, report = translated(tmp_path, saved(before), [row(rename=change)])
    assert list(loaded["state_dict"]) == [after] and ("mine" in applied(report)) == (before != after)
    again, _ = translated(tmp_path, loaded, [row(rename=change)])
    assert list(again["state_dict"]) == [after]


def test_drop(tmp_path: Path) -> None:
    loaded, _ = translated(tmp_path, saved("model.aux.w", "model.auxiliary.w"), [row(drop="model.aux")])
    assert list(loaded["state_dict"]) == ["model.auxiliary.w"]


def test_hyper_parameters(tmp_path: Path) -> None:
    rows = [
        row("a", rename_hyper_parameter={"from": "learning_rate", "to": "lr2"}),
        row("b", set_hyper_parameter={"name": "max_ds", "value": 3}),
        row("c", drop_hyper_parameter="junk"),
    ]
    loaded, _ = translated(tmp_path, saved("a", learning_rate=2, junk=0), rows)
    assert loaded["hyper_parameters"] == {"lr": 1, "lr2": 2, "max_ds": 3}


def test_a_rename_that_would_lose_one(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="has both hyper-parameters 'x' and 'lr'"):
        translated(tmp_path, saved("a", x=2), [row(rename_hyper_parameter={"from": "x", "to": "lr"})])


def test_a_global_that_is_refused_otherwise(tmp_path: Path) -> None:
    value = saved("a", extra=[print, {"deep": print}])
    with pytest.raises(Refused):
        translated(tmp_path, value)
    loaded, _ = translated(tmp_path, value, [row(replace_global={"from": "builtins.print", "to": "shown"})])
    assert loaded["hyper_parameters"]["extra"] == ["shown", {"deep": "shown"}]


def test_a_pattern_is_not_applied_to_what_it_made(tmp_path: Path) -> None:
    rows = parse([row("below net", rename={"pattern": "^", "to": "net."})], "rules.toml")
    torch.save(saved("a.w"), tmp_path / "0.ckpt")
    for step, given in enumerate([rows, rows, [], rows]):
        report = translate(tmp_path / f"{step}.ckpt", tmp_path / f"{step + 1}.ckpt", Options(rows=given))
        assert list(torch.load(tmp_path / f"{step + 1}.ckpt", weights_only=True)["state_dict"]) == ["net.a.w"]
        again = "not applied again, for the file's provenance has them: 'below net'" in report.warnings
        assert again == (step in (1, 3)), "the third has no rules, and the fourth finds them further back"


def test_two_rules_for_one_name_are_told_and_the_first_is_followed(tmp_path: Path) -> None:
    rows = [row("one", rename={"from": "a.", "to": "b."}), row("two", rename={"from": "a.", "to": "c."})]
    loaded, report = translated(tmp_path, saved("a.w"), rows)
    assert list(loaded["state_dict"]) == ["b.w"]
    assert "2 rules for one name, 'a.w': 'one', 'two'; the first was followed" in report.warnings


def test_two_rules_for_one_hyper_parameter_are_told(tmp_path: Path) -> None:
    rows = [row("one", set_hyper_parameter={"name": "lr", "value": 5}), row("two", drop_hyper_parameter="lr")]
    _, report = translated(tmp_path, saved("a"), rows)
    assert any("two rules for the hyper-parameter 'lr'" in warning for warning in report.warnings)


def test_a_rule_that_matches_nothing_is_told(tmp_path: Path) -> None:
    _, report = translated(tmp_path, saved("a"), [row(drop="nothing"), row("other", drop_hyper_parameter="none")])
    assert [w.split(" in ")[0] for w in report.warnings] == [
        "rule 'mine' matched nothing",
        "rule 'other' matched nothing",
    ]


def test_a_rename_onto_another_tensor_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="would both be called 'b'"):
        translated(tmp_path, saved("a", "b"), [row(rename={"pattern": "^a$", "to": "b"})])


@pytest.mark.parametrize(
    "text, told",
    [
        ("rule = 1", "must be [[rule]] tables"),
        ("[[rules]]", "has 'rules', where only [[rule]] tables are expected"),
        ("schema = 2", "schema 2 is not known"),
        ("[[rule]]\ndrop = 'a'", "rule 1 has no name"),
        ("[[rule]]\nname = 'x'", "does 0 things"),
        ("[[rule]]\nname = 'x'\ndrop = 'a'\nrename = {from='a', to='b'}", "does 2 things"),
        ("[[rule]]\nname = 'x'\nrename = {from='a'}", "rename takes {from, to}"),
        ("[[rule]]\nname = 'x'\nrename = {from='a', to=3}", "rename.to must be text"),
        ("[[rule]]\nname = 'x'\nrename = {from='', to='b'}", "rename.from is empty"),
        ("[[rule]]\nname = 'x'\nrename = {pattern='(', to='b'}", "rename.pattern or its `to` is none"),
        ("[[rule]]\nname = 'x'\nrename = {pattern='a', to='\\7'}", "rename.pattern or its `to` is none"),
        ("[[rule]]\nname = 'x'\ndrop = ''", "drop must be text"),
        ("[[rule]]\nname = 'x'\ndorp = 'a'", "'drop' is meant?"),
        ("[[rule]]\nname = 'x'\nset_hyper_parameter = {name='d', value=[2020-01-01]}", "holds a date or a time"),
        ("[[rule]]\nname = 'x'\ndrop = 'a'\n[[rule]]\nname = 'x'\ndrop = 'b'", "two rules are called 'x'"),
        ("[[rule", "cannot be read as rules"),
    ],
)
def test_rows_that_are_none(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "rules.toml").write_text(text)
    with pytest.raises(CheckpointError) as caught:
        load(tmp_path / "rules.toml")
    assert told in str(caught.value) and str(tmp_path / "rules.toml") in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="cannot be read as rules"):
        load(tmp_path / "none.toml")
