"""What a statement at the top level acts on: the objects it changes in place."""

from __future__ import annotations

import ast
from collections.abc import Iterable

from migration.analysis.units import Unit


def changed_names(unit: Unit) -> frozenset[str]:
    """Module-level objects that a statement changes in place: `X[k] = v`, `X += 1`, `X.append(v)`, also inside for and if."""
    return acted_on(unit.nodes) - {
        n.func.id
        for node in unit.nodes
        for n in ast.walk(node)
        if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)
    }


def acted_on(nodes: Iterable[ast.stmt]) -> frozenset[str]:
    """The names whose objects statements act on: what they assign into, delete from, and whose methods, or which
    functions, they call for the sake of it. Empty where they do anything else as well.
    """
    found: set[str | None] = set()
    for node in nodes:
        match node:
            case ast.For() | ast.If() | ast.While() | ast.With():
                inner = acted_on([*node.body, *getattr(node, "orelse", [])])
                found |= inner or {None}
            case ast.AugAssign(target=target):
                found.add(_root(target))
            case ast.Assign(targets=targets) if not any(isinstance(t, ast.Name | ast.Tuple) for t in targets):
                found |= {_root(t) for t in targets}
            case ast.Delete(targets=targets):
                found |= {_root(t) for t in targets}
            case ast.Expr(value=ast.Call(func=ast.Name(id="setattr" | "delattr"), args=[owner, *_])):
                found.add(_root(owner))
            case ast.Expr(value=ast.Call(func=function)):
                found.add(_root(function))
            case ast.Pass():
                pass
            case _:
                found.add(None)
    return frozenset() if None in found else frozenset(n for n in found if n)


def _root(node: ast.expr) -> str | None:
    while isinstance(node, ast.Attribute | ast.Subscript | ast.Call):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else None
