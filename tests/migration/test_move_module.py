"""move-module: the module keeps meaning what it meant, and everyone who named it names its new place."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from migration.codemods import Outcome
from migration.engine import rehearse
from migration.errors import BadInput
from migration.tree import Overlay
from tests.migration.gates.checks import check_of, fatal
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


def by_path(tmp_path: Path, files: dict[str, str | bytes], source: str, target: str) -> str:
    """What the moved script prints, run by path with nothing but its own folder on the path."""
    tree = overlay({**files, "run.sh": f"python {source}\n"})
    verdict = rehearse(tree, plan_of({**STEP, "source": source, "target": target}))
    assert [f.message for v in verdict.failed for f in v.failures if f.fatal] == []
    assert verdict.after.read("run.sh") == f"python {target}\n".encode()
    root = write_tree(tmp_path, {path: verdict.after.read(path) for path in verdict.after.paths()})
    done = subprocess.run([sys.executable, "-B", target], cwd=root, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    return done.stdout


@pytest.mark.parametrize(
    ("files", "source", "target"),
    [
        ({"train.py": "import helpers\nprint(helpers.X)\n", "helpers.py": "X = 1\n"}, "train.py", "pkg/cli/train.py"),
        ({"s/train.py": "from common import X\nprint(X)\n", "s/common.py": "X = 1\n"}, "s/train.py", "s/train/main.py"),
        ({"train.py": "from lib import a\nimport lib.a as b\nprint(a.X * b.X)\n", "lib/a.py": "X = 1\n"}, "train.py", "pkg/train.py"),
        ({"train.py": "try:\n    import a\nexcept ImportError:\n    a = None\nprint(a.X)\n", "a.py": "X = 1\n"}, "train.py", "pkg/train.py"),
        ({"train.py": "def main():\n    import a\n    print(a.X)\nif __name__ == '__main__':\n    main()\n", "a.py": "X = 1\n"}, "train.py", "pkg/train.py"),
        ({"s/train.py": "import os, sys\nsys.path.insert(0, os.path.join(os.path.dirname(__file__), '..'))\nfrom lab.m import X\nprint(X)\n", "lab/m.py": "X = 1\n"}, "s/train.py", "pkg/cli/train.py"),
    ],
)  # fmt: skip
def test_a_script_that_moves_still_runs_by_path(
    tmp_path: Path, files: dict[str, str | bytes], source: str, target: str
) -> None:
    assert by_path(tmp_path, files, source, target) == "1\n"


@pytest.mark.parametrize(
    ("files", "source", "target", "sentence"),
    [
        ({"train.py": "import a\nprint(a)\n", "a.py": "", "pkg/a.py": ""}, "train.py", "pkg/train.py", "`import a` means a.py there, and run from pkg/train.py it would mean pkg/a.py"),
        ({"my-s/train.py": "import a\nprint(a)\n", "my-s/a.py": ""}, "my-s/train.py", "pkg/train.py", "`import a` means my-s/a.py there, .* no import root leads to it from pkg/train.py"),
    ],
)  # fmt: skip
def test_a_script_that_would_not_run_at_its_new_place_stays(
    files: dict[str, str | bytes], source: str, target: str, sentence: str
) -> None:
    with pytest.raises(BadInput, match=f"test.toml: step '1': field 'target': {source}: {sentence}"):
        run(overlay(files), plan_of({**STEP, "source": source, "target": target}))


def test_what_only_others_import_gets_no_root_lines() -> None:
    files: dict[str, str | bytes] = {"a.py": "import b\nb.register()\n", "b.py": "", "use.py": "import a\n"}
    tree = overlay(files)
    run(tree, plan_of({**STEP, "source": "a.py", "target": "pkg/a.py"}))
    assert tree.read("pkg/a.py") == files["a.py"].encode()  # type: ignore[union-attr]


def test_the_gate_runs_a_script_as_python_does() -> None:
    """Without the root lines that the codemod puts there, the old script opens and the new one does not."""
    text = "import a\nif __name__ == '__main__':\n    print(a)\n"
    step = {**STEP, "source": "train.py", "target": "pkg/train.py"}
    check = check_of({"train.py": text, "a.py": ""}, {"train.py": None, "pkg/train.py": text}, steps=[step])
    (message,) = fatal(check, "import-order")
    assert "run as a script from pkg/: ModuleNotFoundError: No module named 'a'" in message
    check = check_of({"s/t.py": text, "a.py": ""}, {"s/t.py": None, "pkg/t.py": text}, steps=[{**STEP, "source": "s/t.py", "target": "pkg/t.py"}])  # fmt: skip
    assert fatal(check, "import-order") == []  # it never ran so


RUN = "class Model: ...\ndef main(): print(1)\nif __name__ == '__main__':\n    main()\n"


@pytest.mark.parametrize(
    ("source", "path", "before", "after"),
    [
        ("lab/train.py", "run.sh", "python -m lab.train -x\npython -m lab.trainer\n", "python -m pkg.cli.train -x\npython -m lab.trainer\n"),
        ("train.py", "run.sh", "torchrun -m train\n", "torchrun -m pkg.cli.train\n"),
        ("train.py", "Makefile", "go:\n\tpython -m train\n", "go:\n\tpython -m pkg.cli.train\n"),
        ("train.py", "launch.json", '{"args": ["-m", "train"]}', '{"args": ["-m", "pkg.cli.train"]}'),
        ("train.py", "go.py", "run(['python', '-m', 'train'])\n", "run(['python', '-m', 'pkg.cli.train'])\n"),
        ("lab/train.py", "README.md", "`python -m lab.train`\n", "`python -m pkg.cli.train`\n"),
        ("lab/train.py", "run.sh", 'python -c "from lab.train import main; main()"\n', 'python -c "from pkg.cli.train import main; main()"\n'),
        ("train.py", "run.sh", "python -c 'import train; train.main()'\n", "python -c 'import pkg.cli.train as train; train.main()'\n"),
        ("train.py", "pyproject.toml", '[project.scripts]\ngo = "train:main"\n', '[project.scripts]\ngo = "pkg.cli.train:main"\n'),
        ("train.py", "setup.cfg", "[options.entry_points]\nconsole_scripts =\n    go = train:main\n", "[options.entry_points]\nconsole_scripts =\n    go = pkg.cli.train:main\n"),
        ("lab/train.py", "setup.py", "setup(entry_points={'console_scripts': ['go=lab.train:main']})\n", "setup(entry_points={'console_scripts': ['go=pkg.cli.train:main']})\n"),
        ("train.py", "c.yaml", "m: {_target_: train.Model}\nf:\n  _target_: train.main\n", "m: {_target_: pkg.cli.train.Model}\nf:\n  _target_: pkg.cli.train.main\n"),
        ("train.py", "use.py", "M = 'train.Model'\n", "M = 'pkg.cli.train.Model'\n"),
        ("train.py", "run.sh", "torchrun \\\n  --n 2 \\\n  -m train\n", "torchrun \\\n  --n 2 \\\n  -m pkg.cli.train\n"),
        ("train.py", "c.yaml", "mix: train:0.8\ntrain: 1\n", "mix: train:0.8\ntrain: 1\n"),
    ],
)  # fmt: skip
def test_callers_by_name_follow(source: str, path: str, before: str, after: str) -> None:
    rehearsed = rehearse(overlay({source: RUN, path: before}), plan_of({**STEP, "source": source, "target": "pkg/cli/train.py"}))  # fmt: skip
    assert rehearsed.after.read(path).decode() == after
    assert [f.message for v in rehearsed.failed for f in v.failures if f.fatal] == []


def test_a_message_or_a_marker_is_no_module() -> None:
    text = "git commit -m train\npytest -m train\npython -m pytest -m 'train'\n"
    tree = overlay({"train.py": RUN, "run.sh": text})
    run(tree, plan_of({**STEP, "source": "train.py", "target": "pkg/train.py"}))
    assert tree.read("run.sh").decode() == text


def test_what_is_reckoned_from_the_files_own_place_is_told() -> None:
    _, outcome = moved({OLD: "from pathlib import Path\nDATA = Path(__file__).parent\n"})
    assert [(f.level, f.path, f.line) for f in outcome.findings if "__file__" in f.message] == [("warning", OLD, 2)]


@pytest.mark.parametrize(
    ("path", "text", "sentence"),
    [
        ("go.sh", "cd lab && python -m train\n", "may run lab/train.py from another folder"),
        ("setup.py", "setup(py_modules=['train'])\n", "lists train in py_modules, which is pkg.train now"),
    ],
)
def test_callers_by_name_that_cannot_follow_are_told(path: str, text: str, sentence: str) -> None:
    source = "lab/train.py" if path == "go.sh" else "train.py"
    tree = overlay({source: RUN, path: text})
    outcome = run(tree, plan_of({**STEP, "source": source, "target": "pkg/train.py"}))["1"]
    assert [(f.path, f.message[: len(sentence)]) for f in outcome.findings if f.level == "warning"] == [
        (path, sentence)
    ]


def test_a_picture_in_a_notebook_costs_nothing() -> None:
    cell = {
        "cell_type": "code",
        "id": "a",
        "metadata": {},
        "source": ["!python train.py"],
        "outputs": [{"data": {"image/png": "iVBO/Rw0K" * 50_000}, "output_type": "display_data"}],
    }
    raw = json.dumps({"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5})
    began = time.perf_counter()
    verdict = rehearse(overlay({"train.py": "", "n.ipynb": raw}), plan_of({**STEP, "source": "train.py", "target": "pkg/train.py"}))  # fmt: skip
    assert time.perf_counter() - began < 30  # read forwards, it is hours
    assert verdict.after.read("n.ipynb").decode() == raw.replace("python train.py", "python pkg/train.py")


@pytest.mark.parametrize("target", ["class/b.py", "my-parts/b.py"])
def test_what_others_import_needs_a_name(target: str) -> None:
    sentence = f"step '1': field 'target': '{target}' cannot be imported from the roots ., and use.py imports a.py"
    with pytest.raises(BadInput, match=sentence):
        run(overlay({"a.py": "x = 1\n", "use.py": "import a\n"}), plan_of({**STEP, "source": "a.py", "target": target}))  # fmt: skip
    assert run(overlay({"a.py": "x = 1\n"}), plan_of({**STEP, "source": "a.py", "target": target}))["1"].edits


def test_a_module_stays_a_module() -> None:
    with pytest.raises(BadInput, match=r"field 'target': 'other' and 'source' 'train.py' must both be \.py"):
        plan_of({**STEP, "source": "train.py", "target": "other"})


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
