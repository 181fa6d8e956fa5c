"""Is this copy a copy: what two files' definitions differ in, by what they do."""

from __future__ import annotations

import pytest
from hypothesis import given, settings

from migration.analysis.duplicates import comments_only_in, compare
from migration.analysis.source import Source
from tests.migration.programs import Program, programs


def categories(ours: str | bytes, theirs: str | bytes, path: str = "m.py") -> dict[str, str]:
    """Name → category of everything that is not the same letter for letter."""
    first, second = (t.encode() if isinstance(t, str) else t for t in (ours, theirs))
    entries = compare(Source(f"a/{path}", first), Source(f"b/{path}", second))
    return {e.name: e.category for e in entries if e.category != "identical"}


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("def f():\n    return 1\n", "def f():  # one\n    return (1)\n"),
        ("def f():\n    return 1\n", 'def f():\n    """One."""\n    return 1\n'),
        ("def f(a):\n    beta = a\n    return beta\n", "def f(a):\n    β = a\n    return β\n"),
        ("def f():\n    x, y = 1, 2\n    return x - y\n", "def f():\n    y, x = 1, 2\n    return y - x\n"),
        ("def f(s):\n    return [i for i in s]\n", "def f(s):\n    return [j for j in s]\n"),
        ("def f():\n    return lambda *a: a\n", "def f():\n    return lambda *b: b\n"),
        (
            "def f():\n    try:\n        g()\n    except E as e:\n        h(e)\n",
            "def f():\n    try:\n        g()\n    except E as x:\n        h(x)\n",
        ),
        ("def f():\n    return 'a'\n", 'def f():\n    return "a"\n'),
    ],
)
def test_what_does_the_same_is_cosmetic(ours: str, theirs: str) -> None:
    assert categories(ours, theirs) == {"f": "cosmetic"}


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("def f(a):\n    return a\n", "def f(b):\n    return b\n"),
        ("def f():\n    x = 1\n    return y\n", "def f():\n    y = 1\n    return y\n"),
        ("def f():\n    x, y = 1, 2\n    return x - y\n", "def f():\n    x, y = 1, 2\n    return y - x\n"),
        ("def f():\n    x = 1\n    return locals()\n", "def f():\n    y = 1\n    return locals()\n"),
        ("def f():\n    global x\n    x = 1\n", "def f():\n    global y\n    y = 1\n"),
        ("def f():\n    return 1\n", "async def f():\n    return 1\n"),
        ("def f():\n    return 1\n", "@cache\ndef f():\n    return 1\n"),
        ("def f(a=1):\n    return a\n", "def f(a=2):\n    return a\n"),
        ("def f():\n    return 1\n", "def f():\n    return 1.0\n"),
        ("def f():\n    from a import g\n    g()\n", "def f():\n    from b import g\n    g()\n"),
    ],
)
def test_what_does_something_else_is_different(ours: str, theirs: str) -> None:
    assert categories(ours, theirs) == {"f": "different"}


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("class A(B): ...\n", "class A(C): ...\n"),
        ("class A(metaclass=M): ...\n", "class A(metaclass=N): ...\n"),
        ("class A:\n    n = 1\n    def f(self): ...\n", "class A:\n    n = 2\n    def f(self): ...\n"),
        ("@one\nclass A: ...\n", "@two\nclass A: ...\n"),
    ],
)
def test_a_class_beside_its_methods_is_compared_too(ours: str, theirs: str) -> None:
    assert categories(ours, theirs) == {"A": "different"}


def test_methods_are_compared_one_by_one() -> None:
    ours = "class A:\n    def f(self): return 1\n    def g(self): return 1\n    def h(self): ...\n"
    theirs = "class A:\n    def f(self): return 1\n    def g(self): return 2\n    def i(self): ...\n"
    assert categories(ours, theirs) == {
        "A.g": "different",
        "A.i": "only in duplicate",
        "A.h": "only in canonical",
    }


def test_a_name_bound_twice_counts_twice() -> None:
    text = "class A:\n    @property\n    def x(self): return 1\n    @x.setter\n    def x(self, v): {}\n"
    assert categories(text.format("..."), text.format("print(v)")) == {"A.x'": "different"}


def test_statements_count_by_what_they_say() -> None:
    assert categories("go('a')\nX = 1\n", "go('b')\nX = 2\n") == {
        "statement go('b')": "only in duplicate",
        "statement go('a')": "only in canonical",
        "X": "different",
    }


def test_order_and_module_docstring_do_not_matter() -> None:
    assert categories('"""A."""\nX = 1\nY = 2\n', '"""B."""\nY = 2\nX = 1\n') == {}


def test_an_import_from_another_place_is_told_apart() -> None:
    ours, theirs = "from a import f, g\nimport os\nf()\n", "from b import f, g as g\nimport os, sys\nf()\n"
    assert categories(ours, theirs) == {"import of f": "import-source", "import of g": "import-source"}


def test_a_renamed_local_variable_is_named() -> None:
    sources = [Source("m.py", f"def f():\n    {name} = 1\n    return {name}\n".encode()) for name in ("alpha", "α")]
    assert [e.notes for e in compare(*sources)] == [("α is called alpha",)]


def test_line_endings_and_byte_order_mark_are_no_difference() -> None:
    assert categories("def f():\n    return 1\n", b"\xef\xbb\xbfdef f():\r\n    return 1\r\n") == {}


def test_python_that_does_not_parse_is_compared_as_text() -> None:
    assert categories("def (\n", "def (\n") == {}
    assert set(categories("def (\nx\n", "def (\ny\n").values()) == {"different"}
    assert set(categories("if x:\n  def (\n", "if x:\n    def (\n").values()) == {"different"}


@pytest.mark.parametrize(
    ("ours", "theirs", "category"),
    [
        ("python training/t.py --a\n", "python t.py --a\n", "path-only"),
        ("# new words\npython t.py\n", "# words\npython t.py\n", "comment-only"),
        ("f() {\n  a\n}\n", "f() {\n    a\n}\n", "cosmetic"),
        ("python t.py --a 1\n", "python t.py --a 2\n", "different"),
        ("python a/t.py\n", "python a/u.py\n", "different"),
        ("cp x.py a/x.py\n", "cp x.py b/x.py\n", "different"),
        ("echo 'a  b'\n", "echo 'a b'\n", "different"),
    ],
)
def test_shell_scripts_are_compared_by_their_grammar(ours: str, theirs: str, category: str) -> None:
    assert set(categories(ours, theirs, "run.sh").values()) == {category}


def test_comments_of_the_duplicate_alone_come_in_runs_of_lines() -> None:
    ours = Source("a.py", b"# both\nx = 1\n")
    theirs = Source("b.py", b"# one\n\n# two\nx = 1  # both\ny = 2  # three\n")
    assert comments_only_in(theirs, ours) == [(1, 3, ["# one", "# two"]), (5, 5, ["# three"])]


def test_comments_of_what_does_not_parse_are_not_looked_for() -> None:
    assert comments_only_in(Source("b.py", b"'''\n# x"), Source("a.py", b"")) == []


@settings(deadline=None, max_examples=30)
@given(programs())
def test_every_program_is_its_own_copy(program: Program) -> None:
    assert categories(program.text, program.text) == {}
    assert set(categories(program.text, "# one more comment\n" + program.text).values()) <= {"cosmetic"}
