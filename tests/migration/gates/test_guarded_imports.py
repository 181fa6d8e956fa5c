"""Guarded imports resolve from their new home; the fallback is not taken in silence."""

from __future__ import annotations

import ast

import pytest

from migration.analysis.source import Source
from migration.gates import Check
from migration.gates.guarded_imports import guards_of
from tests.migration.gates.checks import check_of, failing_of_all, fatal, moved

GATE = "guarded-imports"
REG = "def make():\n    return [1]\n"
GUARDED = "try:\n    from regularizers import make\nexcept ImportError as e:\n    print(e)\n\n    def make():\n        return []\n\n\n"
CLASS = "class Model:\n    def terms(self):\n        return make()\n\n\n"
SCRIPT = "#!/usr/bin/env python\n" + GUARDED + CLASS + "if __name__ == '__main__':\n    print(Model().terms())\n"
TARGET = "training/parts/model.py"
ROOT = "import sys\nfrom pathlib import Path\nsys.path.insert(1, str(Path(__file__).resolve().parents[1]))\n"
SHORT = f"#!/usr/bin/env python\n{ROOT}from training.parts.model import Model\n\n\nif __name__ == '__main__':\n    print(Model().terms())\n"


def extracted(target: str, script: str = SCRIPT, left: str = SHORT, **files: str) -> Check:
    step = {"kind": "extract-symbols", "source": "training/train.py", "target": TARGET, "symbols": ["Model"]}
    before = {"training/train.py": script, "training/regularizers.py": REG}
    edits = {"training/train.py": left, TARGET: target, "training/parts/__init__.py": "", **files}
    return check_of(before, edits, moved("training/train.py", TARGET, "Model"), [step])


def test_only_this_gate_sees_a_guard_that_falls_back_in_silence() -> None:
    check = extracted(GUARDED + CLASS.rstrip() + "\n")
    assert failing_of_all(check) == {GATE}
    (message,) = fatal(check, GATE)
    assert message.startswith(
        f"{TARGET}:2: `from regularizers import make` does not resolve, and the fallback takes over"
    )
    assert "it was training/regularizers.py; import it by its full name, training.regularizers" in message


@pytest.mark.parametrize("spelling", ["from training.regularizers import make", "from ..regularizers import make"])
def test_a_guard_that_was_pointed_at_the_full_name_holds(spelling: str) -> None:
    good = GUARDED.replace("from regularizers import make", spelling) + CLASS.rstrip() + "\n"
    assert failing_of_all(extracted(good)) == set()


def test_a_name_that_the_module_does_not_have_is_no_better() -> None:
    wrong = GUARDED.replace("from regularizers import make", "from training.regularizers import build as make")
    assert fatal(extracted(wrong + CLASS), GATE)


@pytest.mark.parametrize("caught", ["ImportError", "ModuleNotFoundError", "Exception", "(KeyError, ImportError)", ""])
def test_whatever_catches_it(caught: str) -> None:
    guard = f"try:\n    from regularizers import make\nexcept {caught}:\n    make = list\n\n\n"
    assert fatal(extracted(guard + CLASS, guard.join(["#!x\n", CLASS])), GATE)


def test_a_suppressed_import_counts() -> None:
    guard = "import contextlib\nmake = list\nwith contextlib.suppress(ImportError):\n    from regularizers import make\n\n\n"
    assert fatal(extracted(guard + CLASS, "#!x\n" + guard + CLASS), GATE)


@pytest.mark.parametrize("caught", ["KeyError", "(KeyError, ValueError)"])
def test_an_import_that_nobody_catches_is_left_to_others(caught: str) -> None:
    guard = f"try:\n    from regularizers import make\nexcept {caught}:\n    make = list\n\n\n"
    assert not fatal(extracted(guard + CLASS, "#!x\n" + guard + CLASS), GATE)


def test_one_inside_a_function_that_moved() -> None:
    body = "class Model:\n    def terms(self):\n        try:\n            from regularizers import make\n        except ImportError:\n            return []\n        return make()\n"
    (message,) = fatal(extracted(body, "#!x\n" + body), GATE)
    assert message.startswith(f"{TARGET}:4: ")


def test_a_fallback_that_finds_the_same_module_is_enough() -> None:
    both = GUARDED.replace(
        "    print(e)\n\n    def make():\n        return []\n", "    from training.regularizers import make\n"
    )
    assert not fatal(extracted(both + CLASS, "#!x\n" + both + CLASS), GATE)


def test_a_fallback_that_finds_another_module_is_not() -> None:
    other = GUARDED.replace(
        "    print(e)\n\n    def make():\n        return []\n", "    from training.dummies import make\n"
    )
    assert fatal(extracted(other + CLASS, **{"training/dummies.py": REG}), GATE)


def test_the_guard_that_stays_in_the_source() -> None:
    root_first = "import sys, pathlib\nsys.path[0] = str(pathlib.Path(__file__).parents[1])\n"
    left = "#!/usr/bin/env python\n" + root_first + GUARDED + SHORT.partition("\n")[2]
    good = GUARDED.replace("from reg", "from training.reg") + CLASS
    (message,) = fatal(extracted(good, left=left), GATE)
    assert message.startswith("training/train.py:5: ")
    assert not fatal(extracted(good, left=left.replace("from reg", "from training.reg")), GATE)


@pytest.mark.parametrize("name", ["torch_xla", "tensorrt.plugins"])
def test_packages_that_may_be_missing_are_not_the_trees(name: str) -> None:
    guard = GUARDED.replace("regularizers", name)
    assert not fatal(extracted(guard + CLASS, "#!x\n" + guard + CLASS), GATE)


def test_what_fell_back_before_may_fall_back_now() -> None:
    guard = GUARDED.replace("from regularizers import make", "from training.regularizers import built as make")
    assert not fatal(extracted(guard + CLASS, "#!x\n" + guard + CLASS), GATE)


def test_a_module_that_moved_whole() -> None:
    step = {"kind": "move-module", "source": "a/old.py", "target": "a/b/new.py"}
    before = {"a/old.py": GUARDED.replace("from reg", "from .reg"), "a/regularizers.py": REG, "a/__init__.py": ""}
    edits = {"a/old.py": None, "a/b/__init__.py": ""}
    assert fatal(check_of(before, {**edits, "a/b/new.py": before["a/old.py"]}, steps=[step]), GATE)
    good = before["a/old.py"].replace("from .reg", "from ..reg")
    assert not fatal(check_of(before, {**edits, "a/b/new.py": good}, steps=[step]), GATE)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("try:\n    import a\nexcept ImportError:\n    import b\n", [("a", "b")]),
        ("try:\n    if x:\n        import a\nexcept:\n    pass\n", [("a", "")]),
        ("try:\n    pass\nexcept ImportError:\n    import b\nelse:\n    import c\nfinally:\n    import d\n", []),
        ("try:\n    def f():\n        import a\nexcept ImportError:\n    pass\n", []),
        ("try:\n    class A:\n        import a\nexcept builtins.ImportError:\n    pass\n", [("a", "")]),
        (
            "try:\n    try:\n        import a\n    except ImportError:\n        import b\nexcept ImportError:\n    import c\n",
            [("a", "b"), ("b", "c")],
        ),
        ("try:\n    import a\nexcept* ImportError:\n    pass\n", [("a", "")]),
        ("try:\n    import a\nfinally:\n    import b\n", []),
        ("if find_spec('a'):\n    import a\n", []),
    ],
)
def test_what_is_guarded(text: str, found: list[tuple[str, str]]) -> None:
    def name(node: ast.Import | ast.ImportFrom) -> str:
        return node.names[0].name

    guards = list(guards_of(Source("a.py", text.encode())))
    assert [(name(g.first.node), "".join(name(f.node) for f in g.fallbacks)) for g in guards] == found
