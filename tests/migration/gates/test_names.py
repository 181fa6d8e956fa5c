"""No new undefined name, no new unused import."""

from __future__ import annotations

import pytest

from migration.codemods import Outcome
from tests.migration.gates.checks import check_of, failing, fatal, moved

GATE = "names"


def new(code: str, path: str = "a.py", before: str | None = None) -> list[str]:
    return fatal(check_of({path: before} if before is not None else {}, {path: code}), GATE)


def test_only_this_gate_sees_an_undefined_name() -> None:
    check = check_of({"a.py": "x = 1\n"}, {"a.py": "x = 1\ny = torch.zeros(1)\n"})
    assert failing(check) == {GATE}
    assert fatal(check, GATE) == ["a.py:2: undefined name 'torch': it has to be imported or defined here"]


@pytest.mark.parametrize(
    "code",
    [
        "import os\n",
        "import os.path\n",
        "from os import path, sep\nsep\n",
        "from os import path as p\n",
        "def f():\n    import os\n",
        "def f(x: 'Missing'): ...\n",
        "def f(x: list['Missing']): ...\n",
        "x: Missing = 1\n",
        "__all__ = ['missing']\n",
        "def f():\n    print(x)\n    x = 1\n",
        "from os import *\nsep\n",
        "import os\nimport os\nos\n",
        "import a\ndef a(): ...\n",
        "import os  # noqa: E501\n",
        "import os  # qa\n",
    ],
)
def test_what_counts_as_new(code: str) -> None:
    assert new(code)


@pytest.mark.parametrize(
    "code",
    [
        "import os\nos\n",
        "import os  # noqa\n",
        "import os  # NOQA: E402, F401\n",
        "import os  # noqa: F401 (for its effect)\n",
        "from os import (  # noqa: F401\n    path,\n    sep,\n)\n",
        "from os import (\n    path,  # noqa: F401\n)\n",
        "from os import path as path\n",
        "import os as os\n",
        "from . import x as x\n",
        "import os\n__all__ = ['os']\n",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from a import A\ndef f(x: 'A') -> 'list[A]': ...\n",
        "try:\n    import a\nexcept ImportError:\n    import b as a\na\n",
        "try:\n    import a\nexcept ImportError:\n    a = None\nprint(a)\n",
        "print(__file__, __name__, __doc__)\n",
        "def f():\n    global g\n    g = 1\ndef h(): return g\n",
        "class A:\n    def f(self): return __class__\n",
    ],
)
def test_what_does_not(code: str) -> None:
    assert not new(code)


def test_an_init_file_hands_its_imports_on() -> None:
    assert not new("from .a import x\n", "pkg/__init__.py")
    assert new("from .a import x\ny\n", "pkg/__init__.py")


def test_what_the_file_had_before_is_not_new() -> None:
    assert not new("import os\nmissing\n", before="missing\n\n\nimport os\n")


def test_an_idle_import_that_was_pointed_elsewhere_is_not_new() -> None:
    assert not new("from b.c import x\nfrom b import y as z\n", before="from a import x, y as z\n")


def test_an_import_that_its_user_left_is_new() -> None:
    check = check_of(
        {"old.py": "import os\n\n\ndef f(): return os\n"},
        {"old.py": "import os\n", "new.py": "import os\n\n\ndef f(): return os\n"},
        moved("old.py", "new.py", "f"),
    )
    assert fatal(check, GATE) == [
        "old.py:1: 'os' imported but unused: nothing here uses it any more; it should go, or be marked as a re-export"
    ]


def test_a_name_undefined_in_the_source_is_not_new_in_the_target() -> None:
    before = "import os\ndef f(): return missing, os\n"
    check = check_of(
        {"old.py": before}, {"old.py": "", "new.py": "def f(): return missing, os\n"}, moved("old.py", "new.py", "f")
    )
    assert [f.partition(": ")[2][:21] for f in fatal(check, GATE)] == ["undefined name 'os': "]


def test_an_idle_import_of_the_source_is_new_in_the_target() -> None:
    check = check_of(
        {"old.py": "import os\ndef f(): ...\n"},
        {"old.py": "import os\n", "new.py": "import os\ndef f(): ...\n"},
        moved("old.py", "new.py", "f"),
    )
    assert [f[:9] for f in fatal(check, GATE)] == ["new.py:1:"]


def test_a_star_import_that_came_along_is_not_new() -> None:
    before = "from m import *\ndef f(): return x\n"
    check = check_of({"old.py": before}, {"old.py": "", "new.py": before}, moved("old.py", "new.py", "f"))
    assert not fatal(check, GATE)


def test_a_module_moved_whole_keeps_its_idle_imports() -> None:
    steps = [{"kind": "move-module", "source": "old.py", "target": "pkg/new.py"}]
    check = check_of(
        {"old.py": "import os\nx\n"}, {"old.py": None, "pkg/new.py": "import os\nx\n"}, {"1": Outcome()}, steps
    )
    assert not fatal(check, GATE)


def test_a_name_undefined_in_the_duplicate_is_not_new_with_what_was_adopted() -> None:
    steps = [{"kind": "remove-duplicate", "duplicate": "copy.py", "canonical": "a.py", "adopt": ["f"]}]
    check = check_of(
        {"a.py": "def f(): ...\n", "copy.py": "def f(): return z\n"},
        {"a.py": "def f(): return z\n", "copy.py": None},
        {"1": Outcome()},
        steps,
    )
    assert not fatal(check, GATE)


def test_files_that_do_not_parse_are_another_gates_business() -> None:
    assert failing(check_of({"a.py": "x = (\n"}, {"a.py": "y = (\n", "b.py": "z = 1\n"})) == {"parses"}
