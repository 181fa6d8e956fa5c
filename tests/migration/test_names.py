"""Names a statement needs and binds, against cases by hand, against symtable, and against what a run really looks up."""

from __future__ import annotations

import ast
import builtins
import contextlib
import symtable
import sys
import textwrap
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migration.analysis.bound_names import bound_names
from migration.analysis.names import free_names


def eager(code: str, **options: bool) -> set[str]:
    return set(free_names(textwrap.dedent(code), **options).eager)


def deferred(code: str) -> set[str]:
    return set(free_names(textwrap.dedent(code)).deferred)


def test_decorators_bases_keywords_defaults_and_class_body_run_with_the_statement() -> None:
    code = """
    @decorate(ARG)
    class A(base.B[T], metaclass=Meta):
        size = DEFAULT
        def f(self, x=FALLBACK, *, y=OTHER): return inner(x, y)
    """
    assert eager(code) == {"decorate", "ARG", "base", "T", "Meta", "DEFAULT", "FALLBACK", "OTHER"}
    assert deferred(code) == {"inner"}


def test_a_name_can_be_eager_and_deferred() -> None:
    found = free_names("def f(x=N):\n    return N\n")
    assert found.eager == found.deferred == {"N"}


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("x = x + 1", {"x"}),
        ("x = 1; y = x", set()),
        ("x += 1", {"x"}),
        ("x[0] += 1", {"x"}),
        ("x.a = 1", {"x"}),
        ("del x", {"x"}),
        ("x = 1; del x; y = x", {"x"}),
        ("class A(A): pass", {"A"}),
        ("for i in i: j = i", {"i"}),
        ("with a as b, b.c() as d: d()", {"a"}),
        ("if c: x = 1\nelse: y = x", {"c", "x"}),
        ("if c: x = 1\ny = x", {"c", "x"}),
        ("if c: x = 1\nelse: x = 2\ny = x", {"c"}),
        ("if c: x = 1\nelse: raise E\ny = x", {"c", "E"}),
        ("for i in s: x = i\ny = x", {"s", "x"}),
        ("while c: x = 1\nelse: y = x", {"c", "x"}),
        ("try: import a\nexcept E as e: a = e\nb = a", {"E"}),
        ("try: import a\nexcept E as e: a = e\nb = e", {"E", "e"}),
        ("try: import a\nexcept E: raise\nelse: b = a\nfinally: c = a, b", {"E"}),
        ("try: import a\nfinally: b = a", set()),
        ("(n := m) + n", {"m"}),
        ("while (n := m): print(n)", {"m", "print"}),
        (
            "match p:\n  case C(x=[a, *b]) if a: d = b\n  case {'k': v, **r}: e = v, r\n  case Z.y | None: f = a",
            {"p", "C", "Z", "a"},
        ),
        ("f'{a!r:{w}}'", {"a", "w"}),
        ("a.b.c(d=e)", {"a", "e"}),
        ("assert a, b", {"a", "b"}),
        ("raise a from b", {"a", "b"}),
    ],
)
def test_module_level_code_reads_in_the_order_it_runs(code: str, expected: set[str]) -> None:
    assert eager(code) == expected


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("[a for a in b if c]", {"b", "c"}),
        ("{a: d for a, *e in b for d in (a, e)}", {"b"}),
        ("class A:\n  n = 3\n  m = [n for _ in r(n)]", {"n", "r"}),
        ("class A:\n  x = x", {"x"}),
        ("class A:\n  x = 1\n  y = x", set()),
        ("class A:\n  q = __qualname__, __module__", set()),
        ("class A:\n  class B:\n    pass\n  class C(B):\n    d = B", {"B"}),
        ("any(f(a) for a in b)", {"any", "f", "b"}),
        ("[y := f(x), y]", {"f", "x"}),
        ("z = [last := i for i in s]; last", {"s"}),
    ],
)
def test_scopes_of_classes_and_comprehensions(code: str, expected: set[str]) -> None:
    assert eager(code) == expected


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("def f():\n  def g():\n    nonlocal x\n    x = y\n  x = 1\n  return g", {"y"}),
        ("def f(): return x\nx = 1", set()),
        ("def f(n): return f(n - 1)", set()),
        ("def f():\n  print(x)\n  x = 1", {"print"}),
        ("def f():\n  x = 1\n  class A:\n    x = x", {"x"}),
        ("def f(x):\n  class A:\n    y = x", set()),
        ("class A:\n  k = 1\n  def f(self): return k, __class__, super()", {"k", "super"}),
        ("class A:\n  def f(self): return lambda: __class__", set()),
        ("lambda a, b=c, *d, e=f, **g: (a, b, d, e, g, h)", {"h"}),
        ("def f():\n  try: pass\n  except E as e: return e\n  import a.b as c, d.e\n  return c, d", {"E"}),
        ("g = (h(i) for i in j)", {"h"}),
        ("sum(h(i) for i in j)", set()),
        ("async def f():\n  async with a as b:\n    async for c in d: await b(c)", {"a", "d"}),
        ("def f():\n  [x := 1 for _ in y]\n  return x", {"y"}),
    ],
)
def test_what_waits_for_a_call(code: str, expected: set[str]) -> None:
    assert deferred(code) == expected


def test_global_in_a_function_is_reported_as_assigned_and_read_as_deferred() -> None:
    found = free_names("def f():\n    global COUNT, SEEN\n    COUNT += 1\n    SEEN = 1\n")
    assert found.assigned_global == {"COUNT", "SEEN"}
    assert found.deferred == {"COUNT"}


def test_global_reaches_over_an_enclosing_function() -> None:
    assert "x" in free_names("def f(x):\n    def g():\n        global x\n        return x\n").deferred


def test_annotations_of_signatures_are_evaluated_and_of_locals_are_not() -> None:
    found = free_names("def f(a: A, *b: B, **c: C) -> R:\n    d: D = 1\n    self.e: E = 2\n")
    assert found.eager == {"A", "B", "C", "R"}
    assert found.annotations_only == {"D", "E"}
    assert found.deferred == {"self"}


def test_the_future_import_moves_annotations_out_of_what_runs() -> None:
    found = free_names("class K:\n    x: X = v\n    def f(self, a: A = d) -> K: ...\n", future_annotations=True)
    assert found.eager == {"v", "d"}
    assert found.annotations_only == {"X", "A"}


def test_a_name_that_also_runs_is_not_only_an_annotation() -> None:
    found = free_names("def f(a: A) -> 'B':\n    return A(), B\n", future_annotations=True)
    assert found.annotations_only == found.string_annotations == frozenset()
    assert found.deferred == {"A", "B"}


@pytest.mark.parametrize(
    ("code", "names"),
    [
        ("def f(a: 'np.ndarray'): ...", {"np"}),
        ("def f(a: Optional['X'], b: 'List[\"Y\"]'): ...", {"X", "List", "Y"}),
        ("x: 'A | None' = 1", {"A"}),
        ("x: 'A' | B = 1", {"A"}),
        ("x: Literal['r', 'w'] = 1", set()),
        ("x: typing.Literal['r'] = 1", set()),
        ("x: Annotated['T', 'metres', unit('k')] = 1", {"T"}),
        ("x: Callable[['A'], 'B'] = 1", {"A", "B"}),
        ("x: 'not an annotation' = 1", set()),
        ("x: '\\n  A' = 1", {"A"}),
        ("y = cast('X', v)", {"X"}),
        ("y = typing.cast('list[X]', v)", {"list", "X"}),
        ("y = column.cast('Int64', v)", set()),
        ("y = 'X'", set()),
    ],
)
def test_string_annotations(code: str, names: set[str]) -> None:
    assert free_names(code).string_annotations == names


def test_a_string_annotation_may_mean_a_later_name_of_its_class() -> None:
    assert free_names("class A:\n  x: 'B'\n  class B: ...\n").string_annotations == set()


def test_global_in_a_class_body_is_the_bodys_own() -> None:
    found = free_names("def f(y):\n  class A:\n    global x\n    x = 1\n    def g(self): return x\n")
    assert found.assigned_global == {"x"}


def test_metadata_of_annotated_still_runs() -> None:
    assert free_names("x: Annotated['T', 'metres', unit(k)] = 1").eager == {"Annotated", "unit", "k"}


@pytest.mark.parametrize(
    ("statement", "names"),
    [
        ("import a.b.c, d as e", {"a", "e"}),
        ("from a import b, c as d", {"b", "d"}),
        ("from a import *", {"*"}),
        ("(a, [b, *c]), d.e, f[g] = h", {"a", "b", "c"}),
        ("a = b = c", {"a", "b"}),
        ("a += 1", {"a"}),
        ("a: int = 1", {"a"}),
        ("a: int", set()),
        ("for a, b in c:\n  d = 1\nelse:\n  e = 2", {"a", "b", "d", "e"}),
        ("if a: b = 1\nelif c: d = 2", {"b", "d"}),
        ("try:\n  import a\nexcept E as e:\n  a = None\nfinally:\n  z = 1", {"a", "e", "z"}),
        ("with a as (b, c), d as e: f = 1", {"b", "c", "e", "f"}),
        ("while (a := b): c = 1", {"a", "c"}),
        ("print([a := b for c in d])", {"a"}),
        ("f(lambda: (a := 1))", set()),
        ("match a:\n  case [b, *c]: d = 1\n  case {'k': e, **f}: pass\n  case g: pass", {"b", "c", "d", "e", "f", "g"}),
        ("def f(a=(b := 1)):\n  c = 1", {"f", "b"}),
        ("async def f(): ...", {"f"}),
        ("class A((b := object)):\n  c = 1", {"A", "b"}),
        ("del a", set()),
        ("a.b = 1", set()),
    ],
)
def test_bound_names(statement: str, names: set[str]) -> None:
    assert bound_names(statement) == names


def test_type_parameters_are_bound_and_their_bounds_wait() -> None:
    code = "def f[T: Bound](a: T = d) -> list[T]: return T\nclass A[S](Base[S]):\n  x: S\n  def g[U](self, u: U): return x, S\ntype L[V] = dict[V, W]\n"
    try:
        found = free_names(code)
    except SyntaxError:
        pytest.skip("type parameters came with Python 3.12")
    assert found.eager == {"d", "list", "Base"}
    assert found.deferred == {"Bound", "x", "dict", "W"}
    assert bound_names(code) == {"f", "A", "L"}


def test_code_that_does_not_parse_raises_syntax_error() -> None:
    with pytest.raises(SyntaxError):
        free_names("def f(:\n")


# Laws over generated programs.

NAMES = st.sampled_from(["a", "b", "c", "d"])


def _expressions(functions: bool) -> st.SearchStrategy[str]:
    def larger(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
        at_once = [
            st.builds("{}({}, {})".format, NAMES, inner, inner),
            st.builds("({} + {})".format, inner, inner),
            st.builds("[{} for {} in {} if {}]".format, inner, NAMES, inner, inner),
        ]
        later = [
            st.builds("(lambda {}={}: {})".format, NAMES, inner, inner),
            st.builds("({} for {} in {})".format, inner, NAMES, inner),
        ]
        return st.one_of(*at_once, *(later if functions else []))

    return st.recursive(NAMES, larger, max_leaves=4)


def _simple(functions: bool) -> st.SearchStrategy[str]:
    expression = _expressions(functions)
    return st.one_of(
        st.builds("{} = {}".format, NAMES, expression),
        st.builds("{} += {}".format, NAMES, expression),
        st.builds("import {}".format, NAMES),
        expression,
    )


def _programs(functions: bool) -> st.SearchStrategy[str]:
    expression = _expressions(functions)

    def blocks(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
        body = st.lists(inner, max_size=3).map(lambda lines: textwrap.indent("\n".join(lines) or "pass", "    "))
        at_once = [
            st.builds("class {}:\n{}".format, NAMES, body),
            st.builds("if {}:\n{}\nelse:\n{}".format, expression, body, body),
            st.builds("for {} in {}:\n{}".format, NAMES, expression, body),
            st.builds("try:\n{}\nexcept {} as {}:\n{}".format, body, expression, NAMES, body),
        ]
        function = st.builds("def {}({}={}, *, e: {} = 1):\n{}".format, NAMES, NAMES, expression, expression, body)
        return st.one_of(*at_once, *([function] if functions else []))

    statements = st.recursive(_simple(functions), blocks, max_leaves=8)
    return st.lists(statements, min_size=1, max_size=3).map("\n".join)


PROGRAMS = _programs(functions=True)


def _tables(table: symtable.SymbolTable) -> Iterator[symtable.SymbolTable]:
    yield table
    for child in table.get_children():
        yield from _tables(child)


@given(PROGRAMS)
def test_agrees_with_the_compilers_symbol_table(code: str) -> None:
    top, *inner = _tables(symtable.symtable(code, "generated", "exec"))
    free, bound = free_names(code).all, bound_names(code)
    needed = {s.get_name() for t in inner for s in t.get_symbols() if s.is_referenced() and s.is_global()}
    needed |= {s.get_name() for s in top.get_symbols() if s.is_referenced()}
    poured: set[str] = set()
    if sys.version_info >= (3, 12):  # PEP 709: the table of a comprehension is poured into the one around it
        poured = {
            t.id
            for n in ast.walk(ast.parse(code))
            if isinstance(n, ast.comprehension)
            for t in ast.walk(n.target)
            if isinstance(t, ast.Name)
        }
    # A class body reads the module's name where it has not bound its own yet; the table calls that local.
    class_locals = {s.get_name() for t in inner if t.get_type() == "class" for s in t.get_symbols()}
    assert needed - bound - poured <= free <= needed | class_locals | {s.get_name() for s in top.get_symbols()}
    assert {s.get_name() for s in top.get_symbols() if s.is_imported() or s.is_assigned()} >= bound


class Anything:
    """Takes part in every operation that a generated program knows."""

    def __call__(self, *_: Any, **__: Any) -> Anything:
        return self

    __add__ = __radd__ = __call__

    def __iter__(self) -> Iterator[Anything]:
        return iter([Anything()])


class Recorder(dict[str, Any]):
    """Builtins that answer to every name, and remember which."""

    def __init__(self) -> None:
        super().__init__(__build_class__=builtins.__build_class__, __import__=lambda *_, **__: Anything())
        self.asked: set[str] = set()

    def __missing__(self, name: str) -> Anything:
        self.asked.add(name)
        return Anything()


def _run(code: str) -> tuple[set[str], set[str]]:
    """(names that the code asked its surroundings for, names that it left behind)"""
    recorder = Recorder()
    namespace: dict[str, Any] = {"__builtins__": recorder, "__name__": "generated"}
    with contextlib.suppress(Exception):
        exec(compile(code, "generated", "exec"), namespace)
    return recorder.asked, namespace.keys() - {"__builtins__", "__name__"}


@given(_programs(functions=False))
def test_a_run_without_functions_asks_for_nothing_but_the_eager_names(code: str) -> None:
    asked, left = _run(code)
    assert asked <= free_names(code).eager
    assert left <= bound_names(code)


@given(PROGRAMS)
def test_a_run_asks_for_nothing_but_the_runtime_names_and_its_own(code: str) -> None:
    asked, left = _run(code)
    assert asked - bound_names(code) <= free_names(code).runtime
    assert left <= bound_names(code)
