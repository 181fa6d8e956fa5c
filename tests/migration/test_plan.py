"""A wrong plan is told before anything is read, with the file, the step, the field and the nearest spelling."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from migration.engine import rehearse
from migration.errors import BadInput
from migration.plan import KINDS, load_plan, parse_plan
from tests.migration.support import overlay

MOVE = {"id": "1", "title": "t", "kind": "move-module", "source": "a.py", "target": "b.py"}
STEP = {"id": "1", "title": "t"}
EXTRACT = {"id": "1", "title": "t", "kind": "extract-symbols", "source": "a.py", "target": "b.py", "symbols": ["f"]}
DUPLICATE = {"id": "2", "title": "t", "kind": "remove-duplicate", "duplicate": "a.py", "canonical": "c.py"}


def plan(*steps: dict[str, Any], **top: Any) -> dict[str, Any]:
    return {"schema": 1, "name": "n", "title": "t", "step": list(steps), **top}


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (plan({**MOVE, "kind": "move-modul"}), r"p.toml: step '1': unknown kind 'move-modul'"),
        (
            plan({k: v for k, v in MOVE.items() if k != "kind"}),
            "field 'kind' is missing; expected one of extract-symbols",
        ),
        (plan({**MOVE, "sorce": "x"}), "step '1': unknown field 'sorce' .did you mean 'source'"),
        (plan({k: v for k, v in MOVE.items() if k != "target"}), "step '1': field 'target' is missing"),
        (plan({**EXTRACT, "symbols": "f"}), "step '1': field 'symbols': Input should be a valid list, found 'f'"),
        (plan({**EXTRACT, "symbols": []}), "field 'symbols'"),
        (plan({**MOVE, "risk": "huge"}), "field 'risk'"),
        (plan({**MOVE, "target": "a.py"}), "fields 'source' and 'target' are both 'a.py'"),
        (plan({**MOVE, "target": "../b.py"}), "must be relative to the repository and stay inside it"),
        (plan({**MOVE, "target": "/b.py"}), "must be relative"),
        (plan({**EXTRACT, "target": "b.txt"}), "'b.txt' is not a .py file"),
        (plan({**EXTRACT, "symbols": ["f", "f"]}), "lists 'f' twice"),
        (plan({**EXTRACT, "expect_lines": {"g": [1, 2]}}), "'expect_lines' names 'g', which is not in 'symbols'"),
        (plan(MOVE, MOVE), "two steps have this id"),
        (plan(EXTRACT, {**EXTRACT, "id": "2", "target": "c.py"}), "steps '1' and '2' both move 'f' out of a.py"),
        (plan(EXTRACT, DUPLICATE), "steps '1' and '2' fight over a.py"),
        (plan(MOVE, {**EXTRACT, "id": "2"}), "fight over"),
        (plan(MOVE, schema=2), "field 'schema'"),
        (plan(MOVE, sceptre=1), "unknown field 'sceptre'"),
        (plan(MOVE, digest="x"), "unknown field 'digest'"),
        (plan(MOVE, python={"root": ["."]}), "unknown field 'python.root' .did you mean 'roots'"),
        (plan(), "field 'step'"),
        (
            plan({**MOVE, "target": "__pycache__/b.py"}),
            "step '1': field 'target': __pycache__/ is not part of the tree",
        ),
        (plan({**EXTRACT, "target": ".git/b.py"}), "step '1': field 'target': .git/ is not part of the tree"),
        (
            plan({**EXTRACT, "target": "my-parts/b.py"}),
            "step '1': field 'target': 'my-parts/b.py' cannot be imported from the roots",
        ),
        (
            plan({**EXTRACT, "target": "class/b.py"}),
            "step '1': field 'target': 'class/b.py' cannot be imported from the roots",
        ),
        (
            plan(EXTRACT, python={"roots": ["src"]}),
            "step '1': field 'target': 'b.py' cannot be imported from the roots src",
        ),
        (plan(EXTRACT, python={"roots": []}), "field 'python.roots'"),
        (
            plan({**STEP, "kind": "entry-point", "file": "a.py", "max_lines": True, "symbols_left": []}),
            "field 'max_lines'",
        ),
        (
            plan({**STEP, "kind": "unify-import", "from": "a b", "to": "c"}),
            "field 'from': expected the name of a package",
        ),
        (
            plan({**STEP, "kind": "unify-import", "from": "a", "to": "class"}),
            "field 'to': expected the name of a package",
        ),
        ({"schema": 1, "name": "n", "title": "t", "step": ["x"]}, "p.toml"),
    ],
)
def test_a_wrong_plan_gets_a_sentence(data: dict[str, Any], sentence: str) -> None:
    with pytest.raises(BadInput, match=sentence) as caught:
        parse_plan(data, "p.toml")
    assert str(caught.value).startswith("p.toml")


def test_a_file_that_is_not_toml_gets_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "p.toml").write_text("schema = = 1")
    with pytest.raises(BadInput, match=r"p\.toml: not a TOML file .*line 1"):
        load_plan(str(tmp_path / "p.toml"))
    (tmp_path / "q.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(BadInput, match="not a TOML file"):
        load_plan(str(tmp_path / "q.toml"))


def test_a_byte_order_mark_is_no_part_of_the_plan(tmp_path: Path) -> None:
    text = (
        'schema = 1\nname = "n"\ntitle = "t"\n[[step]]\nid = "1"\ntitle = "t"\nkind = "create-package"\npackage = "a"\n'
    )
    (tmp_path / "p.toml").write_text(text, encoding="utf-8-sig")
    assert load_plan(str(tmp_path / "p.toml")).name == "n"


def test_a_root_that_is_not_there_is_told() -> None:
    with pytest.raises(BadInput, match=r"p\.toml: field 'python\.roots': 'nope' is no folder with files"):
        rehearse(overlay({"a.py": ""}), parse_plan(plan(MOVE, python={"roots": [".", "nope"]}), "p.toml"))
    made = parse_plan(plan({**MOVE, "target": "src/b.py"}, python={"roots": [".", "src"]}), "p.toml")
    assert rehearse(overlay({"a.py": ""}), made).after.exists("src/b.py")


def test_a_target_with_something_in_its_way_is_told_before_anything_is_written() -> None:
    tree = overlay({"a.py": "", "real/x.py": "", "file": "", "b.py/x": ""})
    (tree.root / "link").symlink_to("real")
    for target, why in [
        ("link/b.py", "link is a symbolic link"),
        ("file/b.py", "file is a file, a folder was expected"),
        ("b.py", "is a folder, a file was expected"),
    ]:
        with pytest.raises(BadInput, match=f"p.toml: step '1': field 'target': {target}: {why}"):
            rehearse(tree, parse_plan(plan({**MOVE, "target": target}), "p.toml"))


def test_an_unknown_plan_names_the_shipped_ones() -> None:
    with pytest.raises(
        BadInput, match=r"neither a file nor one of the shipped plans \(.*visioncore.*\) .did you mean 'visioncore'"
    ):
        load_plan("visioncor")


def test_the_shipped_plan_has_every_step_of_the_action_plan() -> None:
    ids = {step.id for step in load_plan("visioncore").step}
    assert {
        "1.1",
        "1.2",
        "1.3",
        "1.4",
        "1.5",
        "2.1",
        "2.2",
        "2.3",
        "2.4",
        "3.1",
        "3.2",
        "3.3",
        "3.4",
        "3.5",
        "3.6",
        "3.7",
    } <= ids
    assert {step.kind for step in load_plan("visioncore").step} == set(KINDS)


def test_only_and_through_select_in_plan_order() -> None:
    shipped = load_plan("visioncore")
    assert [s.id for s in shipped.select(only=["3.5", "1.3"]).step] == ["1.3", "3.5"]
    assert [s.id for s in shipped.select(through="1.2").step] == ["1.1", "1.2"]
    with pytest.raises(BadInput, match=r"no step '3\.55' .did you mean '3\.5'"):
        shipped.select(only=["3.55"])
    with pytest.raises(BadInput, match="leave no step"):
        shipped.select(only=["3.5"], through="1.2")


def test_a_folder_of_the_name_of_a_shipped_plan_is_not_the_plan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "visioncore").mkdir()
    monkeypatch.chdir(tmp_path)
    assert load_plan("visioncore").name == "visioncore"
