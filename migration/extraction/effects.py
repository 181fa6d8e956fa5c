"""What a module does when it is imported, statement by statement, and whom it does it for."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from migration.analysis.source import Source
from migration.analysis.units import BUILTINS, Unit, units_of
from migration.extraction.actions import acted_on
from migration.extraction.names import Scope, packages_behind

OF_THE_MODULE = frozenset({"__name__", "__file__", "__spec__", "__package__", "globals", "locals"})
IDLE = (ast.Import, ast.ImportFrom, ast.AnnAssign, ast.Pass, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


@dataclass(frozen=True)
class Effect:
    """A module-level statement of a source that does something. `everywhere`: whoever takes a definition out relies on it."""

    scope: Scope
    unit: Unit
    node: ast.stmt
    everywhere: bool

    @property
    def place(self) -> tuple[str, int, int]:
        return self.unit.source.path, self.node.lineno, self.node.col_offset

    @cached_property
    def packages(self) -> frozenset[str]:
        """The top-level packages whose state it changes; empty where it changes no imported object."""
        behind = [packages_behind(self.scope, self.unit, root) for root in acted_on([self.node])]
        return frozenset().union(*behind) if all(behind) else frozenset()

    def matters_to(self, unit: Unit) -> bool:
        """Whether a statement below it may go by what it sets up: one that calls into the same package, or into the module's own
        functions; where it changes what belongs to the standard library (`os.environ[…]`), whatever loads or calls a package.
        """
        calls = any(isinstance(n, ast.Call) for node in unit.nodes for n in ast.walk(node))
        if unit.sort == "definition" or not (calls or "import" in unit.sort):
            return False
        for name in unit.binds if "import" in unit.sort else unit.needs_now:
            behind = packages_behind(self.scope, unit, name)
            if self.packages <= sys.stdlib_module_names and not behind <= sys.stdlib_module_names:
                return True
            provider = self.scope.provider(name, unit)
            if "import" not in unit.sort and (behind & self.packages or (provider and provider.sort == "definition")):
                return True
        return False

    def __str__(self) -> str:
        text = ast.unparse(self.node).partition("\n")[0]
        return f"`{text if len(text) <= 72 else text[:69] + '…'}`"


def effects_of(source: Source, gone: frozenset[str]) -> Iterator[Effect]:
    """The statements of a module that do something, one by one, `sys.path` lines included. `gone` are names that a plan takes
    out of it: what leans on one of them stays behind.
    """
    scope = Scope(tuple(units_of(source)))
    everywhere = [] if source.path.endswith("__init__.py") else list(_setting_up(scope, gone))
    for unit in scope.units:
        for node in unit.nodes if unit.sort in ("effect", "path") else ():
            if _does_something(node):
                yield Effect(scope, unit, node, unit in everywhere)


def _does_something(node: ast.stmt) -> bool:
    if isinstance(node, ast.Assign):
        return any(isinstance(n, ast.Attribute | ast.Subscript) for t in node.targets for n in ast.walk(t))
    return not isinstance(node, IDLE) and not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))


def _setting_up(scope: Scope, gone: frozenset[str]) -> Iterator[Unit]:
    """The statements that need imports and plain constants only, down to the first that needs more: what stands below that
    one may count on what it did.
    """
    for unit in scope.units:
        if unit.sort != "effect":
            continue
        roots = acted_on(unit.nodes)
        if (
            roots
            and all(_sort_of(scope, unit, r) == "import" for r in roots)
            and _needs_no_definition(scope, unit, gone)
        ):
            yield unit
        elif unit.needs - BUILTINS:
            return


def _needs_no_definition(scope: Scope, unit: Unit, gone: frozenset[str]) -> bool:
    """Whether imports, and constants that are made of imports and are not among the `gone`, are all that it needs."""
    for name in unit.needs - unit.binds:
        sort, provider = _sort_of(scope, unit, name), scope.provider(name, unit)
        if name in OF_THE_MODULE or sort == "other":
            return False
        if sort == "assignment" and provider is not None:
            plain = len(scope.binders[name]) == 1 and name not in gone
            if not plain or not _needs_no_definition(scope, provider, gone):
                return False
    return True


def _sort_of(scope: Scope, unit: Unit, name: str) -> str:
    provider = scope.provider(name, unit)
    if provider is None:
        return "builtin"
    return "import" if "import" in provider.sort else "assignment" if provider.sort == "assignment" else "other"
