"""Nothing refers to a path or module that is gone; what led elsewhere before is not mistaken for it."""

from __future__ import annotations

import json

import pytest

from migration.codemods import Outcome
from tests.migration.gates.checks import check_of, failing, fatal, verdict

GATE = "references"
CODE = "def main(): ...\n"


def gone(path: str, text: str, old: str = "jake/train.py", **others: str) -> tuple[list[str], list[str]]:
    """(fatal, shown) for one file that stays while `old` goes."""
    rest = {name.replace("__", "/").replace("_py", ".py"): content for name, content in others.items()}
    check = check_of({old: CODE, path: text, **rest}, {old: None})
    failures = verdict(check, GATE)
    return [f"{f.path}:{f.line}" for f in failures if f.fatal], [f"{f.path}:{f.line}" for f in failures if not f.fatal]


def notebook(*cells: str) -> str:
    content = [
        {"cell_type": "code", "execution_count": None, "id": f"c{i}", "metadata": {}, "outputs": [], "source": [c]}
        for i, c in enumerate(cells)
    ]
    return json.dumps({"cells": content, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}, indent=1)


def test_only_this_gate_sees_a_call_of_a_script_that_is_gone() -> None:
    check = check_of({"jake/train.py": CODE, "run.sh": "python jake/train.py --x 1\n"}, {"jake/train.py": None})
    assert failing(check) == {GATE}
    assert fatal(check, GATE) == ["run.sh:1: calls 'jake/train.py', which is gone"]


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("a.py", "import jake.train\n"),
        ("a.py", "import os, jake.train as t\n"),
        ("a.py", "from jake import train\n"),
        ("a.py", "from jake.train import main\n"),
        ("a.py", "def f():\n    from jake.train import main\n"),
        ("jake/a.py", "from train import main\n"),
        ("jake/a.py", "import train\n"),
        ("jake/a.py", "from .train import main\n"),
        ("jake/a.py", "from . import train\n"),
        ("jake/sub/a.py", "from ..train import main\n"),
        ("tools/a.py", "import sys\nsys.path.insert(0, 'jake')\nimport train\n"),
        ("a.ipynb", notebook("import os", "from jake.train import main")),
    ],
)
def test_imports_of_what_is_gone(path: str, text: str) -> None:
    assert gone(path, text)[0]


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("a.py", "import train\n"),
        ("a.py", "from training import x\n"),
        ("a.py", "import lightning.jake.train\n"),
        ("jake/a.py", "from trainer import main\n"),
        ("jake/a.py", "from ..train import main\n"),
    ],
)
def test_imports_that_never_led_there(path: str, text: str) -> None:
    assert gone(path, text) == ([], [])


def test_an_import_that_finds_another_module_now_is_fine() -> None:
    assert gone("jake/a.py", "from train import main\n", train_py=CODE) == ([], [])


def test_a_package_that_hands_the_name_on_is_fine() -> None:
    edits = {"p/f.py": None, "p/__init__.py": "from q import f\n", "q.py": "def f(): ...\n"}
    check = check_of({"p/__init__.py": "", "p/f.py": CODE, "a.py": "from p import f\n"}, edits)
    assert not fatal(check, GATE)


def test_an_import_with_a_fallback_is_shown() -> None:
    assert gone("a.py", "try:\n    import jake.train as t\nexcept ImportError:\n    t = None\n") == ([], ["a.py:2"])


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("a.yaml", "model:\n  _target_: jake.train.main\n"),
        ("a.yaml", "_target_: 'jake.train'\n"),
        ("a.toml", 'entry = "jake.train:main"\n'),
        ("a.json", '{"_target_": "jake.train.main"}\n'),
        ("a.py", "importlib.import_module('jake.train')\n"),
        ("a.py", "patch('jake.train.main')\n"),
        ("jake/a.yaml", "_target_: train.main\n"),
    ],
)
def test_dotted_strings(path: str, text: str) -> None:
    assert gone(path, text)[0]


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("a.yaml", "train.lr: 1\n"),
        ("a.yaml", "_target_: train.main\n"),
        ("jake/a.yaml", "train.lr: 1\n"),
        ("a.yaml", "_target_: other.jake.train.main\n"),
        ("a.yaml", "_target_: jake.training.main\n"),
        ("a.py", "x.jake.train\n"),
    ],
)
def test_dotted_strings_that_mean_something_else(path: str, text: str) -> None:
    assert gone(path, text) == ([], [])


def test_a_dotted_name_in_a_comment_is_shown() -> None:
    assert gone("a.yaml", "a: 1  # was jake.train.main\n") == ([], ["a.yaml:1"])


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("run.sh", "python jake/train.py \\\n  --x 1\n"),
        ("run.sh", "python -u ./jake/train.py\n"),
        ("run.sh", "torchrun --nproc_per_node 2 jake/train.py\n"),
        ("jake/run.sh", "python train.py\n"),
        ("tools/run.sh", "python ../jake/train.py\n"),
        ("run.sh", "cd jake\npython train.py\n"),
        ("run.sh", "SCRIPT=jake/train.py\npython $SCRIPT\n"),
        ("run.sh", 'CMD="python jake/train.py --x 1"\neval $CMD\n'),
        ("run.sh", "python -m jake.train\n"),
        ("Makefile", "go:\n\tpython jake/train.py\n"),
        ("a.ipynb", notebook("!python jake/train.py")),
        ("a.py", "subprocess.run(['python', 'jake/train.py'])\n"),
        ("a.py", "os.system('python jake/train.py --x')\n"),
    ],
)
def test_calls(path: str, text: str) -> None:
    assert gone(path, text)[0]


def test_a_call_that_never_led_there() -> None:
    assert gone("experiments/run.sh", "python train.py\n", training__train_py=CODE) == ([], [])
    assert gone("run.sh", "python training/train.py\n", training__train_py=CODE) == ([], [])
    assert gone("run.sh", "python old_jake/train.py\npython jake/train.pyc\npython jake/pretrain.py\n") == ([], [])


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("run.sh", "echo 'see jake/train.py'\n"),
        ("run.sh", "rm jake/train.py\n"),
        ("run.sh", "# python jake/train.py \\\n#   --x\n"),
        ("run.sh", "# python -m jake.train\n"),
        ("README.md", "Run `python jake/train.py`, see [it](jake/train.py).\n"),
        ("a.py", '"""As jake/train.py does."""\n'),
        ("a.py", "x = 1  # from jake/train.py\n"),
        ("run.sh", "python /home/me/lab/jake/train.py\n"),
        ("run.sh", "python ~/lab/jake/train.py\n"),
        ("run.sh", 'python "$ROOT/jake/train.py"\n'),
        ("run.sh", "python ${ROOT}/jake/train.py\n"),
        ("jake/run.sh", "python $HERE/train.py\n"),
    ],
)
def test_what_only_speaks_of_it_is_shown(path: str, text: str) -> None:
    fatal_, shown = gone(path, text)
    assert (fatal_, shown[0]) == ([], f"{path}:1")


def test_a_path_below_an_unknown_folder_has_to_end_in_the_whole_path() -> None:
    assert gone("run.sh", "python /opt/train.py\npython ~/train.py\npython $X/train.py\n") == ([], [])


def test_both_homes_of_a_fallback_may_not_be_gone() -> None:
    check = check_of(
        {"a/m.py": "", "b/m.py": "", "c.py": "try:\n    import a.m\nexcept ImportError:\n    import b.m\n"},
        {"a/m.py": None, "b/m.py": None},
    )
    assert [f.partition(": ")[0] for f in fatal(check, GATE)] == ["c.py:4"]


def test_records_are_left_alone() -> None:
    assert gone("logs/wandb/run-1/files/code/run.sh", "python jake/train.py\n") == ([], [])
    assert gone("run.sh.backup", "python jake/train.py\n") == ([], [])


def test_many_mentions_are_counted() -> None:
    shown = gone("README.md", "see jake/train.py\n" * 50)[1]
    assert len(shown) == 21


def test_what_moved_and_was_pointed_at_its_new_home_is_fine() -> None:
    check = check_of(
        {"a.py": CODE, "b.py": "import a\n", "run.sh": "python a.py\n", "c.yaml": "_target_: a.main\n"},
        {
            "a.py": None,
            "p/a.py": CODE,
            "b.py": "import p.a\n",
            "run.sh": "python p/a.py\n",
            "c.yaml": "_target_: p.a.main\n",
        },
        {"1": Outcome()},
    )
    assert verdict(check, GATE) == []


def test_nothing_gone_nothing_said() -> None:
    assert verdict(check_of({"a.py": CODE, "run.sh": "python missing.py\n"}, {"a.py": "x = 1\n"}), GATE) == []


def test_a_broken_file_does_not_stop_the_rest() -> None:
    assert gone("b.py", "import jake.train\n", a_py="import jake.train (\n")[0] == ["b.py:1"]
