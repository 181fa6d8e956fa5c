"""No import cycle that was not there."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migration.gates.import_cycles import components
from tests.migration.gates.checks import check_of, failing_of_all, fatal, verdict

GATE = "import-cycles"
A = "import b\n\n\ndef f():\n    return b.g\n"
B = "import a\n\n\ndef g():\n    return a.f\n"


def test_only_this_gate_sees_a_cycle_that_happens_to_work() -> None:
    check = check_of({"a.py": A, "b.py": "def g(): ...\n"}, {"b.py": B})
    assert failing_of_all(check) == {GATE}
    assert fatal(check, GATE) == [
        "a.py:1: new import cycle: a.py → b.py → a.py; import it inside the function that needs it, or move what both need to a third module"
    ]


@pytest.mark.parametrize(
    "text",
    [
        "def g():\n    import a\n    return a.f\n",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import a\n",
        "if __name__ == '__main__':\n    import a\n",
        "import c\n",
    ],
)
def test_imports_that_do_not_run_as_the_module_loads_close_no_cycle(text: str) -> None:
    assert not verdict(check_of({"a.py": A, "b.py": "", "c.py": ""}, {"b.py": text}), GATE)


@pytest.mark.parametrize(
    "text",
    [
        "from a import f\n",
        "try:\n    import a\nexcept ImportError:\n    pass\n",
        "if True:\n    import a\n",
        "class G:\n    import a\n",
        "import c\n",
    ],
)
def test_imports_that_do(text: str) -> None:
    check = check_of({"a.py": A, "b.py": "", "c.py": "import a\n"}, {"b.py": text + "def g(): ...\n"})
    assert fatal(check, GATE)


def test_imports_below_all_definitions_are_a_warning() -> None:
    below = {
        "a.py": "def f():\n    return g\n\n\nfrom b import g\n",
        "b.py": "def g():\n    return f\n\n\nfrom a import f\n",
    }
    check = check_of({"a.py": "def f(): ...\ndef g(): ...\n"}, below)
    (failure,) = verdict(check, GATE)
    assert not failure.fatal and "below all definitions" in failure.message
    assert failing_of_all(check) == set()


def test_one_that_imports_above_its_definitions_is_not() -> None:
    one = {
        "a.py": "from b import g\n\n\ndef f():\n    return g\n",
        "b.py": "def g():\n    return f\n\n\nfrom a import f\n",
    }
    assert fatal(check_of({"a.py": "def f(): ...\ndef g(): ...\n"}, one), GATE)


def test_a_cycle_that_was_there_is_not_new() -> None:
    assert not verdict(check_of({"a.py": A, "b.py": B}, {"b.py": B + "x = 1\n"}), GATE)


def test_nor_is_one_of_a_module_that_was_renamed() -> None:
    before = {"p/__init__.py": "", "p/a.py": "import p.b\n", "p/b.py": "import p.a\n"}
    step = {"kind": "move-module", "source": "p/b.py", "target": "p/c.py"}
    edits = {"p/a.py": "import p.c\n", "p/b.py": None, "p/c.py": "import p.a\n"}
    assert not verdict(check_of(before, edits, steps=[step]), GATE)


def test_a_longer_way_round_is_shown_whole() -> None:
    before = {"p/__init__.py": "", "p/a.py": "from . import b\n", "p/b.py": "from .c import x\n", "p/c.py": "x = 1\n"}
    (message,) = fatal(check_of(before, {"p/c.py": "from p import a\nx = 1\n"}), GATE)
    assert "p/a.py → p/b.py → p/c.py → p/a.py" in message


def test_a_package_and_its_parts() -> None:
    before = {"p/__init__.py": "", "p/a.py": "x = 1\n"}
    assert fatal(
        check_of(before, {"p/__init__.py": "from .a import x\ny = 1\n", "p/a.py": "from p import y\nx = 1\n"}), GATE
    )
    assert not verdict(check_of(before, {"p/__init__.py": "from .a import x\n", "p/b.py": "from .a import x\n"}), GATE)


def test_a_file_that_does_not_parse_leads_nowhere() -> None:
    assert not verdict(check_of({"a.py": A, "b.py": "import a\ndef (:\n"}, {"a.py": A + "x = 1\n"}), GATE)


@given(st.dictionaries(st.integers(0, 7), st.sets(st.integers(0, 7)), min_size=1))
def test_components_are_who_can_reach_each_other(edges: dict[int, set[int]]) -> None:
    nodes = {*edges, *(m for of in edges.values() for m in of)}
    graph = {str(n): {str(m): 1 for m in edges.get(n, set())} for n in nodes}

    def reach(start: str) -> set[str]:
        seen, todo = set[str](), [start]
        while todo:
            new = graph[todo.pop()].keys() - seen
            seen |= new
            todo += new
        return seen

    expected = {frozenset(o for o in graph if o in reach(n) and n in reach(o)) for n in graph}
    assert set(components(graph)) == {c for c in expected if len(c) > 1}
