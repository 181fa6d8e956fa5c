"""Every importer found before still resolves: however it imports, whoever runs it, whatever it is written in."""

from __future__ import annotations

import json

import pytest

from migration.gates import Check
from tests.migration.gates.checks import check_of, failing_of_all, fatal, moved, verdict

GATE = "importers-resolve"
OLD = "class A:\n    pass\n\n\nclass B:\n    pass\n"
B_LEFT, A_MOVED = "class B:\n    pass\n", "class A:\n    pass\n"
STEP = {"kind": "extract-symbols", "source": "pkg/old.py", "target": "pkg/new.py", "symbols": ["A"]}


def extraction(files: dict[str, str], edits: dict[str, str | None] | None = None) -> Check:
    """`A` moved from pkg/old.py to pkg/new.py, and nothing was left behind for those who import it."""
    before = {"pkg/__init__.py": "", "pkg/old.py": OLD, **files}
    return check_of(
        before,
        {"pkg/old.py": B_LEFT, "pkg/new.py": A_MOVED, **(edits or {})},
        moved("pkg/old.py", "pkg/new.py", "A"),
        [STEP],
    )


def notebook(*cells: str) -> str:
    content = [
        {"cell_type": "code", "execution_count": None, "id": f"c{i}", "metadata": {}, "outputs": [], "source": [c]}
        for i, c in enumerate(cells)
    ]
    return json.dumps({"cells": content, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}, indent=1)


def test_only_this_gate_sees_an_importer_that_was_forgotten() -> None:
    check = extraction({"use.py": "from pkg.old import A\nA()\n"})
    assert failing_of_all(check) == {GATE}
    (message,) = fatal(check, GATE)
    assert message.startswith(
        "use.py:1: `from pkg.old import A` worked before, and does not now: ImportError: cannot import name 'A'"
    )


def test_one_that_was_pointed_at_the_new_home_holds() -> None:
    check = extraction({"use.py": "from pkg.old import A\nA()\n"}, {"use.py": "from pkg.new import A\nA()\n"})
    assert failing_of_all(check) == set()


FORGOTTEN = [
    ("use.py", "from pkg.old import B, A\n"),
    ("use.py", "def f():\n    from pkg.old import A\n    return A\n"),
    ("use.py", "import pkg.old\n\n\ndef f():\n    return pkg.old.A\n"),
    ("use.py", "from pkg import old as o\nprint(o.A)\n"),
    ("pkg/use.py", "from .old import A\n"),
    ("pkg/sub/use.py", "from ..old import A\n"),
    ("pkg/sub/use.py", "from ... import x\n\n\ndef f():\n    from ..old import A\n"),
    ("tools/use.py", "import sys\nsys.path.insert(0, 'pkg')\nfrom old import A\n"),
    ("use.ipynb", notebook("import os", "from pkg.old import A")),
    ("use.py", "import time\nfrom pkg.old import A\nwhile True:\n    time.sleep(1)\n"),
]


@pytest.mark.parametrize(("path", "text"), FORGOTTEN)
def test_however_it_is_imported(path: str, text: str) -> None:
    files = {path: text, "pkg/sub/__init__.py": ""}
    home = "new" if path.startswith("tools/") else "pkg.new"
    assert fatal(extraction(files), GATE)
    assert not fatal(extraction(files, {"pkg/old.py": f"from {home} import A as A\n" + B_LEFT}), GATE)


@pytest.mark.parametrize(
    "text",
    [
        "from pkg.old import B\n",
        "import pkg.old\nprint(pkg.old.B)\n",
        "from other import A\n",
        "import numpy as np\nnp.A\n",
    ],
)
def test_what_did_not_ask_for_the_moved_name(text: str) -> None:
    assert not verdict(extraction({"use.py": text, "other.py": A_MOVED}), GATE)


def test_a_neighbour_in_a_scripts_folder() -> None:
    before = {"jake/train.py": OLD, "jake/look.py": "from train import A\nA()\n", "training/__init__.py": ""}
    step = {"kind": "move-module", "source": "jake/train.py", "target": "training/train.py"}
    edits = {"jake/train.py": None, "training/train.py": OLD}
    rooted = "import sys\nfrom pathlib import Path\nsys.path.insert(1, str(Path(__file__).resolve().parents[1]))\nfrom training.train import A\nA()\n"
    assert fatal(check_of(before, edits, steps=[step]), GATE)
    assert fatal(check_of(before, {**edits, "jake/look.py": "from training.train import A\nA()\n"}, steps=[step]), GATE)
    assert not fatal(check_of(before, {**edits, "jake/look.py": rooted}, steps=[step]), GATE)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("conf.yaml", "_target_: pkg.old.A\n"),
        ("conf.toml", "target = 'pkg.old:A'\n"),
        ("conf.json", '{"target": "pkg.old.A"}\n'),
        ("use.py", "TARGET = 'pkg.old.A'\n"),
    ],
)
def test_dotted_names(path: str, text: str) -> None:
    (message,) = fatal(extraction({path: text}), GATE)
    assert message.startswith(f"{path}:1: the dotted name 'pkg.old")
    assert not fatal(extraction({path: text}, {path: text.replace("old", "new")}), GATE)


def test_a_dotted_name_that_the_migration_wrote_has_to_mean_something() -> None:
    wrong = extraction({"conf.yaml": "_target_: pkg.old.A\n"}, {"conf.yaml": "_target_: pkg.new.Aa\n"})
    assert "was put there and does not resolve" in fatal(wrong, GATE)[0]


def test_what_did_not_resolve_before_is_a_warning() -> None:
    (failure,) = verdict(extraction({"use.py": "from pkg.old import C\n"}), GATE)
    assert not failure.fatal and "did not resolve before either" in failure.message


def test_an_import_inside_a_definition_that_moved() -> None:
    before = {
        "pkg/__init__.py": "",
        "pkg/help.py": "h = 1\n",
        "pkg/old.py": "class A:\n    def f(self):\n        from .help import h\n        return h\n",
    }
    step = {**STEP, "target": "lib/new.py"}
    bad, good = before["pkg/old.py"], before["pkg/old.py"].replace("from .help", "from pkg.help")
    edits = {"pkg/old.py": "from lib.new import A as A\n", "lib/__init__.py": ""}
    outcomes = moved("pkg/old.py", "lib/new.py", "A")
    assert fatal(check_of(before, {**edits, "lib/new.py": bad}, outcomes, [step]), GATE)
    assert not fatal(check_of(before, {**edits, "lib/new.py": good}, outcomes, [step]), GATE)


def test_importers_do_their_work_only_when_run() -> None:
    work = "from pkg.old import A\nopen('result.txt', 'w').write('x')\nraise SystemExit(1)\n"
    check = extraction({"use.py": work}, {"use.py": work.replace("old", "new")})
    assert not verdict(check, GATE)
    assert not (check.before.root / "result.txt").exists()


def test_a_file_that_does_not_parse_is_no_hindrance() -> None:
    check = extraction({"broken.py": "from pkg.old import A\ndef (:\n", "use.py": "from pkg.old import A\n"})
    assert [m.partition(":")[0] for m in fatal(check, GATE)] == ["use.py"]


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_line_endings_and_marks(newline: str) -> None:
    text = "\ufeff# π\nfrom pkg.old import A\n".replace("\n", newline)
    assert fatal(extraction({"use.py": text}), GATE)
    assert not fatal(extraction({"use.py": text}, {"use.py": text.replace("old", "new")}), GATE)
