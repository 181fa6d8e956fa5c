"""Which names statements bind in the scope they stand in, functions and classes inside them not entered."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

Comprehension = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp


def bound_names(statement: str | ast.stmt, imports: bool = True) -> frozenset[str]:
    """The module-level names that a top-level statement (or code as text) binds when it runs; `*` stands for a star import.

    Without `imports`, only those that it defines itself.
    """
    nodes = ast.parse(statement).body if isinstance(statement, str) else [statement]
    return frozenset(bindings_of(nodes, declared=False, imports=imports))


def own_nodes(nodes: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """Every node that belongs to the scope of `nodes`: not what lies in a function, class, lambda or comprehension of its own."""
    stack = list(nodes)
    while stack:
        node = stack.pop()
        yield node
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                stack += [*node.decorator_list, node.args, *([node.returns] if node.returns else [])]
            case ast.ClassDef():
                stack += [*node.decorator_list, *node.bases, *node.keywords]
            case ast.Lambda():
                stack += [*node.args.defaults, *(d for d in node.args.kw_defaults if d)]
            case ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
                stack += [*elements_of(node), *(part for g in node.generators for part in (g.iter, *g.ifs))]
            case _:
                stack += ast.iter_child_nodes(node)


def elements_of(node: Comprehension) -> list[ast.expr]:
    return [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]


def bindings_of(nodes: Iterable[ast.AST], declared: bool, imports: bool = True) -> set[str]:
    """Names bound in the scope of `nodes`. `declared` adds those that are local without being bound: `del x` and a bare `x: int`."""
    bound: set[str] = set()
    undone: set[int] = set()
    for node in own_nodes(nodes):
        match node:
            case ast.AnnAssign(target=ast.Name(), value=None) if not declared:
                undone.add(id(node.target))
            case ast.Name(ctx=ast.Store()) if id(node) not in undone:
                bound.add(node.id)
            case ast.Name(ctx=ast.Del()) if declared:
                bound.add(node.id)
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                bound.add(node.name)
            case ast.Import() | ast.ImportFrom() if imports:
                bound.update(
                    a.asname or (a.name.partition(".")[0] if isinstance(node, ast.Import) else a.name)
                    for a in node.names
                )
            case (
                ast.ExceptHandler(name=str(name))
                | ast.MatchAs(name=str(name))
                | ast.MatchStar(name=str(name))
                | ast.MatchMapping(rest=str(name))
            ):
                bound.add(name)
    return bound
