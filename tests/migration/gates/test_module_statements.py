"""Module-level statements still run, once, and before the code that needs them."""

from __future__ import annotations

import pytest

from migration.codemods import Finding, Outcome
from migration.gates import Check
from tests.migration.gates.checks import check_of, failing_of_all, fatal, moved, verdict

GATE = "module-statements"
PRECISION = "torch.set_float32_matmul_precision('medium')\n"
CLASS = "class Model:\n    x = 1\n"
GUARD = "\n\ndef main():\n    print(Model)\n\n\nif __name__ == '__main__':\n    main()\n"
SOURCE, TARGET, SETUP = "pkg/train.py", "pkg/model.py", "pkg/_train_setup.py"
IMPORT_SETUP = "import pkg._train_setup  # noqa: F401\n"
USE = "from pkg.model import Model as Model\n"
STEP = {"kind": "extract-symbols", "source": SOURCE, "target": TARGET, "symbols": ["Model"]}


def check(
    old: str, new: str, target: str, before: dict[str, str] | None = None, outcome: Outcome | None = None, **files: str
) -> Check:
    """`Model` taken out of a script. Other files by their name in pkg/ (`_train_setup=…`)."""
    outcomes = moved(SOURCE, TARGET, "Model") | ({"2": outcome} if outcome else {})
    rest = {f"pkg/{name}.py": text for name, text in files.items()}
    old_tree = {"pkg/__init__.py": "", SOURCE: old, **(before or {})}
    return check_of(
        old_tree,
        {SOURCE: new, TARGET: target, **rest},
        outcomes,
        [STEP, {"kind": "unify-import", "from": "x", "to": "y"}],
    )


def hoisted(effect: str, head: str = "import torch\n") -> Check:
    """What a good extraction makes of an effect between imports and class."""
    return check(
        head + effect + CLASS + GUARD,
        IMPORT_SETUP + USE + GUARD,
        IMPORT_SETUP + "\n\n" + CLASS,
        _train_setup=head + effect,
    )


def test_only_this_gate_sees_a_statement_that_was_left_out() -> None:
    lost = check("import torch\n" + PRECISION + CLASS + GUARD, USE + GUARD, CLASS)
    assert failing_of_all(lost) == {GATE}
    assert fatal(lost, GATE) == [
        f"{SOURCE}:2: `{PRECISION.strip()}` stood here and is nowhere now; it has to run as it did"
    ]


def test_only_this_gate_sees_one_that_the_new_module_does_not_run() -> None:
    left = check("import torch\n" + PRECISION + CLASS + GUARD, "import torch\n" + PRECISION + USE + GUARD, CLASS)
    assert failing_of_all(left) == {GATE}
    assert fatal(left, GATE) == [
        f"{SOURCE}:2: `{PRECISION.strip()}` ran with {SOURCE} and does not when {TARGET} is imported as pkg.model: what runs it has to be imported there, first"
    ]


@pytest.mark.parametrize(
    ("head", "effect"),
    [
        ("import torch\n", PRECISION),
        ("import os\n", "os.environ['OMP_NUM_THREADS'] = '1'\n"),
        ("import os\n", "os.environ.setdefault('A', 'b')\n"),
        ("import torch\nLEVEL = 'medium'\n", "torch.set_float32_matmul_precision(LEVEL)\n"),
        ("from torch import backends\n", "backends.cudnn.benchmark = True\n"),
        ("import warnings\n", "for w in (UserWarning, FutureWarning):\n    warnings.simplefilter('ignore', w)\n"),
    ],
)
def test_a_setup_module_that_everyone_imports_first_is_fine(head: str, effect: str) -> None:
    assert not verdict(hoisted(effect, head), GATE)


def test_all_gates_hold_over_a_good_extraction() -> None:
    assert failing_of_all(hoisted(PRECISION)) == set()


def test_the_setup_below_the_definition_is_too_late() -> None:
    old = "import torch\n" + PRECISION + CLASS + GUARD
    late = check(
        old, IMPORT_SETUP + USE + GUARD, CLASS + "\n\n" + IMPORT_SETUP, _train_setup="import torch\n" + PRECISION
    )
    (message,) = fatal(late, GATE)
    assert f"runs too late when {TARGET} is imported as pkg.model: {TARGET}:1" in message


def test_the_environment_is_set_before_what_was_imported_below_it() -> None:
    head, effect = "import os\n", "os.environ['CUDA_VISIBLE_DEVICES'] = '0'\n"
    old = head + effect + "import torch\n" + CLASS + GUARD
    setup = head + effect
    late = check(old, "import torch\n" + IMPORT_SETUP + USE + GUARD, IMPORT_SETUP + CLASS, _train_setup=setup)
    assert fatal(late, GATE)
    assert all("runs too late" in message and f"{SOURCE}:1" in message for message in fatal(late, GATE))
    assert not fatal(
        check(
            old,
            IMPORT_SETUP + "import torch\n" + USE + GUARD,
            IMPORT_SETUP + CLASS,
            _train_setup=setup,
        ),
        GATE,
    )


def test_one_that_stands_twice_runs_twice() -> None:
    old = "import torch\n" + PRECISION + CLASS + GUARD
    twice = check(old, "import torch\n" + PRECISION + USE + GUARD, "import torch\n" + PRECISION + CLASS)
    (message,) = fatal(twice, GATE)
    assert f"stood once and stands twice now: {SOURCE}:2, {TARGET}:2" in message


def test_one_file_under_two_names_runs_it_twice() -> None:
    old = "import torch\n" + PRECISION + CLASS + GUARD
    head = "import sys\nsys.path.insert(0, __file__.rpartition('/')[0])\n"
    names = check(
        old,
        head + IMPORT_SETUP + "import _train_setup\n" + USE + GUARD,
        IMPORT_SETUP + CLASS,
        _train_setup="import torch\n" + PRECISION,
    )
    assert any("runs twice" in message and "under two names" in message for message in fatal(names, GATE))


def test_statements_of_the_sources_own_stay_with_it() -> None:
    old = "def setup():\n    return 1\n\n\nsetup()\n" + CLASS + GUARD
    good = check(old, "def setup():\n    return 1\n\n\nsetup()\n" + USE + GUARD, CLASS)
    assert failing_of_all(good) == set()
    gone = check(old, "def setup():\n    return 1\n\n\n" + USE + GUARD, CLASS)
    assert failing_of_all(gone) == {GATE}


def test_one_behind_them_is_told_where_it_no_longer_runs() -> None:
    old = "import torch\n\n\ndef setup():\n    return 1\n\n\nsetup()\n" + PRECISION + CLASS + GUARD
    (failure,) = verdict(check(old, old.replace(CLASS, USE), CLASS), GATE)
    assert (
        not failure.fatal
        and f"does not run when {TARGET} is imported as pkg.model, only with {SOURCE}" in failure.message
    )


def test_what_changes_a_constant_goes_where_the_constant_goes() -> None:
    old = "TABLE = {}\nTABLE['a'] = 1\n" + CLASS.replace("1", "TABLE") + GUARD
    good = check(old, USE + GUARD, "TABLE = {}\nTABLE['a'] = 1\n" + CLASS.replace("1", "TABLE"))
    assert not verdict(good, GATE)
    assert fatal(check(old, USE + GUARD, "TABLE = {}\n" + CLASS.replace("1", "TABLE")), GATE)


@pytest.mark.parametrize(
    "now", ["torch.set_float32_matmul_precision( 'medium' )  # why\n", 'torch.set_float32_matmul_precision("medium")\n']
)
def test_layout_and_comments_do_not_matter(now: str) -> None:
    old = "import torch\n" + PRECISION + CLASS + GUARD
    assert not fatal(
        check(old, IMPORT_SETUP + USE + GUARD, IMPORT_SETUP + CLASS, _train_setup="import torch\n" + now), GATE
    )


def test_a_line_that_a_step_says_it_changed() -> None:
    old = "import lightning\nlightning.seed_everything(1)\n" + CLASS + GUARD
    new = "pytorch_lightning.seed_everything(1)\n"
    files = {"_train_setup": "import pytorch_lightning\n" + new}
    finding = Finding("change", SOURCE, 2, "one package", "lightning.seed_everything(1)", new.strip())
    assert not fatal(
        check(old, IMPORT_SETUP + USE + GUARD, IMPORT_SETUP + CLASS, outcome=Outcome(findings=[finding]), **files), GATE
    )
    assert fatal(check(old, IMPORT_SETUP + USE + GUARD, IMPORT_SETUP + CLASS, **files), GATE)


def test_a_target_that_ran_the_same_statement_already() -> None:
    there = "import torch\n" + PRECISION + "\n\ndef f(): ...\n"
    old = "import torch\n" + PRECISION + CLASS + GUARD
    both = check(
        old,
        IMPORT_SETUP + USE + GUARD,
        there.replace("import torch\n", "import torch\n" + IMPORT_SETUP) + CLASS,
        {TARGET: there},
        _train_setup="import torch\n" + PRECISION,
    )
    assert not fatal(both, GATE)


def test_two_sources_that_run_the_same_statement() -> None:
    old = "import torch\n" + PRECISION
    before = {"a.py": old + "class A: ...\n", "b.py": old + "class B: ...\n"}
    steps = [
        {"kind": "extract-symbols", "source": f"{n}.py", "target": f"parts/{n}.py", "symbols": [n.upper()]}
        for n in "ab"
    ]
    edits = {"parts/__init__.py": ""}
    for n in "ab":
        edits[f"_{n}_setup.py"] = old
        edits[f"{n}.py"] = f"import _{n}_setup\nfrom parts.{n} import {n.upper()} as {n.upper()}\n"
        edits[f"parts/{n}.py"] = f"import _{n}_setup\nclass {n.upper()}: ...\n"
    outcomes = {**moved("a.py", "parts/a.py", "A"), "2": moved("b.py", "parts/b.py", "B")["1"]}
    assert not fatal(check_of(before, edits, outcomes, steps), GATE)
    assert fatal(check_of(before, {**edits, "parts/b.py": "class B: ...\n"}, outcomes, steps), GATE)


def test_a_main_guard_that_went() -> None:
    gone = check(CLASS + GUARD, USE + GUARD.partition("if __name__")[0], CLASS)
    assert failing_of_all(gone) == {GATE}
    assert fatal(gone, GATE) == [
        f"{SOURCE}:None: the main guard of line 9 is gone: run as a script, this does nothing now"
    ]


def test_a_path_line_that_went() -> None:
    path = "import sys\nsys.path.append('lib')\n"
    assert fatal(check(path + CLASS + GUARD, USE + GUARD, CLASS), GATE)
    assert not fatal(check(path + CLASS + GUARD, path + USE + GUARD, CLASS), GATE)


@pytest.mark.parametrize("text", ["'''doc'''\n", "x: int\n", "pass\n", "...\n", "import os\n", "Y = max(1, 2)\n"])
def test_what_does_nothing_may_go(text: str) -> None:
    assert not fatal(check(CLASS + text + GUARD, USE + GUARD, CLASS), GATE)


def test_several_statements_on_a_line() -> None:
    old = "import torch; torch.manual_seed(1)\n" + CLASS + GUARD
    assert fatal(check(old, USE + GUARD, CLASS), GATE)
    assert not fatal(
        check(
            old, IMPORT_SETUP + USE + GUARD, IMPORT_SETUP + CLASS, _train_setup="import torch; torch.manual_seed(1)\n"
        ),
        GATE,
    )


def test_no_extraction_no_question() -> None:
    assert not verdict(check_of({"a.py": "print(1)\n"}, {"a.py": "x = 1\n"}), GATE)


BELOW = [
    ("X = torch.zeros(3)\n", True),  # of the type that was set above it
    ("def make():\n    return 1\n\n\nX = make()\n", True),  # who knows what it calls
    ("print(torch.zeros(1))\n", True),
    ("X = max(1, 2)\n", False),
    ("X = torch\n", False),
    ("class C(torch.nn.Module):\n    @torch.no_grad()\n    def f(self): ...\n", False),
    ("import numpy\n", False),
    ("from torch import nn\n", False),
]


@pytest.mark.parametrize(("text", "needs_it"), BELOW)
def test_what_stood_below_waits_for_it_where_it_may_need_it(text: str, needs_it: bool) -> None:
    head, effect = "import torch\n", "torch.set_default_dtype(torch.float64)\n"
    old = head + effect + text + CLASS + GUARD
    setup = "import torch\n" + effect
    late = check(old, head + text + IMPORT_SETUP + USE + GUARD, IMPORT_SETUP + CLASS, _train_setup=setup)
    assert bool(fatal(late, GATE)) == needs_it
    good = check(old, head + IMPORT_SETUP + text + USE + GUARD, IMPORT_SETUP + CLASS, _train_setup=setup)
    assert not fatal(good, GATE)
