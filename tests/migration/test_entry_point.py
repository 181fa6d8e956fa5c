"""entry-point: the script runs from anywhere, shadows nothing, and is held to its size."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from migration.codemods import Outcome
from migration.errors import BadInput
from migration.tree import Overlay
from tests.migration.support import overlay, plan_of, run, write_tree

SCRIPT = "training/train.py"
STEP = {"kind": "entry-point", "file": SCRIPT, "max_lines": 100, "symbols_left": ["main"]}
# What is installed, what hides parts of it from the script's folder, and a neighbour that the script finds through that folder.
FILES: dict[str, str | bytes] = {
    "site/lightning.py": "who = 'installed'\n",
    "site/wandb.py": "who = 'installed'\n",
    "site/trainer.py": "import lightning, wandb\n",
    "training/lightning/__init__.py": "who = 'hidden'\n",
    "training/wandb.py": "who = 'hidden'\n",
    "training/losses.py": "LOSS = 'loss'\n",
    SCRIPT: "import trainer\nfrom losses import LOSS\n\n\ndef main():\n"
    "    print(trainer.lightning.who, trainer.wandb.who, LOSS)\n\n\nif __name__ == '__main__':\n    main()\n",
}


def entered(text: str | bytes, **step: object) -> str:
    """The script after the step, which a second time has nothing to do."""
    tree = overlay({SCRIPT: text})
    plan = plan_of({**STEP, **step})
    run(tree, plan)
    once = tree.read(SCRIPT)
    assert run(tree, plan)["1"].status == "already done"
    assert tree.read(SCRIPT) == once
    return once.decode()


def block(text: str) -> list[str]:
    """The lines that the step added."""
    lines = text.splitlines()
    begin = next(i for i, line in enumerate(lines) if line.startswith("# The repository root"))
    return lines[begin : begin + 5]


def python(root: Path, *arguments: str, cwd: str = ".") -> str:
    """What a fresh interpreter prints, with `site` below `root` as its installed packages."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=root / cwd,
        env={"PYTHONPATH": str(root / "site"), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() or done.stderr


@pytest.fixture
def root(tmp_path: Path) -> Path:
    tree = overlay(FILES)
    run(tree, plan_of(STEP))
    return write_tree(tmp_path, {path: tree.read(path) for path in tree.paths()})


def test_before_the_step_the_script_hides_installed_packages(tmp_path: Path) -> None:
    assert python(write_tree(tmp_path, FILES), SCRIPT) == "hidden hidden loss"


@pytest.mark.parametrize(
    ("arguments", "cwd"),
    [([SCRIPT], "."), (["train.py"], "training"), (["../training/train.py"], "site"), (["-m", "training.train"], ".")],
)
def test_it_runs_from_anywhere_and_hides_nothing(root: Path, arguments: list[str], cwd: str) -> None:
    assert python(root, *arguments, cwd=cwd) == "installed installed loss"


def test_it_runs_as_a_module_of_its_own_folder(root: Path) -> None:
    assert python(root, "-m", "train", cwd="training") == "installed installed loss"


def test_it_can_be_imported_from_the_root(root: Path) -> None:
    assert python(root, "-c", "from training.train import main; main()") == "installed installed loss"


def test_imported_it_leaves_the_path_of_the_importer_in_order(root: Path) -> None:
    code = "import sys; before = sys.path[:]; import training.train; print(sys.path[:len(before)] == before)"
    assert python(root, "-c", code) == "True"


def test_imported_through_its_folder_it_still_finds_the_root(root: Path) -> None:
    assert python(root, "-c", "import train; print(train.LOSS)", cwd="training") == "loss"


def test_what_the_script_itself_found_in_its_folder_it_still_finds(tmp_path: Path) -> None:
    tree = overlay({**FILES, SCRIPT: "import wandb\nprint(wandb.who)\n"})
    run(tree, plan_of(STEP))
    assert b"\nimport training.wandb as wandb\n" in tree.read(SCRIPT)
    root = write_tree(tmp_path, {path: tree.read(path) for path in tree.paths()})
    assert python(root, SCRIPT) == "hidden"


def test_a_package_that_an_earlier_step_makes_there_is_not_what_the_script_means() -> None:
    tree = overlay({SCRIPT: "import lightning as pl\n"})
    plan = plan_of({"kind": "create-package", "package": "training/lightning"}, STEP)
    run(tree, plan)
    assert tree.read(SCRIPT).endswith(b"\nimport lightning as pl\n")
    on_disk = overlay({path: tree.read(path) for path in tree.paths()})
    assert {o.status for o in run(on_disk, plan).values()} == {"already done"}
    assert on_disk.edits == {}


def test_the_root_may_be_a_folder(tmp_path: Path) -> None:
    tree = overlay({"src/app/tools/run.py": "import base\nprint(base.B)\n", "src/app/tools/base.py": "B = 'b'\n"})
    run(tree, plan_of({**STEP, "file": "src/app/tools/run.py", "symbols_left": []}, roots=["src"]))
    assert b"import app.tools.base as base" in tree.read("src/app/tools/run.py")
    write_tree(tmp_path, {path: tree.read(path) for path in tree.paths()})
    assert python(tmp_path, "src/app/tools/run.py") == "b"


def test_a_script_at_the_root_needs_nothing() -> None:
    tree = overlay({"train.py": "import os\n"})
    assert run(tree, plan_of({**STEP, "file": "train.py"}))["1"].status == "already done"
    assert tree.edits == {}


@pytest.mark.parametrize(
    "head",
    [
        "#!/usr/bin/env python3\n# -*- coding: utf-8 -*-\n",
        '"""What it does."""\n',
        '#!/usr/bin/env python3\n"""What\n\nit does."""\n\nfrom __future__ import annotations\n',
        "from __future__ import annotations\nfrom __future__ import generator_stop\n",
        "from __future__ import annotations; import json\n",
        '"""What it does."""; import json\n',
        '"""What it does."""\nfrom __future__ import annotations; import json\n',
    ],
)
def test_what_has_to_be_first_stays_first(head: str) -> None:
    after = entered(head + "import os\n\nmain = os.getcwd\n")
    assert after.startswith(head)
    compile(after, SCRIPT, "exec")
    assert after.endswith("import os\n\nmain = os.getcwd\n")
    assert len(block(after)) == 5


def test_comments_above_the_first_statement_stay_above_the_lines() -> None:
    assert entered("# Trains.\nimport os\n").startswith("# Trains.\n# The repository root")


@pytest.mark.parametrize("text", ['"""Only words."""', '"""Only words."""\n', "", "# nothing yet", "x = 1"])
def test_a_file_without_imports_gets_the_lines_too(text: str) -> None:
    after = entered(text, symbols_left=["x"])
    compile(after, SCRIPT, "exec")
    assert after.startswith(text if not text.startswith("x") else "# The")
    assert len(block(after)) == 5


def test_byte_order_mark_and_line_endings_are_kept() -> None:
    text = "\ufeff'''Döc.'''\r\nfrom __future__ import annotations\r\nimport os\r\n"
    after = entered(text.encode())
    assert after.startswith("\ufeff'''Döc.'''\r\nfrom __future__")
    assert after.count("\r\n") == after.count("\n") == 3 + 6


def test_lines_that_put_the_root_first_already_are_enough() -> None:
    text = "import sys\nfrom pathlib import Path\nsys.path[0] = str(Path(__file__).resolve().parents[1])\n"
    assert entered(text) == text


def test_lines_that_leave_the_own_folder_in_front_are_not_enough() -> None:
    text = "import sys\nfrom pathlib import Path\nsys.path.append(str(Path(__file__).resolve().parents[1]))\n"
    assert len(block(entered(text))) == 5


# -- size and definitions --------------------------------------------------------------------------------------------------


def outcome_of(text: str, *others: dict[str, object], **step: object) -> tuple[Overlay, Outcome]:
    tree = overlay({SCRIPT: text})
    return tree, run(tree, plan_of({**STEP, **step}, *others))["1"]


def warnings(outcome: Outcome) -> list[str]:
    return [f.message for f in outcome.findings if f.level == "warning"]


def test_a_long_script_is_reported() -> None:
    _, outcome = outcome_of("x = 1\n" * 20, max_lines=24, symbols_left=["x"])
    assert warnings(outcome) == [f"{SCRIPT} has 25 lines, 24 are allowed"]


def test_a_script_of_just_the_length_is_not() -> None:
    assert warnings(outcome_of("x = 1\n" * 20, max_lines=25, symbols_left=["x"])[1]) == []


def test_definitions_that_should_be_gone_are_reported_with_their_lines() -> None:
    text = "import os\nX = 1\n\n\ndef main(): ...\n\n\nclass Net: ...\n\n\n__version__ = '1'\n"
    assert warnings(outcome_of(text)[1]) == [
        f"{SCRIPT} still defines X (line 7), Net (line 13); only main may stay",
    ]


def test_where_the_plan_extracts_from_the_script_too_much_is_bad_input() -> None:
    extract = {"kind": "extract-symbols", "source": SCRIPT, "target": "training/net.py", "symbols": ["Net"]}
    with pytest.raises(BadInput, match=r"still defines Net .*Name more symbols in extract-symbols steps"):
        outcome_of("class Net: ...\n", extract)


@pytest.mark.parametrize(
    ("files", "sentence"), [({"n.py": ""}, "no such file"), ({SCRIPT: "def (\n"}, "step '1': .*does not parse")]
)
def test_bad_input_gets_a_sentence(files: dict[str, str | bytes], sentence: str) -> None:
    with pytest.raises(BadInput, match=sentence):
        run(overlay(files), plan_of(STEP))
