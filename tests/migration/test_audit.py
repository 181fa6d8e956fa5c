"""The plan's questions, answered from the tree: each answer with the places it rests on."""

from __future__ import annotations

from typing import Any

from migration.audit import audit
from migration.plan import Plan
from tests.migration.support import overlay, plan_of

PLAN = plan_of(
    {"kind": "remove-duplicate", "duplicate": "jake/train.py", "canonical": "training/train.py"},
    {"kind": "move-module", "source": "models/old/core.py", "target": "models/attic/core.py"},
    {"kind": "extract-symbols", "source": "training/train.py", "target": "training/model.py", "symbols": ["Model"]},
)
TREE = {
    "training/train.py": "class Model: ...\n",
    "jake/train.py": "class Model: ...\n",
    "models/__init__.py": "",
    "models/old/__init__.py": "",
    "models/old/core.py": "class Core: ...\n",
}


def answers(more: dict[str, str], plan: Plan = PLAN) -> dict[str, dict[str, Any]]:
    """The five answers under a word of their question each."""
    found = audit(overlay(TREE | more), plan)
    words = ("modules", "checkpoints", "directory", "compatibility", "simultaneously")
    assert len(found) == 5
    return {word: next(a for a in found if word in a["question"]) for word in words}


def places(answer: dict[str, Any]) -> list[tuple[str, int | None]]:
    return [(e["path"], e["line"]) for e in answer["evidence"]]


def test_importers_of_the_old_modules_absolute_relative_and_inside_functions() -> None:
    files = {
        "a.py": "\nfrom models.old.core import Core\n",
        "models/b.py": "from .old import core\n",
        "c.py": "def f():\n    import models.old.core as c\n",
        "d.py": "text = 'models.old.core'\n",
    }
    assert set(places(answers(files)["modules"])) >= {("a.py", 2), ("c.py", 2)}
    assert ("d.py", 1) not in places(answers(files)["modules"])


def test_a_module_of_the_same_name_elsewhere_is_told_apart() -> None:
    found = answers({"a.py": "from Other.models.old.core import Core\n"})["modules"]
    assert found["answer"].startswith("0 import(s)")
    assert "1 of a module of the same name in another package" in found["answer"]


def test_an_installed_package_is_not_the_folder_beside_a_module() -> None:
    plan = plan_of(
        {"kind": "remove-duplicate", "duplicate": "jake/train.py", "canonical": "training/train.py"},
        {
            "kind": "deprecate-package",
            "package": "models/lightning",
            "moved_to": "models/attic",
            "names": ["X"],
            "message": "old",
            "replacement": "training.lightning",
        },
    )
    files = {
        "models/lightning/__init__.py": "X = 1\n",
        "models/use.py": "import lightning\n",
        "a.py": "import models.lightning\n",
    }
    assert places(answers(files, plan)["modules"]) == [("a.py", 1)]


def test_a_file_that_does_not_parse_is_named_and_not_counted() -> None:
    found = answers({"broken.py": "import models.old.core\ndef (:\n"})["modules"]
    assert found["answer"].startswith("0 import(s)")
    assert "1 file(s) that name one of them do not parse" in found["answer"]
    assert places(found) == [("broken.py", None)]


def test_checkpoints_lying_about() -> None:
    found = answers({"runs/last.ckpt": "0123456789", "x.pt": ""})["checkpoints"]
    assert found["answer"] == "2 checkpoint file(s) in this tree"
    assert {"path": "runs/last.ckpt", "line": None, "text": "10 bytes"} in found["evidence"]


def test_no_checkpoints_says_what_is_not_seen() -> None:
    assert "outside the repository is not seen" in answers({})["checkpoints"]["answer"]


def test_what_is_still_needed_in_a_folder_that_is_emptied() -> None:
    found = answers({"jake/tools.py": "", "use.py": "from jake.tools import x\n"})["directory"]
    assert found["answer"] == "Yes: 1 file(s) stay, 1 import(s) from outside it, 0 among themselves"
    assert places(found) == [("use.py", 1)]


def test_a_folder_with_nothing_else_is_not_needed() -> None:
    assert answers({})["directory"]["answer"] == "No: nothing else is in it"


def test_callers_of_the_entry_points_each_line_once() -> None:
    files = {"run.sh": "#!/bin/sh\npython training/train.py\n# python training/train.py\ncat training/train.py\n"}
    found = answers(files)["simultaneously"]
    assert places(found) == [("run.sh", 2), ("run.sh", 3)]
    assert found["answer"].startswith("2 call(s) of the old entry points")


def test_nothing_relies_on_the_old_names() -> None:
    assert answers({})["compatibility"]["answer"] == "Nothing in this tree relies on the old names; they may go"


def test_a_checkpoint_is_a_reason_to_keep_them() -> None:
    assert answers({"a.ckpt": ""})["compatibility"]["answer"].startswith("Keep it: 1 place(s)")
