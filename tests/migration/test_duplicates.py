"""What counts as the same definition, and what as another one."""

from __future__ import annotations

import pytest

from migration.analysis.duplicates import compare
from migration.analysis.source import Source


def category(ours: str, theirs: str, name: str = "f") -> str:
    entries = {e.name: e.category for e in compare(Source("a.py", ours.encode()), Source("b.py", theirs.encode()))}
    return entries[name]


BASE = "def f(x):\n    y = x + 1\n    return y\n"


@pytest.mark.parametrize(
    "theirs",
    [
        "def f(x):\n    # why\n    y = x + 1  # how\n    return y\n",
        "def f( x ):\n        y = (x\n             + 1)\n        return y\n",
        'def f(x):\n    """What it does."""\n    y = x + 1\n    return y\n',
        "def f(x):\n    renamed = x + 1\n    return renamed\n",
        BASE.replace("\n", "\r\n"),
    ],
    ids=["comments", "formatting", "docstring", "a renamed local", "line endings"],
)
def test_the_same_but_for_how_it_is_written(theirs: str) -> None:
    assert category(BASE, theirs) in ("cosmetic", "identical")


@pytest.mark.parametrize(
    "theirs",
    [
        "def f(x):\n    y = x + 2\n    return y\n",
        "def f(x, z=0):\n    y = x + 1\n    return y\n",
        "def f(z):\n    y = z + 1\n    return y\n",
        "@cache\ndef f(x):\n    y = x + 1\n    return y\n",
        "async def f(x):\n    y = x + 1\n    return y\n",
        "def f(x):\n    global y\n    y = x + 1\n    return y\n",
        "def f(x):\n    y = x + 1\n    return x\n",
    ],
    ids=["a number", "a parameter", "a parameter's name", "a decorator", "async", "global", "which local"],
)
def test_really_different(theirs: str) -> None:
    assert category(BASE, theirs) == "different"


def test_locals_that_change_places_are_a_difference() -> None:
    assert (
        category("def f():\n    a = b = 1\n    return a - b\n", "def f():\n    a = b = 1\n    return b - a\n")
        == "different"
    )


def test_a_name_that_an_inner_function_takes_from_the_module_is_no_local() -> None:
    ours = "def f():\n    def g():\n        t = 1\n    def h():\n        return t\n"
    theirs = "def f():\n    def g():\n        u = 1\n    def h():\n        return u\n"
    assert category(ours, theirs) == "different"


def test_a_renamed_comprehension_variable_is_cosmetic() -> None:
    assert category("def f(a):\n    return [b for b in a]\n", "def f(a):\n    return [c for c in a]\n") == "cosmetic"


def test_methods_are_compared_one_by_one() -> None:
    ours = "class A:\n    k = 1\n    def m(self): return 1\n    def n(self): return 2\n"
    theirs = "class A:\n    k = 1\n    def m(self): return 1\n    def n(self): return 3\n"
    assert [category(ours, theirs, n) for n in ("A", "A.m", "A.n")] == ["identical", "identical", "different"]


def test_what_a_class_holds_beside_methods_counts() -> None:
    assert category("class A:\n    k = 1\n", "class A:\n    k = 2\n", "A") == "different"


def test_a_base_class_counts() -> None:
    assert category("class A(B):\n    k = 1\n", "class A(C):\n    k = 1\n", "A") == "different"


def test_definitions_in_one_file_only() -> None:
    assert category("def f(): ...\n", "def g(): ...\n", "g") == "only in duplicate"
    assert category("def f(): ...\n", "def g(): ...\n", "f") == "only in canonical"


def test_an_import_from_elsewhere_is_told_apart() -> None:
    assert category("from a import x\n", "from b import x\n", "import of x") == "import-source"


def test_a_setter_is_not_its_property() -> None:
    ours = "class A:\n    @property\n    def p(self): return 1\n    @p.setter\n    def p(self, v): self.v = v\n"
    assert category(ours, ours.replace("self.v = v", "self.v = 2 * v"), "A.p'") == "different"
    assert category(ours, ours.replace("self.v = v", "self.v = 2 * v"), "A.p") == "identical"


def test_shell_scripts_that_differ_in_a_path_only() -> None:
    entries = compare(
        Source("a/run.sh", b"python training/train.py\n"), Source("b/run.sh", b"python ../training/train.py\n")
    )
    assert [e.category for e in entries] == ["path-only"]
    assert not entries[0].matters
