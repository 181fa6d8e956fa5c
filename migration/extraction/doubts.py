"""What a person has to look at after an extraction, since names looked up at run time cannot be followed."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

from migration.analysis import modules
from migration.analysis.source import Source
from migration.analysis.units import Unit
from migration.extraction.actions import changed_names
from migration.extraction.layout import Layout
from migration.extraction.registration import registrars
from migration.outcome import Finding
from migration.plan import ExtractSymbols
from migration.tree import Overlay

BY_NAME = frozenset({"globals", "eval", "exec"})


def doubts(tree: Overlay, step: ExtractSymbols, layout: Layout, roots: list[str]) -> Iterator[Finding]:
    """Warnings about what a step moves. `tree` is as it was before."""
    moving = layout.moving(step.target)
    names = sorted(n for u in moving for n in u.binds)
    yield from _moved_lookups(step, layout, moving)
    hidden = step.target in layout.backward or not step.reexport  # the source has them on demand, or not at all
    if hidden:
        yield from _lookups_in_source(step, layout, names)
    yield from _uses_of_namespace(tree, step, names, hidden, roots)
    for unit in layout.staying():
        if unit.sort == "effect" and (changed := sorted(changed_names(unit) & set(names))):
            told = f"changes {', '.join(changed)}, which goes to {step.target}, and stays: it runs only where {step.source} is imported, too"
            yield Finding("warning", step.source, unit.lines[0], f"{told}; put it below the definition there by hand")
    for unit in moving:
        for name, how in registrars(layout.scope, unit).items():
            provider = layout.scope.provider(name, unit)
            if provider is not None and "import" in provider.sort:
                told = f"{', '.join(sorted(unit.binds))} may make itself known as it is defined ({how})"
                todo = f"{step.source} imports {step.target} for that; whoever looks it up without naming it has to import one of the two"
                yield Finding("warning", step.source, unit.lines[0], f"{told}: {todo}")


def _moved_lookups(step: ExtractSymbols, layout: Layout, moving: Iterable[Unit]) -> Iterator[Finding]:
    for unit in moving:
        for line, name in lookups(unit):
            told = (
                f"{', '.join(sorted(unit.binds))} looks names up with {name}(), which finds those of {step.target} now"
            )
            todo = f"import there what it may be asked for, or look it up in {step.source}"
            yield Finding("warning", step.source, unit.lines[0] + line, f"{told}: {todo}")


def _lookups_in_source(step: ExtractSymbols, layout: Layout, names: list[str]) -> Iterator[Finding]:
    for unit in layout.staying():
        if "__all__" not in unit.binds and "__dir__" not in unit.binds:
            for line, name in lookups(unit):
                told = f"{name}() does not find {', '.join(names)} here any more, moved to {step.target}"
                todo = (
                    "ask getattr(sys.modules[__name__], name), which does"
                    if step.reexport
                    else f"import them from {step.target}"
                )
                yield Finding("warning", step.source, unit.lines[0] + line, f"{told}: {todo}")


def lookups(unit: Unit) -> Iterator[tuple[int, str]]:
    """Calls that take a module-level name from a string: how many lines below the unit's first, and what is called."""
    if not (BY_NAME | {"vars"}) & unit.needs:
        return
    for node in unit.nodes:
        for inner in ast.walk(node):
            match inner:
                case ast.Call(func=ast.Name(id=name)) if name in BY_NAME or (name == "vars" and not inner.args):
                    yield inner.lineno - unit.lines[0], name


def _uses_of_namespace(
    tree: Overlay, step: ExtractSymbols, names: list[str], hidden: bool, roots: list[str]
) -> Iterator[Finding]:
    """Files that look into the source's namespace, `module.__dict__[…]` or `vars(module)`, or put something of theirs there."""
    stem = step.source.removesuffix("/__init__.py").removesuffix(".py").rsplit("/", 1)[-1]
    for path in tree.importing(stem, suffixes=(".py",)):
        source = tree.source(path)
        bound = set(_bound_to(tree, source, step.source, roots)) if path != step.source and source.parses else set()
        for node in ast.walk(source.tree) if bound else ():
            match node:
                case ast.Attribute(value=value, attr="__dict__") | ast.Call(func=ast.Name(id="vars"), args=[value]):
                    if hidden and ast.unparse(value) in bound:
                        told = (
                            f"`{ast.unparse(node)}` does not hold {', '.join(names)} any more, moved to {step.target}"
                        )
                        yield Finding("warning", path, node.lineno, f"{told}: ask getattr({ast.unparse(value)}, name)")
                case ast.Attribute(value=value, attr=attr, ctx=ast.Store()):
                    if attr in names and ast.unparse(value) in bound:
                        told = f"sets {ast.unparse(node)}, and what reads {attr} reads it in {step.target} now"
                        yield Finding("warning", path, node.lineno, f"{told}: set it there")


def _bound_to(tree: Overlay, source: Source, path: str, roots: list[str]) -> Iterator[str]:
    """The expressions by which a file calls the module at `path`."""
    hints = modules.path_hints(source)
    for node in source.imports:
        for alias in node.names:
            if isinstance(node, ast.ImportFrom) and node.level:
                dotted = ".".join(filter(None, [node.module, alias.name]))
                found = modules.resolve_relative(tree, dotted, node.level, source.path)
            else:
                dotted = alias.name if isinstance(node, ast.Import) else f"{node.module}.{alias.name}"
                found = (modules.resolve_absolute(tree, dotted, source.path, roots, hints) or (None,))[0]
            if found == path:
                yield alias.asname or alias.name
