"""Each new or changed module imports first, in a fresh process."""

from __future__ import annotations

import pytest

from migration.gates import Check
from tests.migration.gates.checks import check_of, failing_of_all, fatal, moved, verdict

GATE = "import-order"
STEP = {"kind": "extract-symbols", "source": "pkg/a.py", "target": "pkg/b.py", "symbols": ["B"]}
BEFORE = {"pkg/__init__.py": "", "pkg/a.py": "class Base: ...\n\n\nclass B(Base): ...\n\n\nb = B()\n"}
CYCLE = {
    "pkg/a.py": "from pkg.b import B\n\n\nclass Base: ...\n\n\nb = B()\n",
    "pkg/b.py": "from pkg.a import Base\n\n\nclass B(Base): ...\n",
}


def new(text: str, path: str = "new.py", **before: str) -> Check:
    return check_of({f"{name}.py": code for name, code in before.items()}, {path: text})


def test_only_this_gate_sees_a_module_that_fails_as_it_loads() -> None:
    check = new("VALUES = [1, 2]\nLAST = VALUES[2]\n")
    assert failing_of_all(check) == {GATE}
    assert fatal(check, GATE) == ["new.py:2: imported first, as 'new': IndexError: list index out of range (new.py:2)"]


def test_a_good_module_holds() -> None:
    assert failing_of_all(new("VALUES = [1, 2]\nLAST = VALUES[1]\n")) == set()


def test_a_cycle_that_only_one_end_survives_is_told_at_the_other() -> None:
    failures = fatal(check_of(BEFORE, CYCLE, moved("pkg/a.py", "pkg/b.py", "B"), [STEP]), GATE)
    assert any("partially initialized module" in f and "pkg/a.py:1 → pkg/b.py:1" in f for f in failures)


def test_the_name_below_its_user() -> None:
    assert fatal(new("class B(Base): ...\nclass Base: ...\n"), GATE)


@pytest.mark.parametrize(
    "text",
    [
        "import torch\nclass A(torch.nn.Module):\n    @torch.no_grad()\n    def f(self): ...\n",
        "from torch.optim.lr_scheduler import _LRScheduler\nclass A(_LRScheduler): ...\n",
        "import pytorch_lightning as pl\nX = pl.Trainer(max_epochs=1).fit\n",
        "import numpy as np\nX = np.zeros(3) + 1\nY = X[0] * 2\n",
        "import os\nos.makedirs('logs', exist_ok=True)\nopen('logs/a.txt', 'w').write('x')\n",
    ],
)
def test_packages_that_are_not_installed_here_are_no_hindrance(text: str) -> None:
    assert not verdict(new(text), GATE)


def test_a_failure_that_may_be_the_stand_ins_is_a_warning() -> None:
    (failure,) = verdict(new("import numpy as np\nassert np.arange(3).sum() == 3\n"), GATE)
    assert not failure.fatal and "stand-in" in failure.message


def test_what_failed_before_and_fails_as_it_did_is_nothing_to_tell() -> None:
    step = {"kind": "extract-symbols", "source": "a.py", "target": "b.py", "symbols": ["f"]}
    check = check_of({"a.py": "def f(): ...\n1 / 0\n"}, {"a.py": "def g(): ...\n1 / 0\n"}, steps=[step])
    assert not verdict(check, GATE)


def test_what_worked_before_says_so() -> None:
    step = {"kind": "extract-symbols", "source": "a.py", "target": "b.py", "symbols": ["f"]}
    (message,) = fatal(check_of({"a.py": "x = 1\n"}, {"a.py": "x = 1 / 0\n"}, steps=[step]), GATE)
    assert message.endswith("ZeroDivisionError: division by zero (a.py:1); it worked before")


def test_a_script_in_a_plain_folder_is_run_from_there_too() -> None:
    text = "import helper\n\n\nif __name__ == '__main__':\n    1 / 0\n"
    check = check_of({"tools/helper.py": "x = 1\n"}, {"tools/run.py": text})
    assert [m for m in fatal(check, GATE) if "'tools.run'" in m]
    assert not [m for m in fatal(check, GATE) if "run as a script" in m or "as 'run'" in m]


def test_importers_are_not_run() -> None:
    check = check_of({"a.py": "x = 1\n", "use.py": "from a import x\n"}, {"use.py": "from a import x\n1 / 0\n"})
    assert not verdict(check, GATE)


@pytest.mark.parametrize("ending", ["raise SystemExit(3)\n", "raise KeyboardInterrupt\n", "import os\nos._exit(1)\n"])
def test_a_module_that_ends_the_interpreter_does_not_end_the_gate(ending: str) -> None:
    assert verdict(new(ending), GATE)


def test_files_that_do_not_parse_are_left_to_another_gate() -> None:
    assert not verdict(new("def f(:\n"), GATE)


def test_what_comes_out_of_a_module_that_could_not_be_imported_may_fail_like_it() -> None:
    before = {"old.py": "class A: ...\nLAST = [1][2]\n"}
    edits = {"old.py": "from new import A\nLAST = [1][2]\n", "new.py": "class A: ...\nFIRST = [1][2]\n"}
    step = {"kind": "extract-symbols", "source": "old.py", "target": "new.py", "symbols": ["A"]}
    check = check_of(before, edits, moved("old.py", "new.py", "A"), [step])
    (failure,) = [f for f in verdict(check, GATE) if f.path == "new.py"]
    assert not failure.fatal and "IndexError" in failure.message
