"""extract-symbols where modules lean on each other."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.migration.support import write_tree
from tests.migration.test_extract_symbols import extract


def test_an_eager_re_export_that_would_be_a_cycle_becomes_a_module_getattr() -> None:
    tree = extract(
        {"main.py": "class Base: pass\nclass D(Base): pass\nclass E(Base): pass\n"}, ("main.py", "d.py", ["D"])
    )
    left = tree.read("main.py").decode()
    assert "class Base: pass\n" in left
    assert '"D": "d"' in left
    assert "from d import" not in left


def test_definitions_that_call_each_other_across_two_targets_import_below() -> None:
    source = "class A:\n    def b(self): return B()\nclass B:\n    def a(self): return A()\n"
    tree = extract({"main.py": source}, ("main.py", "a.py", ["A"]), ("main.py", "b.py", ["B"]))
    a, b = tree.read("a.py").decode(), tree.read("b.py").decode()
    assert a.index("class A") < a.index("from b import B")
    assert b.index("class B") < b.index("from a import A")


def test_a_base_and_a_child_that_it_makes_can_go_to_two_modules() -> None:
    source = "class Base:\n    def child(self): return Child()\nclass Child(Base): pass\nprint(type(Base().child()).__name__)\n"
    tree = extract({"main.py": source}, ("main.py", "a.py", ["Base"]), ("main.py", "b.py", ["Child"]))
    write_tree(tree.root, {p: tree.read(p) for p in tree.paths()})
    for first in ("a", "b", "main"):
        code = f"import {first}, a, b; assert a.Child is b.Child and type(a.Base().child()) is b.Child"
        done = subprocess.run([sys.executable, "-c", code], cwd=tree.root, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


CALLED_AS_IT_LOADS = """\
ONE = 1
def add(x, y=0):
    return x + y + ONE
FIVE = add(3) + ONE
print(ONE, FIVE, add(1))
"""


@pytest.mark.parametrize("first", ["main", "parts.a", "parts.b"])
def test_a_constant_that_calls_across_is_given_what_the_call_needs_in_time(tmp_path: Path, first: str) -> None:
    tree = extract(
        {"main.py": CALLED_AS_IT_LOADS}, ("main.py", "parts/b.py", ["ONE", "FIVE"]), ("main.py", "parts/a.py", ["add"])
    )
    write_tree(tmp_path, {path: tree.read(path) for path in tree.paths()})
    code = f"import {first}, parts.a, parts.b; print(parts.b.FIVE, parts.a.add(1))"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1:] == ["5 2"], done.stderr
