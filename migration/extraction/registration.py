"""Definitions that do something by being defined: a decorator enters them in a registry, a base class or metaclass hears of them."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from migration.analysis.names import free_names
from migration.analysis.units import BUILTINS, Unit
from migration.extraction.names import Scope, packages_behind

# Packages whose decorators return something for what they get, and keep nothing of it; unless they are called register….
HARMLESS = frozenset(
    [
        "abc",
        "attr",
        "attrs",
        "beartype",
        "contextlib",
        "dataclasses",
        "einops",
        "enum",
        "functools",
        "jax",
        "jaxtyping",
        "lightning",
        "numba",
        "numpy",
        "pytorch_lightning",
        "torch",
        "typing",
        "typing_extensions",
        "warnings",
    ]
)
CHANGES = frozenset(["add", "append", "extend", "insert", "register", "setdefault", "update"])


def registrars(scope: Scope, unit: Unit) -> dict[str, str]:
    """Names by which a definition may make itself known as it is defined, with how that is written."""
    found: dict[str, str] = {}
    for node in unit.nodes:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            for decorator in node.decorator_list:
                if _keeps(scope, unit, decorator):
                    found |= dict.fromkeys(free_names(ast.unparse(decorator)).eager, f"@{ast.unparse(decorator)}")
        if isinstance(node, ast.ClassDef):
            for base, providers in _classes(scope, unit, node):
                if any(_hears(p) for p in providers):
                    found[base] = f"its base class {base}"
            if any(k.arg == "metaclass" and not _ends_on(k.value, "ABCMeta") for k in node.keywords):
                found |= {
                    n: f"its metaclass {n}" for k in node.keywords for n in free_names(ast.unparse(k.value)).eager
                }
    return {name: how for name, how in found.items() if name not in BUILTINS}


def _keeps(scope: Scope, unit: Unit, decorator: ast.expr) -> bool:
    """Whether a decorator may keep, somewhere, what it decorates."""
    root = decorator
    while isinstance(root, ast.Attribute | ast.Call | ast.Subscript):
        root = root.func if isinstance(root, ast.Call) else root.value
    if not isinstance(root, ast.Name):
        return True
    provider = scope.provider(root.id, unit)
    if provider is None:
        return root.id not in BUILTINS
    if "import" in provider.sort:
        called = decorator.func if isinstance(decorator, ast.Call) else decorator
        return "regist" in ast.unparse(called) or not packages_behind(scope, unit, root.id) <= HARMLESS
    if provider.sort != "definition" or any(isinstance(n, ast.ClassDef) for n in provider.nodes):
        return True
    return any(_changes_something(n) for node in provider.nodes for n in ast.walk(node))


def _changes_something(node: ast.AST) -> bool:
    """Whether a part of a decorator's own text stores into something that outlives it."""
    match node:
        case ast.Attribute(ctx=ast.Store()) | ast.Subscript(ctx=ast.Store()) | ast.Global():
            return True
        case ast.Call(func=ast.Attribute(attr=attr)):
            return attr in CHANGES or "regist" in attr
        case ast.Call(func=ast.Name(id=name)):
            return name == "setattr" or "regist" in name
    return False


def _classes(scope: Scope, unit: Unit, node: ast.ClassDef) -> Iterator[tuple[str, set[ast.ClassDef]]]:
    """Base classes by name, each with what the module defines of it and of its own bases."""
    for base in node.bases:
        if isinstance(base, ast.Name):
            yield base.id, set(_lineage(scope, unit, base.id, {unit}))


def _lineage(scope: Scope, unit: Unit, name: str, seen: set[Unit]) -> Iterator[ast.ClassDef]:
    provider = scope.provider(name, unit)
    if provider is None or provider in seen:
        return
    for node in provider.nodes:
        if isinstance(node, ast.ClassDef):
            yield node
            for base in node.bases:
                if isinstance(base, ast.Name):
                    yield from _lineage(scope, provider, base.id, seen | {provider})


def _hears(node: ast.ClassDef) -> bool:
    """Whether a class is told of its subclasses."""
    told = any(isinstance(n, ast.FunctionDef) and n.name == "__init_subclass__" for n in node.body)
    return told or any(k.arg == "metaclass" and not _ends_on(k.value, "ABCMeta") for k in node.keywords)


def _ends_on(node: ast.expr, name: str) -> bool:
    return ast.unparse(node).rpartition(".")[2] == name
