"""move-module: the module keeps meaning what it meant, and everyone who named it names its new place."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from migration.codemods import Outcome
from migration.errors import BadInput
from migration.tree import Overlay
from tests.migration.support import overlay, plan_of, run, write_tree

OLD, NEW = "models/old/core.py", "models/attic/deep/core.py"
STEP: dict[str, Any] = {"kind": "move-module", "source": OLD, "target": NEW}
PACKAGES = {"models/__init__.py": "", "models/old/__init__.py": "", "models/old/near.py": "N = 1\n", "models/up.py": "U = 1\n"}  # fmt: skip


def moved(files: dict[str, str | bytes], **step: Any) -> tuple[Overlay, Outcome]:
    """The tree after the step, which a second time has nothing to do."""
    tree = overlay({**PACKAGES, OLD: "C = 1\n", **files})
    plan = plan_of({**STEP, **step})
    outcome = run(tree, plan)["1"]
    once = dict(tree.edits)
    assert run(tree, plan)["1"].status == "already done"
    assert tree.edits == once
    return tree, outcome


@pytest.mark.parametrize(
    ("path", "before", "after"),
    [
        ("use.py", "from models.old.core import C\n", "from models.attic.deep.core import C\n"),
        ("use.py", "from models.old.core import *\n", "from models.attic.deep.core import *\n"),
        ("use.py", "import models.old.core as c\n", "import models.attic.deep.core as c\n"),
        ("use.py", "from models.old import core\n", "from models.attic.deep import core\n"),
        ("use.py", "from models.old import core as c, near\n", "from models.old import near\nfrom models.attic.deep import core as c\n"),
        ("use.py", "import models.old.core\nmodels.old.core.C\n", "import models.attic.deep.core\nmodels.attic.deep.core.C\n"),
        ("use.py", "def f():\n\tfrom models.old.core import C  # late\n", "def f():\n\tfrom models.attic.deep.core import C  # late\n"),
        ("use.py", "try:\n    from models.old.core import C\nexcept ImportError:\n    C = None\n", "try:\n    from models.attic.deep.core import C\nexcept ImportError:\n    C = None\n"),
        ("use.py", "x = load('models.old.core.C')\n", "x = load('models.attic.deep.core.C')\n"),
        ("use.py", "x = 'models.old.core'\n", "x = 'models.attic.deep.core'\n"),
        ("models/up.py", "from .old.core import C\n", "from .attic.deep.core import C\n"),
        ("models/up.py", "from .old import core\n", "from .attic.deep import core\n"),
        ("models/old/near.py", "from .core import C\n", "from ..attic.deep.core import C\n"),
        ("models/old/near.py", "from . import core\n", "from ..attic.deep import core\n"),
        ("models/old/__init__.py", "from .core import C\n", "from ..attic.deep.core import C\n"),
        ("c.yaml", "_target_: models.old.core.C\r\n", "_target_: models.attic.deep.core.C\r\n"),
        ("use.py", "from models.old import near\nfrom models.older import core\n", "from models.old import near\nfrom models.older import core\n"),
    ],
)  # fmt: skip
def test_importers_follow(path: str, before: str, after: str) -> None:
    assert moved({path: before})[0].read(path).decode() == after


def test_notebooks_follow() -> None:
    cell = {"cell_type": "code", "metadata": {}, "outputs": [], "source": ["!ls\n", "from models.old.core import C"]}
    raw = json.dumps({"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5})
    assert moved({"n.ipynb": raw})[0].read("n.ipynb").decode() == raw.replace("models.old", "models.attic.deep")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("from .near import N\n", "from ...old.near import N\n"),
        ("from . import near as n\n", "from ...old import near as n\n"),
        ("from ..up import (  # up\n    U,\n)\n", "from ...up import (  # up\n    U,\n)\n"),
        ("from .. import up\n", "from ... import up\n"),
        ("def f():\n    from .near import N\n", "def f():\n    from ...old.near import N\n"),
        ("from models.up import U\n", "from models.up import U\n"),
        ("import models.old.core\n", "import models.attic.deep.core\n"),
        ("NAME = 'models.old.core.C'\n", "NAME = 'models.attic.deep.core.C'\n"),
    ],
)
def test_the_module_itself_means_what_it_meant(before: str, after: str) -> None:
    tree, _ = moved({OLD: before})
    assert tree.read(NEW).decode() == after
    assert not tree.exists(OLD)


def test_a_module_run_as_a_script_names_its_neighbours_from_the_root() -> None:
    tree = overlay({"tools/run.py": "import near\nfrom near import N\n", "tools/near.py": "N = 1\n"})
    run(tree, plan_of({**STEP, "source": "tools/run.py", "target": "bin/run.py"}))
    assert tree.read("bin/run.py") == b"import tools.near as near\nfrom tools.near import N\n"


def test_who_found_it_through_the_scripts_folder_finds_it_through_the_root(tmp_path: Path) -> None:
    files = {"tools/run.py": "from near import N\nprint(N)\n", "tools/near.py": "N = 1\n"}
    tree = overlay(dict(files))
    run(tree, plan_of({**STEP, "source": "tools/near.py", "target": "lib/near.py"}))
    root = write_tree(tmp_path, {path: tree.read(path) for path in tree.paths()})
    done = subprocess.run([sys.executable, "-B", "tools/run.py"], cwd=root, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("1\n", "")


def test_a_package_becomes_a_package_elsewhere() -> None:
    files: dict[str, str | bytes] = {"models/old/__init__.py": "from .near import N\n", "use.py": "from models.old import N\nimport models.old\n"}  # fmt: skip
    tree, _ = moved(files, source="models/old/__init__.py", target="models/attic/__init__.py")
    assert tree.read("models/attic/__init__.py") == b"from ..old.near import N\n"
    assert tree.read("use.py") == b"from models.attic import N\nimport models.attic\n"


def test_new_folders_become_packages_where_the_old_one_was() -> None:
    assert moved({})[0].read("models/attic/__init__.py") == b'"""Attic."""\n'
    tree = overlay({"tools/a.py": ""})
    run(tree, plan_of({**STEP, "source": "tools/a.py", "target": "bin/a.py"}))
    assert not tree.exists("bin/__init__.py")


def test_who_runs_it_by_path_runs_it_at_its_new_place() -> None:
    files: dict[str, str | bytes] = {"run.sh": "python models/old/core.py\n", "models/old/run.sh": "python core.py\n"}
    tree, _ = moved(files)
    assert tree.read("run.sh") == f"python {NEW}\n".encode()
    assert tree.read("models/old/run.sh") == b"python ../attic/deep/core.py\n"


def test_bytes_and_mode_are_kept() -> None:
    raw = "\ufeff# é  \r\nfrom .near import N\r\n\tx = 1".replace("\t", "").encode()
    tree = overlay({**PACKAGES, OLD: raw})
    (tree.root / OLD).chmod(0o755)
    run(tree, plan_of(STEP))
    assert tree.read(NEW) == raw.replace(b".near", b"...old.near")
    assert tree.mode(NEW) == 0o755


def test_any_file_may_move() -> None:
    tree, _ = moved({"a.txt": b"\xff\r\n"}, source="a.txt", target="b/c.txt")
    assert (tree.read("b/c.txt"), tree.exists("a.txt"), tree.exists("b/__init__.py")) == (b"\xff\r\n", False, False)


def test_importers_that_do_not_parse_are_reported_and_left() -> None:
    tree, outcome = moved({"bad.py": "from models.old.core import C\ndef (\n"})
    assert "bad.py" not in tree.edits
    assert [(f.level, f.path) for f in outcome.findings] == [("warning", "bad.py")]


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ({OLD: "", NEW: ""}, "field 'target': models/attic/deep/core.py is there already, and so is models/old/core.py"),
        ({"a.py": ""}, "field 'source': models/old/core.py: no such file"),
        ({OLD: "def (\n"}, "models/old/core.py:1: does not parse .* a file that a step names has to parse"),
    ],
)  # fmt: skip
def test_bad_input_gets_a_sentence(files: dict[str, str | bytes], sentence: str) -> None:
    with pytest.raises(BadInput, match=sentence):
        run(overlay(files), plan_of(STEP))
