"""What a definition does, whatever its local names are called.

Two functions that differ in the spelling of local variables alone do the same. Which names are local follows the language
reference (naming and binding). A name keeps its spelling where somebody else could ask for it: parameters that a keyword
reaches, attributes, globals, nested definitions, modules imported under their own name, and everything in a definition
that looks its local names up by their spelling (`locals()`, `eval("x")`, `frame.query("a > @x")`).
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from migration.analysis.bound_names import bound_names

_Function = ast.FunctionDef | ast.AsyncFunctionDef
_Comprehension = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp
# Names that take no argument to look at the names around them, and those that look only at what they are given as text.
LOOKING = frozenset({"locals", "vars", "dir", "_getframe", "currentframe"})
LOOKING_AT_TEXT = frozenset({"eval", "exec", "query", "evaluate"})


@dataclass(frozen=True)
class Meaning:
    """`exact` is the abstract tree, `undocumented` the same without docstrings, `anonymous` that with local names numbered.

    `names` are the local names in order of their numbers.
    """

    exact: str
    undocumented: str
    anonymous: str
    names: tuple[str, ...]

    def renamed(self, other: Meaning) -> list[tuple[str, str]]:
        """(name here, name there) of the local names that the two spell differently; they must be the same anonymously."""
        return [(ours, theirs) for ours, theirs in zip(self.names, other.names, strict=True) if ours != theirs]


def meaning(node: ast.AST) -> Meaning:
    """What the statement means, for comparing it with another; `node` is left as it is."""
    own = copy.deepcopy(node)
    for constant in (n for n in ast.walk(own) if isinstance(n, ast.Constant)):
        constant.kind = None  # u"x" is "x"
    exact = ast.dump(own)
    for inner in ast.walk(own):
        if (
            isinstance(inner, _Function | ast.ClassDef | ast.Module)
            and ast.get_docstring(inner, clean=False) is not None
        ):
            inner.body = inner.body[1:] or [ast.Pass()]
    undocumented = ast.dump(own)
    if any(_looks(n) for n in ast.walk(own)):
        return Meaning(exact, undocumented, undocumented, ())
    numbering = _Numbering()
    numbering.visit(own)
    return Meaning(exact, undocumented, ast.dump(own), tuple(numbering.names))


def _looks(node: ast.AST) -> bool:
    if not isinstance(node, ast.Call):
        return False
    called = (
        node.func.attr
        if isinstance(node.func, ast.Attribute)
        else node.func.id
        if isinstance(node.func, ast.Name)
        else ""
    )
    return called in LOOKING or (called in LOOKING_AT_TEXT and bool(node.args or node.keywords))


@dataclass
class _Scope:
    """`kept` are the names bound here that stay as they are spelt."""

    bound: set[str]
    kept: set[str]
    is_class: bool = False
    numbers: dict[str, str] = field(default_factory=dict)


class _Numbering(ast.NodeVisitor):
    """Puts numbers, in order of appearance, in place of local names."""

    def __init__(self) -> None:
        self.scopes: list[_Scope] = []
        self.names: list[str] = []

    def number(self, name: str) -> str:
        for depth, scope in enumerate(reversed(self.scopes)):
            if name not in scope.bound or (scope.is_class and depth):
                continue
            if scope.is_class or name in scope.kept:
                return name
            if name not in scope.numbers:
                scope.numbers[name] = f"<{len(self.names)}>"
                self.names.append(name)
            return scope.numbers[name]
        return name

    def visit_all(self, nodes: Iterable[ast.AST | None]) -> None:
        for node in nodes:
            if node is not None:
                self.visit(node)

    def within(self, scope: _Scope, nodes: Iterable[ast.AST | None]) -> None:
        self.scopes.append(scope)
        self.visit_all(nodes)
        self.scopes.pop()

    # scopes

    def visit_FunctionDef(self, node: _Function) -> None:
        self.visit_all([*node.decorator_list, *getattr(node, "type_params", [])])
        self._call_signature(node.args)
        self.visit_all([node.returns])
        scope = _function_scope(node.args, node.body)
        self.scopes.append(scope)
        self._parameters(node.args)
        self.visit_all(node.body)
        self.scopes.pop()

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        self.visit_FunctionDef(node)

    def visit_Lambda(self, node: ast.Lambda) -> None:
        self._call_signature(node.args)
        self.scopes.append(_function_scope(node.args, [ast.Expr(node.body)]))
        self._parameters(node.args)
        self.visit(node.body)
        self.scopes.pop()

    def _call_signature(self, arguments: ast.arguments) -> None:
        """Defaults and annotations belong to the scope around the function."""
        self.visit_all([*arguments.defaults, *arguments.kw_defaults, *(a.annotation for a in _parameters(arguments))])

    def _parameters(self, arguments: ast.arguments) -> None:
        for parameter in _parameters(arguments):
            parameter.arg = self.number(parameter.arg)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self.visit_all([*node.decorator_list, *getattr(node, "type_params", []), *node.bases, *node.keywords])
        bound = _bound(node.body) - _declared(node.body, ast.Global) - _declared(node.body, ast.Nonlocal)
        self.within(_Scope(bound, bound, is_class=True), node.body)

    def _comprehension(self, node: _Comprehension) -> None:
        first, *others = node.generators
        self.visit(first.iter)
        targets = {
            n.id
            for g in node.generators
            for n in ast.walk(g.target)
            if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)
        }
        elements = [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
        later = (part for g in others for part in (g.iter, g.target, *g.ifs))
        self.within(_Scope(targets, set()), [first.target, *first.ifs, *later, *elements])

    visit_ListComp = visit_SetComp = visit_DictComp = visit_GeneratorExp = _comprehension

    # names

    def visit_Name(self, node: ast.Name) -> None:
        node.id = self.number(node.id)

    def visit_Nonlocal(self, node: ast.Nonlocal) -> None:
        node.names = [self.number(name) for name in node.names]

    def visit_alias(self, node: ast.alias) -> None:
        node.asname = node.asname and self.number(node.asname)

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> None:
        self.visit_all([node.type])
        node.name = node.name and self.number(node.name)
        self.visit_all(node.body)

    def visit_MatchAs(self, node: ast.MatchAs) -> None:
        self.visit_all([node.pattern])
        node.name = node.name and self.number(node.name)

    def visit_MatchStar(self, node: ast.MatchStar) -> None:
        node.name = node.name and self.number(node.name)

    def visit_MatchMapping(self, node: ast.MatchMapping) -> None:
        self.visit_all([*node.keys, *node.patterns])
        node.rest = node.rest and self.number(node.rest)


def _function_scope(arguments: ast.arguments, body: list[ast.stmt]) -> _Scope:
    everywhere = _declared(body, ast.Global)
    parameters = {a.arg for a in _parameters(arguments)}
    kept = {a.arg for a in (*arguments.args, *arguments.kwonlyargs)} | everywhere
    for node in _own(body):
        if isinstance(node, _Function | ast.ClassDef):
            kept.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            kept |= {a.name.partition(".")[0] for a in node.names if not a.asname}
    return _Scope((parameters | _bound(body) | everywhere) - _declared(body, ast.Nonlocal), kept)


def _parameters(arguments: ast.arguments) -> list[ast.arg]:
    found = [*arguments.posonlyargs, *arguments.args, arguments.vararg, *arguments.kwonlyargs, arguments.kwarg]
    return [a for a in found if a is not None]


def _bound(body: Iterable[ast.stmt]) -> set[str]:
    return {name for statement in body for name in bound_names(statement)}


def _declared(body: list[ast.stmt], kind: type[ast.Global] | type[ast.Nonlocal]) -> set[str]:
    return {name for node in _own(body) if isinstance(node, kind) for name in node.names}


def _own(body: Iterable[ast.stmt]) -> Iterator[Any]:
    """Statements of the scope itself, at whatever depth, but not those of functions and classes in it."""
    for node in body:
        yield node
        if not isinstance(node, _Function | ast.ClassDef):
            for inner in ast.iter_child_nodes(node):
                if isinstance(inner, ast.stmt):
                    yield from _own([inner])
                elif isinstance(inner, ast.ExceptHandler | ast.match_case):
                    yield from _own(inner.body)
