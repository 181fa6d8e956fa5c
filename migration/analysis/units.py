"""A module as a row of units: each top-level statement, what it binds, what it needs, and what sort of thing it is."""

from __future__ import annotations

import ast
import builtins
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from migration.analysis.bound_names import bound_names
from migration.analysis.names import FreeNames, free_names
from migration.analysis.source import Source, Statement

Sort = Literal[
    "docstring",
    "nothing",
    "future",
    "import",
    "guarded import",
    "definition",
    "assignment",
    "main guard",
    "path",
    "effect",
]
BUILTINS = frozenset(dir(builtins)) | {
    "__name__",
    "__file__",
    "__doc__",
    "__spec__",
    "__package__",
    "__builtins__",
    "__path__",
}


@dataclass(frozen=True)
class Unit:
    """A top-level statement (or a line of several) of a source file."""

    source: Source
    statement: Statement
    index: int
    sort: Sort

    @property
    def nodes(self) -> tuple[ast.stmt, ...]:
        return self.statement.nodes

    @property
    def text(self) -> str:
        """The statement itself, newline included, without the comments above it."""
        return self.source.text[self.statement.start : self.statement.end]

    @property
    def lead(self) -> str:
        """Blank lines and comments above the statement."""
        return self.source.text[self.statement.lead : self.statement.start]

    @property
    def lines(self) -> tuple[int, int]:
        """First and last line, decorators included."""
        return self.source.line_of(self.statement.start), max(n.end_lineno or 0 for n in self.nodes)

    @cached_property
    def binds(self) -> frozenset[str]:
        return frozenset().union(*(bound_names(n) for n in self.nodes))

    @cached_property
    def free(self) -> FreeNames:
        return free_names(self.text, future_annotations=has_future_annotations(self.source))

    @cached_property
    def needs(self) -> frozenset[str]:
        """Module-level names it leans on, at whatever time."""
        f = self.free
        return f.eager | f.deferred | f.annotations_only | f.string_annotations

    @cached_property
    def needs_now(self) -> frozenset[str]:
        """Names it leans on when the statement itself runs."""
        return self.free.eager


def has_future_annotations(source: Source) -> bool:
    return any(
        isinstance(n, ast.ImportFrom) and n.module == "__future__" and any(a.name == "annotations" for a in n.names)
        for n in source.tree.body
    )


def units_of(source: Source) -> list[Unit]:
    """The units of a file in order. Raises Unparsable."""
    return [Unit(source, s, i, _sort(s, i)) for i, s in enumerate(source.statements)]


def is_main_guard(node: ast.stmt) -> bool:
    return (
        isinstance(node, ast.If)
        and isinstance(node.test, ast.Compare)
        and {"__name__", "__main__"}
        <= {
            n.id if isinstance(n, ast.Name) else n.value
            for n in ast.walk(node.test)
            if isinstance(n, ast.Name | ast.Constant)
        }
    )


def is_script(source: Source) -> bool:
    """Whether the file is meant to be run by path."""
    return source.text.startswith("#!") or any(is_main_guard(n) for n in source.tree.body)


def _sort(statement: Statement, index: int) -> Sort:
    nodes = statement.nodes
    if all(isinstance(n, ast.Pass) or (isinstance(n, ast.Expr) and isinstance(n.value, ast.Constant)) for n in nodes):
        return "docstring" if index == 0 else "nothing"
    if all(isinstance(n, ast.ImportFrom) and n.module == "__future__" for n in nodes):
        return "future"
    if all(isinstance(n, ast.Import | ast.ImportFrom) for n in nodes):
        return "import"
    if len(nodes) == 1 and is_main_guard(nodes[0]):
        return "main guard"
    if any(
        isinstance(n, ast.Attribute) and n.attr == "path" and isinstance(n.value, ast.Name) and n.value.id == "sys"
        for node in nodes
        if not _defines(node)
        for n in ast.walk(node)
    ):
        return "path"
    if len(nodes) == 1 and isinstance(nodes[0], ast.Try | ast.If) and _import_guard(nodes[0]):
        return "guarded import"
    if all(_defines(n) for n in nodes):
        return "definition"
    if all(_assigns(n) for n in nodes):
        return "assignment"
    return "effect"


def _defines(node: ast.stmt) -> bool:
    """A def or class, plain or chosen by if/try."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return True
    if isinstance(node, ast.If | ast.Try):
        inner = [
            *node.body,
            *node.orelse,
            *(s for h in getattr(node, "handlers", []) for s in h.body),
            *getattr(node, "finalbody", []),
        ]
        return any(_defines(n) for n in inner) and all(
            _defines(n) or _assigns(n) or isinstance(n, ast.Pass) for n in inner
        )
    return False


def _assigns(node: ast.stmt) -> bool:
    """A plain binding of names; subscripts and attributes on the left are effects on something else."""
    if isinstance(node, ast.AnnAssign):
        return isinstance(node.target, ast.Name)
    if isinstance(node, ast.Assign):
        return all(
            isinstance(t, ast.Name)
            or (isinstance(t, ast.Tuple | ast.List) and all(isinstance(e, ast.Name) for e in t.elts))
            for t in node.targets
        )
    return type(node).__name__ == "TypeAlias"


def _import_guard(node: ast.Try | ast.If) -> bool:
    """`try: import x` with fallbacks, or an `if` (TYPE_CHECKING, a version, a platform) around imports only."""
    if isinstance(node, ast.Try):
        return any(isinstance(n, ast.Import | ast.ImportFrom) for n in node.body)
    inner = [*node.body, *node.orelse]
    return all(
        isinstance(n, ast.Import | ast.ImportFrom)
        or (isinstance(n, ast.If | ast.Try) and _import_guard(n))
        or _assigns(n)
        or isinstance(n, ast.Pass)
        for n in inner
    ) and any(isinstance(n, ast.Import | ast.ImportFrom | ast.If | ast.Try) for n in inner)
