"""Everyone who imports what moved is pointed at the new home, and finds it."""

from __future__ import annotations

import json
from textwrap import dedent

import pytest

from tests.migration.fresh import run_script
from tests.migration.support import overlay, plan_of, run, write_tree

MODULE = {"pkg/__init__.py": "", "pkg/old.py": "class A:\n    pass\n\n\nclass B:\n    pass\n"}


def after_extraction(
    files: dict[str, str], source: str = "pkg/old.py", target: str = "pkg/parts/a.py", symbols: tuple[str, ...] = ("A",)
) -> dict[str, str]:
    tree = overlay({**MODULE, **{p: dedent(t) for p, t in files.items()}})
    run(tree, plan_of({"kind": "extract-symbols", "source": source, "target": target, "symbols": list(symbols)}))
    return {p: tree.read(p).decode() for p in tree.paths()}


@pytest.mark.parametrize(
    ("path", "before", "after"),
    [
        ("use.py", "from pkg.old import A\n", "from pkg.parts.a import A\n"),
        ("use.py", "from pkg.old import A as X  # why\n", "from pkg.parts.a import A as X  # why\n"),
        ("use.py", "from pkg.old import A, B\n", "from pkg.old import B\nfrom pkg.parts.a import A\n"),
        (
            "use.py",
            "from pkg.old import (\n    A,  # the a\n    B,\n)\n",
            "# the a\nfrom pkg.old import (\n    B,\n)\nfrom pkg.parts.a import A\n",
        ),
        (
            "use.py",
            "def f():\n    from pkg.old import A, B\n    return A, B\n",
            "def f():\n    from pkg.old import B\n    from pkg.parts.a import A\n    return A, B\n",
        ),
        (
            "use.py",
            "try: from pkg.old import A\nexcept ImportError: A = None\n",
            "try: from pkg.parts.a import A\nexcept ImportError: A = None\n",
        ),
        (
            "use.py",
            "import os; from pkg.old import A, B; x = 1\n",
            "import os; from pkg.old import B; from pkg.parts.a import A; x = 1\n",
        ),
        ("use.py", "import pkg.old as old\nprint(old.A)\n", "import pkg.old as old\nprint(old.A)\n"),
        ("use.py", "from pkg.old import *\n", "from pkg.old import *\n"),
        (
            "use.py",
            "from pkg.older import A\nfrom other.pkg.old import A\n",
            "from pkg.older import A\nfrom other.pkg.old import A\n",
        ),
        (
            "use.py",
            "x = 'pkg.old.A'\ny = 'pkg.old.B'\nz = 'see pkg.old.A'\n",
            "x = 'pkg.parts.a.A'\ny = 'pkg.old.B'\nz = 'see pkg.old.A'\n",
        ),
        ("pkg/near.py", "from .old import A\n", "from .parts.a import A\n"),
        (
            "pkg/sub/deep.py",
            "from ..old import A\nfrom ...none import A\n",
            "from ..parts.a import A\nfrom ...none import A\n",
        ),
        (
            "conf.yaml",
            "a: pkg.old.A\nb: pkg.old.B  # pkg.old.A.x\nc: my.pkg.old.A\n",
            "a: pkg.parts.a.A\nb: pkg.old.B  # pkg.parts.a.A.x\nc: my.pkg.old.A\n",
        ),
        ("conf.json", '{"t": "pkg.old.A", "u": "pkg.old.AB"}', '{"t": "pkg.parts.a.A", "u": "pkg.old.AB"}'),
        ("conf.toml", 't = "pkg.old.A"\n', 't = "pkg.parts.a.A"\n'),
    ],
)
def test_importers_follow(path: str, before: str, after: str) -> None:
    assert after_extraction({path: before})[path] == after


def test_an_import_through_the_scripts_own_folder_gets_the_root_on_its_path() -> None:
    files = after_extraction(
        {"lab/old.py": "class A: pass\n", "lab/eval.py": "import os\nfrom old import A\nprint(A.__module__)\n"},
        "lab/old.py",
        "lab/parts/a.py",
    )
    assert files["lab/eval.py"] == (
        "import os\nimport sys\nfrom pathlib import Path\nsys.path.insert(1, str(Path(__file__).resolve().parents[1]))\nfrom lab.parts.a import A\nprint(A.__module__)\n"
    )
    root = write_tree(overlay({}).root, files)
    assert run_script(root, "lab/eval.py") == (0, "lab.parts.a\n")


def test_an_import_through_a_path_line_counts_as_through_that_folder() -> None:
    use = "import sys\nfrom pathlib import Path\nsys.path.insert(0, str(Path(__file__).parent.parent / 'lab'))\nfrom old import A\n"
    files = after_extraction({"lab/old.py": "class A: pass\n", "far/use.py": use}, "lab/old.py", "lab/parts/a.py")
    assert files["far/use.py"].endswith(
        "sys.path.insert(1, str(Path(__file__).resolve().parents[1]))\nfrom lab.parts.a import A\n"
    )
    assert files["far/use.py"].count("import sys") == 1


def test_notebook_cells_follow_and_nothing_else_of_the_notebook_changes() -> None:
    cells = [
        {"cell_type": "markdown", "metadata": {}, "source": ["from pkg.old import A\n"]},
        {
            "cell_type": "code",
            "execution_count": 3,
            "metadata": {},
            "outputs": [],
            "source": ["%matplotlib inline\n", "from pkg.old import A, B\n", "A()"],
        },
    ]
    before = json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}, indent=1) + "\n"
    after = after_extraction({"look.ipynb": before})["look.ipynb"]
    assert (
        "".join(json.loads(after)["cells"][1]["source"])
        == "%matplotlib inline\nfrom pkg.old import B\nfrom pkg.parts.a import A\nA()"
    )
    assert json.loads(after)["cells"][0] == cells[0]
    assert after.count("\n") in (before.count("\n"), before.count("\n") + 1)


def test_records_are_left_exactly_as_they_are() -> None:
    record = "logs/wandb/run-20250101_000000-abc/files/code/use.py"
    assert after_extraction({record: "from pkg.old import A\n"})[record] == "from pkg.old import A\n"


def test_a_file_that_does_not_parse_is_left_alone_and_reported_once() -> None:
    tree = overlay({**MODULE, "broken.py": "from pkg.old import A\ndef (\n"})
    steps = [
        {"kind": "extract-symbols", "source": "pkg/old.py", "target": f"pkg/{n.lower()}.py", "symbols": [n]}
        for n in "AB"
    ]
    outcomes = run(tree, plan_of(*steps))
    assert tree.read("broken.py") == b"from pkg.old import A\ndef (\n"
    assert [f.path for o in outcomes.values() for f in o.findings if f.level == "warning"] == ["broken.py"]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("import pkg.old\nprint(pkg.old.A)\n", "import new.home\nprint(new.home.A)\n"),
        ("import pkg.old as o, os\n", "import new.home as o\nimport os\n"),
        ("from pkg import old\nold.A\n", "from new import home as old\nold.A\n"),
        ("from pkg import old as o, other\n", "from pkg import other\nfrom new import home as o\n"),
        (
            "import importlib\nimportlib.import_module('pkg.old')\n",
            "import importlib\nimportlib.import_module('new.home')\n",
        ),
        ("from pkg.old import *\n", "from new.home import *\n"),
    ],
)
def test_a_module_that_moved_whole_takes_every_form_of_import_along(before: str, after: str) -> None:
    tree = overlay({**MODULE, "pkg/other.py": "", "use.py": before})
    run(tree, plan_of({"kind": "move-module", "source": "pkg/old.py", "target": "new/home.py"}))
    assert tree.read("use.py").decode() == after
