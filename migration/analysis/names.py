"""Which module-level names a top-level statement needs, and which it binds.

Scopes are resolved from the ast alone, by the rules of the language reference (naming and binding, annotation scopes):
a class body is seen only by its own statements, a comprehension's first iterable belongs to the scope around it, a
walrus inside a comprehension binds outside it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from migration.analysis.bound_names import Comprehension, bindings_of, elements_of, own_nodes

Mode = Literal["eager", "deferred", "annotation", "string"]
TYPING_MODULES = frozenset({"typing", "typing_extensions", "t", "tp"})
_Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class FreeNames:
    """Names a statement needs from its module, builtins not filtered out. `a.b.c` counts as `a`.

    `eager` are needed while the statement runs, `deferred` when a function it defines is called; a name can be both.
    `annotations_only` and `string_annotations` are read by nothing but annotations that this interpreter does not
    evaluate, or that are strings. `assigned_global` are rebound by a `global` declaration.
    """

    eager: frozenset[str]
    deferred: frozenset[str]
    annotations_only: frozenset[str]
    string_annotations: frozenset[str]
    assigned_global: frozenset[str]

    @property
    def runtime(self) -> frozenset[str]:
        return self.eager | self.deferred

    @property
    def all(self) -> frozenset[str]:
        return self.runtime | self.annotations_only | self.string_annotations


def free_names(source_slice: str, future_annotations: bool = False) -> FreeNames:
    """The names that top-level code given as text needs. Raises SyntaxError where it does not parse.

    With `future_annotations` annotations are taken as under `from __future__ import annotations`.
    """
    tree = ast.parse(source_slice)
    finder = _Finder(bindings_of(tree.body, declared=False), future_annotations)
    finder.visit(tree)
    found = {mode: frozenset(names) for mode, names in finder.found.items()}
    runtime = found["eager"] | found["deferred"]
    return FreeNames(
        found["eager"],
        found["deferred"],
        found["annotation"] - runtime,
        found["string"] - runtime,
        frozenset(finder.assigned_global),
    )


@dataclass
class _Scope:
    """`bound` is everything a function binds; in a module or class body, what has been bound so far (`later` has the rest)."""

    kind: Literal["module", "class", "function", "comprehension", "annotation"]
    parent: _Scope | None
    bound: set[str] = field(default_factory=set)
    later: set[str] = field(default_factory=set)
    globals: set[str] = field(default_factory=set)


class _Finder(ast.NodeVisitor):
    """Visits in the order of evaluation, so that `x = x + 1` needs an `x` and `x = 1; y = x` does not."""

    def __init__(self, module_names: set[str], future_annotations: bool) -> None:
        self.module_names = module_names
        self.future = future_annotations
        self.scope = _Scope("module", None)
        self.mode: Mode = "eager"
        self.found: dict[Mode, set[str]] = {"eager": set(), "deferred": set(), "annotation": set(), "string": set()}
        self.assigned_global: set[str] = set()

    # names

    def load(self, name: str) -> None:
        if self._reaches_module(name):
            module = self.scope
            while module.parent:
                module = module.parent
            if name not in (module.bound if self.mode == "eager" else self.module_names):
                self.found[self.mode].add(name)

    def _reaches_module(self, name: str) -> bool:
        scope: _Scope | None = self.scope
        class_is_seen = True
        while scope and scope.kind != "module":
            if name in scope.globals and (scope.kind != "class" or class_is_seen):
                return True
            if scope.kind != "class":
                if name in scope.bound:
                    return False
            elif class_is_seen:
                if name in scope.bound or name in ("__module__", "__qualname__"):
                    return False
                if name in scope.later:
                    # A class body that reads a name before binding it gets the module's, whatever functions lie between.
                    return self.mode in ("eager", "deferred")
            elif name == "__class__":
                return False
            class_is_seen = class_is_seen and scope.kind == "annotation"
            scope = scope.parent
        return True

    def bind(self, name: str) -> None:
        if self.scope.kind in ("module", "class") and name not in self.scope.globals:
            self.scope.bound.add(name)

    def unbind(self, name: str) -> None:
        if self.scope.kind in ("module", "class"):
            self.scope.bound.discard(name)

    def visit_Name(self, node: ast.Name) -> None:
        match node.ctx:
            case ast.Store():
                self.bind(node.id)
            case ast.Del():
                self.load(node.id)
                self.unbind(node.id)
            case _:
                self.load(node.id)

    # scopes

    def enter(
        self, kind: Literal["class", "function"], body: Iterable[ast.AST], parameters: Iterable[str] = ()
    ) -> _Scope:
        body = list(body)
        own = list(own_nodes(body))
        global_ = {name for n in own if isinstance(n, ast.Global) for name in n.names}
        nonlocal_ = {name for n in own if isinstance(n, ast.Nonlocal) for name in n.names}
        names = bindings_of(body, declared=True)
        self.assigned_global |= names & global_
        names = (names | set(parameters)) - global_ - nonlocal_
        bound, later = (names, set[str]()) if kind == "function" else (set[str](), names)
        return _Scope(kind, self.scope, bound, later, global_)

    def within(self, scope: _Scope, nodes: Iterable[ast.AST | None], mode: Mode | None = None) -> None:
        """Visit `nodes` in `scope`; what is only annotation stays so."""
        outer = self.scope, self.mode
        self.scope = scope
        if mode and self.mode in ("eager", "deferred"):
            self.mode = mode
        self.visit_all(nodes)
        self.scope, self.mode = outer

    def visit_all(self, nodes: Iterable[ast.AST | None]) -> None:
        for node in nodes:
            if node is not None:
                self.visit(node)

    def type_parameters(self, node: Any) -> _Scope:
        """The scope of `def f[T]`; bounds and defaults of `T` are evaluated when somebody asks for them."""
        parameters = getattr(node, "type_params", [])
        if not parameters:
            return self.scope
        scope = _Scope("annotation", self.scope, {p.name for p in parameters})
        for parameter in parameters:
            self.within(
                scope, [getattr(parameter, "bound", None), getattr(parameter, "default_value", None)], "deferred"
            )
        return scope

    def visit_FunctionDef(self, node: _Function) -> None:
        arguments = node.args
        self.visit_all([*node.decorator_list, *arguments.defaults, *arguments.kw_defaults])
        around = self.type_parameters(node)
        outer, self.scope = self.scope, around
        parameters = _parameters(arguments)
        for annotation in [*(p.annotation for p in parameters), node.returns]:
            self.annotation(annotation)
        self.within(self.enter("function", node.body, [p.arg for p in parameters]), node.body, "deferred")
        self.scope = outer
        self.bind(node.name)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        self.visit_FunctionDef(node)

    def visit_Lambda(self, node: ast.Lambda) -> None:
        self.visit_all([*node.args.defaults, *node.args.kw_defaults])
        self.within(
            self.enter("function", [node.body], [p.arg for p in _parameters(node.args)]), [node.body], "deferred"
        )

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self.visit_all(node.decorator_list)
        outer, self.scope = self.scope, self.type_parameters(node)
        self.visit_all([*node.bases, *node.keywords])
        self.within(self.enter("class", node.body), node.body)
        self.scope = outer
        self.bind(node.name)

    def visit_TypeAlias(self, node: Any) -> None:
        self.within(self.type_parameters(node), [node.value], "deferred")
        self.visit(node.name)

    def comprehension(self, node: Comprehension, mode: Mode | None = None) -> None:
        first, *rest = node.generators
        self.visit(first.iter)
        scope = _Scope("comprehension", self.scope, bindings_of([g.target for g in node.generators], declared=True))
        # Targets can hold more than names: `for a[i] in …`.
        inner = [
            first.target,
            *first.ifs,
            *(part for g in rest for part in (g.iter, g.target, *g.ifs)),
            *elements_of(node),
        ]
        self.within(scope, inner, mode)

    # A generator is as a rule used up where it stands: sum(… for …), for x in (… for …).
    visit_ListComp = visit_SetComp = visit_DictComp = visit_GeneratorExp = comprehension

    def visit_Call(self, node: ast.Call) -> None:
        self.visit(node.func)
        if _is_cast(node.func) and len(node.args) == 2 and isinstance(node.args[0], ast.Constant):
            self.annotation(node.args[0])
            self.visit(node.args[1])
        else:
            self.visit_all(node.args)
        self.visit_all(node.keywords)

    # annotations

    def annotation(self, node: ast.expr | None) -> None:
        """An annotation of a signature, a module or a class; evaluated unless the future import is in force."""
        if node is not None:
            self.within(self.scope, [_Annotation(node)], "annotation" if self.future else None)

    def visit__Annotation(self, wrapped: _Annotation) -> None:
        match wrapped.node:
            case ast.Constant(value=str(text)):
                outer, self.mode = self.mode, "string"
                self.visit_all([_Annotation(parsed) for parsed in _parsed(text)])
                self.mode = outer
            case ast.Subscript(value=value, slice=inside):
                self.visit(value)
                special = value.attr if isinstance(value, ast.Attribute) else getattr(value, "id", "")
                if special == "Annotated" and isinstance(inside, ast.Tuple):
                    self.visit_all([_Annotation(inside.elts[0]), *inside.elts[1:]])
                elif special != "Literal":
                    self.visit(_Annotation(inside))
            case ast.Tuple(elts=parts) | ast.List(elts=parts):
                self.visit_all([_Annotation(part) for part in parts])
            case ast.BinOp(left=left, right=right):
                self.visit_all([_Annotation(left), _Annotation(right)])
            case other:
                self.visit(other)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        self.visit_all([node.value])
        if node.value is not None or not isinstance(node.target, ast.Name):
            self.visit(node.target)
        if self.scope.kind == "function":  # never evaluated there
            self.within(self.scope, [_Annotation(node.annotation)], "annotation")
        else:
            self.annotation(node.annotation)

    # statements whose parts run in another order than they are stored, or not at all

    def visit_Assign(self, node: ast.Assign) -> None:
        if isinstance(node.value, ast.GeneratorExp):
            self.comprehension(node.value, "deferred")  # kept for later
        else:
            self.visit(node.value)
        self.visit_all(node.targets)

    def visit_NamedExpr(self, node: ast.NamedExpr) -> None:
        self.visit(node.value)
        outer = self.scope
        while self.scope.kind == "comprehension" and self.scope.parent:
            self.scope = self.scope.parent
        self.visit(node.target)
        self.scope = outer

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        if isinstance(node.target, ast.Name):
            self.load(node.target.id)
        self.visit_all([node.value, node.target])

    def branches(self, *alternatives: list[Any]) -> None:
        """One of `alternatives` runs: none sees what another binds, what follows can rely on what all of them bind."""
        before = self.scope.bound
        ends: list[set[str]] = []
        for nodes in alternatives:
            self.scope.bound = set(before)
            self.visit_all(nodes)
            last = (
                nodes[-1].body[-1]
                if nodes and isinstance(nodes[-1], ast.ExceptHandler)
                else nodes[-1]
                if nodes
                else None
            )
            if not isinstance(last, ast.Raise):
                ends.append(self.scope.bound)
        self.scope.bound = set.intersection(*ends) if ends else before

    def visit_If(self, node: ast.If) -> None:
        self.visit(node.test)
        self.branches(node.body, node.orelse)

    def visit_For(self, node: ast.For | ast.AsyncFor) -> None:
        self.visit(node.iter)
        self.branches([node.target, *node.body], [])
        self.branches(node.orelse, [])

    visit_AsyncFor = visit_For

    def visit_While(self, node: ast.While) -> None:
        self.visit(node.test)
        self.branches(node.body, [])
        self.branches(node.orelse, [])

    def visit_Match(self, node: ast.Match) -> None:
        self.visit(node.subject)
        self.branches(*([case] for case in node.cases), [])

    def visit_Try(self, node: Any) -> None:
        self.branches([*node.body, *node.orelse], *([handler] for handler in node.handlers))
        self.visit_all(node.finalbody)

    visit_TryStar = visit_Try

    def visit_Import(self, node: ast.Import | ast.ImportFrom) -> None:
        for name in bindings_of([node], declared=True):
            self.bind(name)

    visit_ImportFrom = visit_Import

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> None:
        self.visit_all([node.type])
        if node.name:
            self.bind(node.name)
        self.visit_all(node.body)
        if node.name:
            self.unbind(node.name)

    def generic_visit(self, node: ast.AST) -> None:
        if isinstance(node, ast.MatchAs | ast.MatchStar | ast.MatchMapping):
            for name in bindings_of([node], declared=True):
                self.bind(name)
        super().generic_visit(node)


class _Annotation(ast.AST):
    """Marks an expression to be read as an annotation, where strings are code."""

    def __init__(self, node: ast.expr) -> None:
        self.node = node


def _parameters(arguments: ast.arguments) -> list[ast.arg]:
    stars = [a for a in (arguments.vararg, arguments.kwarg) if a]
    return [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, *stars]


def _is_cast(function: ast.expr) -> bool:
    match function:
        case ast.Name(id="cast"):
            return True
        case ast.Attribute(value=ast.Name(id=module), attr="cast"):
            return module in TYPING_MODULES
    return False


def _parsed(text: str) -> list[ast.expr]:
    """The expression in a string annotation; nothing where it is no expression."""
    try:
        return [ast.parse(f"({text}\n)", mode="eval").body]
    except (SyntaxError, ValueError):
        return []
