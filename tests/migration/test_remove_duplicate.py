"""remove-duplicate: a copy goes only where nothing is lost by it, and nobody is left calling it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from migration.codemods import Finding, Outcome
from migration.engine import rehearse
from migration.errors import BadInput, DecisionNeeded
from migration.tree import Overlay
from tests.migration.support import overlay, plan_of, run, write_tree

OURS, THEIRS = "training/train.py", "jake/train.py"
STEP: dict[str, Any] = {"kind": "remove-duplicate", "duplicate": THEIRS, "canonical": OURS}
CLASS = "class A:\n    def f(self):\n        return 1\n\n    def g(self):\n        return 2\n"


def removed(
    ours: str | bytes, theirs: str | bytes, more: dict[str, str | bytes] | None = None, **step: Any
) -> tuple[Overlay, Outcome]:
    """The tree after the step; where the duplicate is gone, a second run has nothing to do."""
    tree = overlay({OURS: ours, THEIRS: theirs, **(more or {})})
    plan = plan_of({**STEP, **step})
    outcome = run(tree, plan)["1"]
    once = dict(tree.edits)
    again = run(tree, plan)["1"]
    assert tree.edits == once
    assert again.status == ("kept" if tree.exists(THEIRS) else "already done")
    return tree, outcome


def of_level(outcome: Outcome, level: str) -> list[Finding]:
    return [f for f in outcome.findings if f.level == level]


# -- what stands in the way ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ours", "theirs", "notes"),
    [
        (CLASS, CLASS, []),
        (CLASS, CLASS.replace("return 2", "return (2)"), ["A.g differs in comments, formatting or the name of a local variable only"]),
        (
            "def f():\n    alpha = 1\n    return alpha\n",
            "def f():\n    α = 1\n    return α\n",
            ["f differs in comments, formatting or the name of a local variable only (α is called alpha)"],
        ),
        ("from models.losses import L\n", "from DataYatesV1.models.losses import L\n", ["import of L is imported from another place"]),
        ("import os\n", "import os\nimport sys\n", []),
        (CLASS + "X = 1\n", CLASS, []),
    ],
)  # fmt: skip
def test_a_copy_in_all_that_matters_goes(ours: str, theirs: str, notes: list[str]) -> None:
    tree, outcome = removed(ours, theirs)
    assert not tree.exists(THEIRS)
    assert (tree.read(OURS).decode(), outcome.status) == (ours, "done")
    assert [f.message for f in of_level(outcome, "note")] == notes


DIVERGED = CLASS.replace("return 2", "return drop_nan(2)")


def test_a_copy_that_differs_needs_a_decision_and_shows_both_versions() -> None:
    tree, outcome = removed(CLASS, DIVERGED)
    assert tree.edits == {}
    (decision,) = of_level(outcome, "decision")
    assert (decision.path, decision.line) == (THEIRS, 5)
    assert (decision.before, decision.after) == (
        "def g(self):\n        return 2",
        "def g(self):\n        return drop_nan(2)",
    )
    assert decision.message == (
        f"A.g differs from {OURS}:5. To take it over write adopt = [\"A.g\"] in step '1'; "
        'else on_divergence = "keep" or "discard"'
    )


def test_a_decision_is_exit_status_3() -> None:
    rehearsed = rehearse(overlay({OURS: CLASS, THEIRS: DIVERGED}), plan_of(STEP))
    with pytest.raises(DecisionNeeded, match=r"1 decision\(s\) needed, the tree is unchanged.*A\.g differs") as error:
        rehearsed.settle()
    assert error.value.status == 3


@pytest.mark.parametrize(
    ("ours", "theirs", "name", "advice"),
    [
        (CLASS, CLASS + "\n\ndef extra():\n    return 3\n", "extra is only in the duplicate", 'adopt = ["extra"]'),
        (CLASS, CLASS + "\n    def h(self):\n        return 3\n", "A.h is only in the duplicate", 'adopt = ["A.h"]'),
        ("X = 1\n", "X = 2\n", "X differs", 'adopt = ["X"]'),
        ("go(1)\n", "go(2)\n", "statement go(2) is only in the duplicate", "bring them together by hand"),
        ("X, Y = 1, 2\n", "X, Y = 1, 3\n", "X, Y differs", 'adopt = ["X, Y"]'),
        ("try:\n    import a\nexcept E:\n    a = 1\n", "try:\n    import a\nexcept E:\n    a = 2\n", "a differs", "by hand"),
        ("def f(: 1\n", "def f(: 2\n", "line 1 differs", "by hand"),
    ],
)  # fmt: skip
def test_each_decision_says_what_can_be_done(ours: str, theirs: str, name: str, advice: str) -> None:
    _, outcome = removed(ours, theirs)
    (decision,) = of_level(outcome, "decision")
    assert decision.message.startswith(name)
    assert advice in decision.message


def test_the_plan_may_keep_the_copy() -> None:
    tree, outcome = removed(CLASS, DIVERGED, on_divergence="keep")
    assert tree.edits == {}
    assert (outcome.status, outcome.summary) == ("kept", f"{THEIRS} stays: it differs in A.g")
    assert of_level(outcome, "decision") == []


def test_the_plan_may_discard_the_difference_and_sees_it_as_a_change_of_behaviour() -> None:
    tree, outcome = removed(CLASS, DIVERGED, on_divergence="discard")
    assert tree.edits == {THEIRS: None}
    assert [f.message for f in of_level(outcome, "behaviour")] == ["A.g: the duplicate's version is discarded"]


@pytest.mark.parametrize("divergence", ["stop", "keep", "discard"])
def test_without_a_canonical_file_the_copy_stays(divergence: str) -> None:
    tree = overlay({THEIRS: CLASS, "jake/use.py": "from train import A\n"})
    outcome = run(tree, plan_of({**STEP, "on_divergence": divergence}))["1"]
    assert (tree.edits, outcome.status) == ({}, "kept")
    assert outcome.summary == f"{THEIRS} stays: {OURS}, which should replace it, is not there"


def test_a_copy_that_is_gone_is_already_done() -> None:
    tree = overlay({OURS: CLASS})
    assert run(tree, plan_of({**STEP, "adopt": ["A.g"]}))["1"].status == "already done"
    assert tree.edits == {}


def test_where_neither_file_is_there_nothing_is_to_do() -> None:
    outcome = run(overlay({"a.py": ""}), plan_of(STEP))["1"]
    assert (outcome.status, outcome.summary) == ("nothing to do", "neither file is there")


def test_a_copy_that_somebody_deleted_may_still_be_needed_at_its_old_place() -> None:
    tree = overlay({OURS: CLASS, "jake/use.py": "from train import A\n", "jake/run.sh": "python train.py\n"})
    outcome = run(tree, plan_of(STEP))["1"]
    assert outcome.status == "done"
    assert tree.read("jake/use.py").endswith(b"from training.train import A\n")
    assert tree.read("jake/run.sh") == b"python ../training/train.py\n"
    assert run(tree, plan_of(STEP))["1"].status == "already done"


def test_comments_that_stand_only_in_the_copy_are_shown_before_they_go() -> None:
    _, outcome = removed(CLASS, "# Jake's.\n# Look here.\n" + CLASS)
    assert outcome.removed_comments == ["# Jake's.", "# Look here."]
    assert [f.message for f in of_level(outcome, "note")] == [
        "2 comment line(s) stand only in the duplicate and go with it, lines 1–2"
    ]


def test_equal_files_go_whatever_they_are() -> None:
    for text in ("def (\n", "# é\n'''"):
        assert removed(text, text)[0].edits == {THEIRS: None}


# -- adopting --------------------------------------------------------------------------------------------------------------


def adopted(ours: str | bytes, theirs: str | bytes, *names: str) -> str:
    """The canonical file with `names` taken over, through every gate; the duplicate is gone."""
    plan = plan_of({**STEP, "adopt": list(names)})
    files: dict[str, str | bytes] = {OURS: ours, THEIRS: theirs}
    rehearsed = rehearse(overlay(files), plan)
    assert rehearsed.outcomes["1"].status == "done", rehearsed.decisions
    assert [f.message for v in rehearsed.failed for f in v.failures if f.fatal] == []
    assert not rehearsed.after.exists(THEIRS)
    assert {f.level for f in rehearsed.outcomes["1"].findings} >= {"behaviour"}
    return rehearsed.after.read(OURS).decode()


def test_an_adopted_method_takes_the_place_of_the_other() -> None:
    ours = "# Top.\n" + CLASS + "\n    def h(self): return 3  # three\n\n\nZ = 1\n"
    theirs = CLASS.replace("    def g(self):\n        return 2", '    @staticmethod\n    def g():\n        """Two."""\n        return len("2")  # zwei')  # fmt: skip
    assert adopted(ours, theirs, "A.g") == ours.replace(CLASS, theirs)


@pytest.mark.parametrize(
    ("ours", "theirs", "name", "after"),
    [
        ("def f(): return 1", "def f(): return 2\n", "f", "def f(): return 2\n"),
        ("def f(): return 1\nx = f()\n", "def f(): return 2", "f", "def f(): return 2\nx = f()\n"),
        ("X = 1  # why\nY = X\n", "X = 2  # why\nY = X\n", "X", "X = 2  # why\nY = X\n"),
        (CLASS, CLASS.replace("class A:", "class A:\n    n = 1\n"), "A", CLASS.replace("class A:", "class A:\n    n = 1\n")),
        ("class A:\n  def f(self): return 1", "class A:\n  def f(self): return 1\n\n  def g(self): return 2\n", "A.g", "class A:\n  def f(self): return 1\n\n  def g(self): return 2\n"),
        ("class A:\n  n = 1\n", "class A:\n  n = 1\n\n  def g(self): return 2\n", "A.g", "class A:\n  n = 1\n\n  def g(self): return 2\n"),
        ("def f(): return 1\n\n\nX = 1\n", "def f(): return 1\ndef g(): return 2\nX = 1\n", "g", "def f(): return 1\n\n\ndef g(): return 2\n\n\nX = 1\n"),
        ("X = 1\n\nif __name__ == '__main__':\n    print(X)\n", "def g(): return 2\n", "g", "X = 1\n\ndef g(): return 2\n\n\nif __name__ == '__main__':\n    print(X)\n"),
        ("", "def g(): return 2\n", "g", "def g(): return 2\n"),
    ],
)  # fmt: skip
def test_an_adopted_definition_finds_its_place(ours: str, theirs: str, name: str, after: str) -> None:
    assert adopted(ours, theirs, name) == after


def test_a_property_and_its_setter_are_adopted_one_by_one() -> None:
    ours = "class A:\n    @property\n    def x(self): return 1\n    @x.setter\n    def x(self, v): print(1)\n"
    assert adopted(ours, ours.replace("print(1)", "print(2)"), "A.x'") == ours.replace("print(1)", "print(2)")
    assert adopted(ours, ours.replace("return 1", "return 2"), "A.x") == ours.replace("return 1", "return 2")


def test_a_string_at_the_margin_does_not_get_in_the_way() -> None:
    theirs = CLASS.replace("return 2", 'return """\nleft\n"""')
    assert adopted(CLASS, theirs, "A.g") == theirs


def test_line_endings_and_byte_order_mark_stay_the_canonical_files_own() -> None:
    ours = ("\ufeff" + CLASS).replace("\n", "\r\n")
    assert adopted(ours.encode(), DIVERGED.replace("drop_nan", "abs"), "A.g") == ours.replace(
        "return 2", "return abs(2)"
    )


def test_a_comment_of_the_replaced_definition_is_named_as_gone() -> None:
    _, outcome = removed(CLASS.replace("return 2", "return 2  # two"), CLASS.replace("2", "3"), adopt=["A.g"])
    assert outcome.removed_comments == ["# two"]


def test_what_an_adopted_definition_needs_is_imported_where_it_is_needed() -> None:
    ours = "#!/usr/bin/env python\n'''Trains.'''\nfrom __future__ import annotations\n\n" + CLASS + "\n\nimport os\n"
    theirs = "import math as m, os\nfrom os import (sep,\n  path as p)\n" + CLASS.replace(
        "return 2", "return m.pi, p, os"
    )
    after = adopted(ours, theirs, "A.g")
    assert "import annotations\nimport math as m\nfrom os import path as p\n\nclass A" in after


def test_a_shebang_stays_first() -> None:
    ours = "#!/usr/bin/env python\ndef f(): return 1\n"
    after = adopted(ours, "import math\ndef f(): return math.pi\n", "f")
    assert after == "#!/usr/bin/env python\nimport math\ndef f(): return math.pi\n"


def test_an_import_of_the_copys_neighbour_reads_from_the_root() -> None:
    more: dict[str, str | bytes] = {"jake/near.py": "N = 1\n", "jake/rel.py": "R = 1\n"}
    theirs = "from near import N\nfrom .rel import R\ndef f(): return N, R\n"
    tree, _ = removed("def f(): return 1\n", theirs, more, adopt=["f"])
    assert tree.read(OURS) == b"from jake.near import N\nfrom jake.rel import R\ndef f(): return N, R\n"


def test_a_definition_may_lean_on_one_that_is_adopted_after_it() -> None:
    theirs = "def f(): return g()\n\n\ndef g(): return 2\n"
    assert adopted("def f(): return 1\n", theirs, "f", "g") == theirs


def test_what_is_the_same_already_is_not_adopted_again() -> None:
    tree, outcome = removed(CLASS, CLASS, adopt=["A.g"])
    assert tree.edits == {THEIRS: None}
    assert [f.message for f in outcome.findings] == ["A.g is the same in both files, nothing to adopt"]


def test_one_adopted_difference_leaves_the_others_to_decide() -> None:
    tree, outcome = removed(CLASS, CLASS.replace("return 1", "return 3").replace("return 2", "return 4"), adopt=["A.g"])
    assert tree.edits == {}
    assert [f.message.split()[0] for f in of_level(outcome, "decision")] == ["A.f"]


@pytest.mark.parametrize(
    ("ours", "theirs", "name", "sentence"),
    [
        (CLASS, DIVERGED, "A.h", r"step '1': field 'adopt': 'A\.h' is not defined in jake/train\.py \(did you mean 'A\.[fg]'\?\)"),
        (CLASS, CLASS.replace("class A", "class B"), "B.f", r"training/train\.py has no class 'B'"),
        (CLASS, "def helper(): ...\n\n\n" + DIVERGED.replace("drop_nan", "helper"), "A.g", r"leans on helper of the duplicate, .* adopt that too"),
        (CLASS, DIVERGED.replace("    ", "\t"), "A.g", "indented in jake/train.py in another way"),
        (CLASS, DIVERGED.replace("    ", "  ").replace("drop_nan", "abs"), "A.g", "indented in jake/train.py in another way"),
        ("class A:\n  def f(self):\n    return 1\n", CLASS, "A.g", "indented in jake/train.py in another way"),
        (CLASS, "def (\n", "A.g", "jake/train.py:1: does not parse .*can be adopted only between files that parse"),
    ],
)  # fmt: skip
def test_what_cannot_be_adopted_gets_a_sentence(ours: str, theirs: str, name: str, sentence: str) -> None:
    with pytest.raises(BadInput, match=sentence):
        removed(ours, theirs, adopt=[name])


# -- who used the copy -----------------------------------------------------------------------------------------------------


def test_importers_find_the_canonical_file(tmp_path: Path) -> None:
    more: dict[str, str | bytes] = {
        "jake/near.py": "def f():\n    from train import A\n    return A\nprint(f().__module__)\n",
        "far.py": "import jake.train as t\nprint(t.A.__module__)\n",
        "plain.py": "import jake.train\nprint(jake.train.A.__module__)\n",
        "jake/same.py": "from train import A as B\nprint(B.__module__)\n",
    }
    tree, _ = removed(CLASS, CLASS, more)
    root = write_tree(tmp_path, {path: tree.read(path) for path in tree.paths()})
    for script in more:
        done = subprocess.run([sys.executable, "-B", script], cwd=root, capture_output=True, text=True, check=False)
        assert (done.stdout, done.stderr) == ("training.train\n", ""), script


def test_notebooks_strings_and_configurations_follow() -> None:
    cell = {"cell_type": "code", "metadata": {}, "outputs": [], "source": ["%run x\n", "from jake.train import A\n"]}
    more: dict[str, str | bytes] = {
        "n.ipynb": json.dumps({"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}),
        "c.yaml": "_target_: jake.train.A\n",
        "s.py": "x = load('jake.train.A')\n",
    }
    tree, _ = removed(CLASS, CLASS, more)
    assert b"from training.train import A" in tree.read("n.ipynb")
    assert tree.read("c.yaml") == b"_target_: training.train.A\n"
    assert tree.read("s.py") == b"x = load('training.train.A')\n"


@pytest.mark.parametrize(
    ("path", "before", "after"),
    [
        ("run.sh", "python jake/train.py --a\n", "python training/train.py --a\n"),
        ("jake/run.sh", "python train.py\n", "python ../training/train.py\n"),
        ("jake/run.sh", "cd /x\n# python train.py\n", "cd /x\n# python ../training/train.py\n"),
        ("Makefile", "a:\n\tpython jake/train.py\n", "a:\n\tpython training/train.py\n"),
    ],
)
def test_callers_call_the_canonical_file(path: str, before: str, after: str) -> None:
    assert removed(CLASS, CLASS, {path: before})[0].read(path).decode() == after


def test_who_only_names_the_copy_is_left_and_noted() -> None:
    tree, outcome = removed(CLASS, CLASS, {"clean.sh": "rm -f jake/train.py\n"})
    assert "clean.sh" not in tree.edits
    assert [(f.level, f.path) for f in outcome.findings] == [("note", "clean.sh")]


def test_a_shell_script_may_be_a_copy_too() -> None:
    files = {"a/run.sh": "python t/x.py\n", "b/run.sh": "python x.py  # fast\n", "all.sh": "bash b/run.sh\n"}
    tree = overlay(dict(files))
    outcome = run(tree, plan_of({**STEP, "duplicate": "b/run.sh", "canonical": "a/run.sh"}))["1"]
    assert tree.edits == {"b/run.sh": None, "all.sh": b"bash a/run.sh\n"}
    assert outcome.removed_comments == ["# fast"]
