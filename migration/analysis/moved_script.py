"""A script at its new place: `python script.py` puts the script's own folder on `sys.path`, and nothing else.

What it found through its old folder, or through `sys.path` lines counted from there, it finds through an import root now.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from migration.analysis import modules
from migration.analysis.importers import with_roots
from migration.analysis.source import Source, splice
from migration.analysis.units import is_script, units_of
from migration.errors import BadInput
from migration.tree import Overlay


def runs_by_path(source: Source, called: bool, imported: bool) -> bool:
    """Whether a file is run by path: someone does so, or it says so itself, or it does something and nobody imports it.

    One with relative imports at its top never was.
    """
    if any(isinstance(n, ast.ImportFrom) and n.level for n in source.tree.body):
        return False
    return called or is_script(source) or (not imported and any(u.sort == "effect" for u in units_of(source)))


def rooted(before: Overlay, old: str, after: Overlay, new: str, roots: list[str]) -> tuple[str, list[str]]:
    """The text of `new`, once `old`, with the root lines that it needs to be run by path; and the modules that need them.

    Raises BadInput where another module stands in the way of one that it imports, or where no root leads to it.
    """
    was, now = before.source(old), after.source(new)
    spelt = {name for node in was.imports for name in _named(node)}
    needing: list[tuple[ast.stmt, str]] = []
    names: list[str] = []
    for node in now.imports:
        for name in _named(node):
            if name in spelt:
                meant = _found(before, name, was)
            else:  # spelt otherwise before: it was found through the old folder, and is named from a root now
                meant = next(filter(None, (modules.find_module(after, name, root) for root in roots)), None)
            if meant is None or meant == old or (there := _found(after, name, now)) == meant:
                continue
            line = f"{old}: `{ast.unparse(node)}` means {meant} there"
            if there is not None:
                raise BadInput(f"{line}, and run from {new} it would mean {there}; take another place for it")
            root = next((root for root in roots if modules.find_module(after, name, root) == meant), None)
            if root is None:
                raise BadInput(
                    f"{line}, through the script's folder, and no import root leads to it from {new}; move both, or name the folder in the plan's roots"
                )
            needing.append((_statement(now, node), root))
            names.append(name)
    edits = [(now.span(place)[0], now.span(place)[0], text) for place, text in with_roots(now, needing)]
    return splice(now.text, edits), list(dict.fromkeys(names))


def _named(node: ast.Import | ast.ImportFrom) -> Iterator[str]:
    """The absolute names of modules that an import may mean."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif not node.level:
        yield node.module or ""
        yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _found(tree: Overlay, name: str, script: Source) -> str | None:
    """What the name means to the script, run by path with no root on its path."""
    folders = [modules.folder_of(script.path), *modules.path_hints(script)]
    return next(filter(None, (modules.find_module(tree, name, folder) for folder in folders)), None)


def _statement(source: Source, node: ast.stmt) -> ast.stmt:
    """The top-level statement that holds an import, so that no `try` or `if` decides about the path; inside a definition, the import."""
    holder = next(s for s in source.tree.body if s.lineno <= node.lineno <= (s.end_lineno or 0))
    return node if isinstance(holder, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) else holder
