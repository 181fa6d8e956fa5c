"""The top-level definitions of a module and the lines they stand on."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from functools import lru_cache

from migration.analysis.source import Source, Unparsable
from migration.tree import Overlay


@dataclass(frozen=True)
class Definition:
    """A top-level class, function or assigned name; `first` is its first decorator's line."""

    name: str
    kind: str
    first: int
    last: int

    @property
    def lines(self) -> int:
        return self.last - self.first + 1


def definitions_in(tree: Overlay, path: str) -> tuple[Definition, ...]:
    """The definitions of `path` in order; none where the file is absent, is not Python or does not parse."""
    return _definitions(tree.source(path)) if path.endswith(".py") and tree.exists(path) else ()


@lru_cache(maxsize=256)
def _definitions(source: Source) -> tuple[Definition, ...]:
    try:
        body = source.tree.body
    except Unparsable:
        return ()
    found: dict[str, Definition] = {}
    for node in body:
        names: list[str] = []
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            kind, names = ("class" if isinstance(node, ast.ClassDef) else "function"), [node.name]
        else:
            kind, targets = (
                "value",
                node.targets
                if isinstance(node, ast.Assign)
                else [node.target]
                if isinstance(node, ast.AnnAssign)
                else [],
            )
            names = [
                n.id
                for target in targets
                for n in ast.walk(target)
                if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)
            ]
        first = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", []))])
        for name in names:
            found[name] = Definition(name, kind, first, node.end_lineno or first)
    return tuple(found.values())
