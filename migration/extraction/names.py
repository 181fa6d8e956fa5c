"""Who binds a name that a unit leans on, at the time it leans on it."""

from __future__ import annotations

import ast
from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property

from migration.analysis.bound_names import bound_names
from migration.analysis.source import statements_in
from migration.analysis.units import BUILTINS, Unit

MOVABLE = ("definition", "assignment")


@dataclass(frozen=True)
class Scope:
    """The units of one module, and who binds what among them."""

    units: tuple[Unit, ...]

    @cached_property
    def binders(self) -> dict[str, list[Unit]]:
        found: dict[str, list[Unit]] = defaultdict(list)
        for unit in self.units:
            for name in unit.binds:
                found[name].append(unit)
        return dict(found)

    def provider(self, name: str, unit: Unit) -> Unit | None:
        """The unit whose binding of `name` the given unit sees: the last one above it for what it needs as it runs, the
        last of all for what it needs later; None for builtins, star imports and names never bound. What the main guard binds
        counts only where nothing else does: whoever imports the module is without it."""
        bound = self.binders.get(name, [])
        if unit.sort != "main guard":
            bound = [b for b in bound if b.sort != "main guard"] or bound
        if name in unit.needs_now:
            above = [b for b in bound if b.index < unit.index]
            if above:
                return above[-1]
            if name in BUILTINS:
                return None
        return bound[-1] if bound else None

    def definitions(self, name: str) -> list[Unit]:
        """The definitions and assignments that bind `name`."""
        return [u for u in self.binders.get(name, []) if u.sort in MOVABLE]

    def users(self, name: str) -> list[Unit]:
        """Units that lean on some definition of `name`, its own binders left out."""
        return [u for u in self.units if name in u.needs and name not in u.binds]

    def while_loading(self, unit: Unit) -> set[tuple[str, Unit]]:
        """(name, unit that provides it) for what may be needed as `unit` runs: its own needs, and those of the functions and
        classes it may call on the way. A class whose base is named is not called by that.
        """
        return self._loading(unit)[0]

    def run_while_loading(self, unit: Unit) -> set[Unit]:
        """The functions and classes whose bodies may run as `unit` does."""
        return self._loading(unit)[1]

    def _loading(self, unit: Unit) -> tuple[set[tuple[str, Unit]], set[Unit]]:
        found: set[tuple[str, Unit]] = set()
        run: set[Unit] = set()
        todo = [(unit, name) for name in unit.needs_now]
        while todo:
            user, name = todo.pop()
            provider = self.provider(name, user)
            if provider is None or (name, provider) in found:
                continue
            found.add((name, provider))
            only_a_base = (
                user is unit and user.sort == "definition" and any(isinstance(n, ast.ClassDef) for n in provider.nodes)
            )
            if provider.sort == "definition" and not only_a_base:
                run.add(provider)
                todo += [(provider, n) for n in provider.needs]
        return found, run

    @cached_property
    def rebound(self) -> dict[str, list[Unit]]:
        """Names that functions assign through `global`, with everyone who binds, rebinds or reads them: inseparable."""
        names = {name for unit in self.units for name in unit.free.assigned_global}
        return {
            n: [u for u in self.units if n in u.binds or n in u.needs or n in u.free.assigned_global]
            for n in sorted(names)
        }


def packages_behind(scope: Scope, unit: Unit, name: str) -> frozenset[str]:
    """The top-level packages that a name was imported from, as `unit` sees it; "" is this one. Empty where no import binds it."""
    provider = unit if name in unit.binds else scope.provider(name, unit)
    found: set[str] = set()
    for node in statements_in(provider.nodes) if provider is not None and "import" in provider.sort else ():
        if isinstance(node, ast.ImportFrom) and name in bound_names(node):
            found.add("" if node.level else (node.module or "").partition(".")[0])
        elif isinstance(node, ast.Import) and name in bound_names(node):
            found |= {a.name.partition(".")[0] for a in node.names if name in (a.asname, a.name.partition(".")[0])}
    return frozenset(found)
