"""What goes where, decided once for all steps that take symbols out of one source, before any text is touched.

A constant or function that only one target leans on goes there; otherwise (and classes always) it stays and is imported from where it stays. A target that
imports the source back makes an eager re-export a cycle, so the source then answers for its names on demand (PEP 562);
where the source itself needs them as it loads, what they lean on moves along instead.
"""

from __future__ import annotations

import ast

from migration.analysis import modules
from migration.analysis.bound_names import bound_names
from migration.analysis.source import Source, blocks_of, statements_in
from migration.analysis.units import BUILTINS, Unit, units_of
from migration.errors import BadInput, nearest
from migration.extraction.actions import acted_on, changed_names
from migration.extraction.layout import Layout
from migration.extraction.names import MOVABLE, Scope
from migration.extraction.registration import registrars
from migration.outcome import Context
from migration.plan import ExtractSymbols
from migration.tree import Overlay


def layout_of(tree: Overlay, source: Source, context: Context) -> Layout:
    """The layout of everything that the plan's steps take out of `source`. Raises BadInput."""
    scope = Scope(tuple(units_of(source)))
    layout = Layout(source.path, scope)
    for step in context.steps(ExtractSymbols):
        if step.source == source.path:
            for name in imported_from(tree, source.path, step.target, context.roots):
                layout.claimed.setdefault(name, set()).add(step.target)
            for symbol in step.symbols:
                _request(layout, tree, step, symbol, context.plan.file)
    _settle(layout)
    while widened := _needed_while_loading(layout):
        for unit, target, why in widened:
            layout.home[unit.index], layout.why[unit.index] = target, why
        _settle(layout)
    _check_guard(layout)
    if layout.home and not source.path.endswith("__init__.py"):
        _hoist_effects(layout)
    _check_cycles(layout)
    return layout


def imported_from(tree: Overlay, path: str, importer: str, roots: list[str]) -> set[str]:
    """The names that one file imports from the module at `path`."""
    source = tree.source(importer) if tree.exists(importer) else None
    found: set[str] = set()
    if source is None or not source.parses:
        return found
    hints = modules.path_hints(source)
    for node in source.imports:
        if isinstance(node, ast.ImportFrom):
            resolved = (
                modules.resolve_relative(tree, node.module, node.level, importer)
                if node.level
                else (modules.resolve_absolute(tree, node.module or "", importer, roots, hints) or ("", ""))[0]
            )
            if resolved == path:
                found |= {a.name for a in node.names}
    if "*" in found:  # any name that nothing in the file binds may come from there
        units = units_of(source)
        found |= frozenset().union(*(u.needs for u in units)) - frozenset().union(*(u.binds for u in units)) - BUILTINS
    return found


def _request(layout: Layout, tree: Overlay, step: ExtractSymbols, symbol: str, plan: str) -> None:
    where = f"{plan}: step {step.id!r}"
    found = layout.scope.definitions(symbol)
    there = tree.exists(step.target) and any(
        symbol in u.binds and u.sort in MOVABLE for u in units_of(tree.source(step.target))
    )
    if not found:
        if there:
            return
        names = [name for u in layout.scope.units if u.sort in MOVABLE for name in u.binds]
        imported = " (it is only imported there)" if symbol in layout.scope.binders else ""
        raise BadInput(
            f"{where}: field 'symbols': {symbol!r} is not defined at the top level of {step.source}{imported}{nearest(symbol, names)}"
        )
    if there:
        raise BadInput(
            f"{where}: {symbol!r} is defined in both {step.source} and {step.target}; take one of them out by hand"
        )
    if len(found) > 1:
        lines = ", ".join(str(u.lines[0]) for u in found)
        raise BadInput(
            f"{where}: {symbol!r} is defined {len(found)} times in {step.source} (lines {lines}); which one is meant? Rename or remove the others"
        )
    layout.home[found[0].index] = step.target


def _settle(layout: Layout) -> None:
    """Carry along helpers that only one target leans on, what changes a moved name, and whoever shares a rebound global."""
    changed = True
    while changed:
        changed = False
        for unit in layout.scope.units:
            if unit.index not in layout.home and (found := _follows(layout, unit)):
                layout.home[unit.index], layout.why[unit.index] = found
                changed = True
        changed |= _keep_globals_together(layout)


def _follows(layout: Layout, unit: Unit) -> tuple[str, str] | None:
    """Where a unit that no step names goes along to, and why."""
    scope = layout.scope
    if unit.sort == "effect":
        changed = changed_names(unit)
        homes = {layout.place(n) for n in changed}
        if len(homes) == 1 and (target := homes.pop()):
            return target, f"changes {', '.join(sorted(changed))}"
        return None
    if (
        unit.sort not in MOVABLE
        or not unit.binds
        or any(isinstance(n, ast.ClassDef) for n in unit.nodes)
        or "__file__" in unit.needs
        or any(n.startswith("__") and n.endswith("__") for n in unit.binds)
    ):
        return None
    if any(len([b for b in scope.binders[n] if b.sort not in ("effect",)]) > 1 for n in unit.binds):
        return None
    users = [
        u
        for n in unit.binds
        for u in scope.users(n)
        if u.index != unit.index and not (u.sort == "effect" and n in changed_names(u))
    ]
    homes = {layout.home.get(u.index) for u in users}
    homes |= {target for n in unit.binds for target in layout.claimed.get(n, ())}
    if users and len(homes) == 1 and (target := homes.pop()):
        return target, f"only {', '.join(sorted({n for u in users for n in u.binds}))} leans on it"
    return None


def _keep_globals_together(layout: Layout) -> bool:
    for name, sharers in layout.scope.rebound.items():
        homes = {layout.home[u.index] for u in sharers if u.index in layout.home}
        outside = [u for u in sharers if u.index not in layout.home]
        if not homes or (len(homes) == 1 and not outside):
            continue
        stuck = [u for u in outside if u.sort not in MOVABLE]
        if len(homes) > 1 or stuck:
            lines = ", ".join(str(u.lines[0]) for u in sharers)
            raise BadInput(
                f"{layout.source}: functions rebind the module-level name {name!r} (`global {name}`), so everything that uses it (lines {lines}) "
                "has to live in one module; move all of it to one target or none"
            )
        target = homes.pop()
        for unit in outside:
            layout.home[unit.index], layout.why[unit.index] = target, f"shares the rebound global {name}"
        return True
    return False


def _needed_while_loading(layout: Layout) -> list[tuple[Unit, str, str]]:
    """Staying definitions that must move along, because the source needs a target as it loads that would import it back."""
    backward = layout.backward
    urgent: dict[str, str] = {}
    for unit in layout.staying():
        if unit.sort == "main guard":
            continue
        for name, provider in layout.scope.while_loading(unit):
            target = layout.home.get(provider.index)
            if target in backward:
                urgent.setdefault(target or "", name)
    for target in backward:
        for unit in layout.moving(target):
            known = registrars(layout.scope, unit)  # by these, the source loads the target, below all that it defines
            leant_on = layout.leans(target, now_only=True).get(layout.source, set())
            decorated = bool(leant_on & _decorators(unit) - known.keys())
            called = {u for u in layout.scope.run_while_loading(unit) if u.index not in layout.home}
            if decorated or any(layout.place(n) in backward for u in called for n in u.needs):
                urgent.setdefault(target, next(iter(sorted(unit.binds))))
    reached = set(urgent)
    while more := {t for u in reached for t in layout.leans(u) if t in backward} - reached:
        reached |= more
    found = []
    for target in sorted(reached):
        for name in sorted(layout.leans(target).get(layout.source, ())):
            units = [u for u in layout.scope.binders[name] if u.index not in layout.home]
            stuck = [u for u in units if u.sort not in MOVABLE]
            if stuck:
                raise BadInput(
                    f"{layout.source}:{stuck[0].lines[0]}: what moves to {target} leans on {name!r}, bound by a statement that cannot move, while {layout.source} "
                    "needs the moved names as it loads: that would be an import cycle. Name more symbols in the step, or fewer"
                )
            found += [(u, target, f"{layout.source} needs {target} as it loads, which leans on it") for u in units]
    return list({unit.index: (unit, target, why) for unit, target, why in reversed(found)}.values())[::-1]


def _hoist_effects(layout: Layout) -> None:
    """Statements that configure what is imported (`torch.set_float32_matmul_precision(…)`, `os.environ[…] = …`) go to the
    setup module, with the constants they use, so that they run once and first by whichever door one comes in. Only from the
    top down to the first statement that does more: their order among the others must not change.
    """
    for unit in layout.scope.units:
        if unit.sort != "effect" or unit.index in layout.home:
            continue
        roots = acted_on(unit.nodes)
        needed = _importable(layout, unit)
        if roots and needed is not None and all(_is_imported(layout.scope, unit, root) for root in roots):
            for other in [*needed, unit]:
                layout.home[other.index], layout.why[other.index] = (
                    layout.setup,
                    "ran when the module was imported, whoever imported it",
                )
        elif unit.needs - BUILTINS:
            return


def _is_imported(scope: Scope, unit: Unit, name: str) -> bool:
    provider = scope.provider(name, unit)
    return provider is not None and provider.sort in ("import", "guarded import")


def _importable(layout: Layout, unit: Unit) -> list[Unit] | None:
    """The constants a statement needs beside imports, or None where it needs more or depends on its module's name."""
    constants: list[Unit] = []
    for name in unit.needs - unit.binds:
        provider = layout.scope.provider(name, unit)
        if name in ("__name__", "__spec__", "globals", "locals") or (
            provider is not None and provider.sort in ("effect", "definition", "path", "main guard")
        ):
            return None
        if provider is not None and provider.sort == "assignment":
            home = layout.home.get(provider.index)
            further = _importable(layout, provider)
            if further is None or home not in (None, layout.setup) or len(layout.scope.binders[name]) > 1:
                return None
            constants += [*further, provider]
    return constants


def _decorators(unit: Unit) -> set[str]:
    return {
        n.id
        for node in unit.nodes
        for d in getattr(node, "decorator_list", [])
        for n in ast.walk(d)
        if isinstance(n, ast.Name)
    }


def _check_guard(layout: Layout) -> None:
    """What the main guard sets is seen by the code of its own module only: another would keep the value from before, or none."""
    for guard in [u for u in layout.scope.units if u.sort == "main guard"]:
        assigned = frozenset().union(*(bound_names(n, imports=False) for n in guard.nodes))
        for unit in layout.scope.units:
            target = layout.home.get(unit.index)
            seen = {n for n in unit.needs & guard.binds if n in assigned or layout.scope.provider(n, unit) is guard}
            if target and seen:
                name = min(seen)
                binding = [n for n in statements_in(guard.nodes) if isinstance(n, ast.stmt) and name in bound_names(n)]
                line = next(n.lineno for n in binding if not any(other in binding for other in blocks_of(n)))
                todo = "pass it as an argument" if name in assigned else "import it at the top of the file"
                raise BadInput(
                    f"{layout.source}:{line}: {name!r} is bound in the main guard, and {', '.join(sorted(unit.binds)) or 'what moves'} "
                    f"(line {unit.lines[0]}), which goes to {target}, reads it: from another module it would not see that; {todo} first"
                )


def _check_cycles(layout: Layout) -> None:
    """Targets that need each other as they load cannot both come first."""
    for target in sorted(set(layout.home.values())):
        for other, names in sorted(layout.leans(target, now_only=True).items()):
            if other != layout.source and target in layout.reached(other, now_only=True):
                back = sorted(layout.leans(other, now_only=True).get(target, ())) or ["…"]
                raise BadInput(
                    f"{layout.source}: {target} needs {', '.join(sorted(names))} from {other} as it loads, and {other} needs {', '.join(back)} back: "
                    "an import cycle. Put them into one target"
                )
        for home, names in sorted(layout.late(target).items()):
            between = {t for t in layout.reached(home, now_only=True) if target in layout.reached(t, now_only=True)}
            if between:
                raise BadInput(
                    f"{layout.source}: {home} needs {', '.join(sorted(between))} as it loads, which needs {target}, which leans on "
                    f"{', '.join(sorted(names))} of {home}: an import cycle of three. Put two of them into one target"
                )
