"""A new module of the tree does not stand in the way of an installed package, or of the standard library.

Run by path, Python looks into the script's own folder first (https://docs.python.org/3/library/sys_path_init.html), where
`training/lightning` is found for everyone who says `import lightning`. Linters, which resolve from the root, do not see it.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass

from migration.analysis import modules
from migration.analysis.source import Source
from migration.analysis.units import is_script
from migration.gates import Check, Failure, gate
from migration.plan import MoveModule
from migration.probe import Door
from migration.probe.doors import path_statements
from migration.probe.importers import imported_files, python_of, stem
from migration.probe.session import Session, Side, asks, imported_names, installed, session
from migration.tree import Overlay

CELLS = re.compile(r"^#\s?%%", re.MULTILINE)


@dataclass(frozen=True)
class Suspect:
    """A new module by whose name something else may be meant, and a script that finds it first; no script means: any, from the root."""

    name: str
    module: str
    script: str


@asks
def doors(check: Check) -> Iterator[tuple[Side, Door]]:
    """`import name` as each script comes to it, before and after."""
    for suspect in _suspects(check):
        yield from (("before", _door(check, check.before, suspect)), ("after", _door(check, check.after, suspect)))


@gate("no-shadowing", "No module newly shadows an installed package from a script's folder", prepare=session)
def no_shadowing(check: Check) -> Iterator[Failure]:
    asked = session(check)
    for suspect in _suspects(check):
        if _shadows(check, asked, suspect):
            failure = _failure(check, suspect)
            if failure.fatal or failure.path in check.touched:
                yield failure


def _suspects(check: Check) -> list[Suspect]:
    """Found once a check."""
    known: list[Suspect] | None = check.__dict__.get("_suspects")
    if known is None:
        known = check.__dict__["_suspects"] = list(_found(check))
    return known


def _found(check: Check) -> Iterator[Suspect]:
    roots = check.plan.python.roots
    for module in check.touched_python:
        name, folder = stem(module), modules.folder_of(module.removesuffix("/__init__.py"))
        if check.before.exists(module) or modules.find_module(check.before, name, folder) or not name.isidentifier():
            continue
        users = {p for tree in (check.before, check.after) for p in _importing(tree, name)}
        if not users and name not in sys.stdlib_module_names and name not in installed():
            continue
        if folder in roots:
            yield Suspect(name, module, "")
        else:
            yield from (
                Suspect(name, module, p) for p in check.after.paths() if _runs_from(check.after, p, folder, users)
            )


def _importing(tree: Overlay, name: str) -> list[str]:
    """Files that say `import name` or `from name…`, as far as their text shows."""
    likely = tree.mentioning(*(before + name for before in ("import ", "from ", ", ", ",")), suffixes=(".py", ".ipynb"))
    return [p for p in likely if p.endswith(".ipynb") or name in imported_names(tree, p)]


def _runs_from(tree: Overlay, path: str, folder: str, users: set[str]) -> bool:
    """Whether the file is a script or notebook that lies in `folder`, or one that puts `folder` on its path and uses the name."""
    if modules.folder_of(path) == folder:
        return path.endswith(".ipynb") or (path.endswith(".py") and _is_run(tree.source(path)))
    return path in users and (source := python_of(tree, path)) is not None and folder in modules.path_hints(source)


def _is_run(source: Source) -> bool:
    return source.parses and (is_script(source) or CELLS.search(source.text) is not None)


def _door(check: Check, tree: Overlay, suspect: Suspect) -> Door:
    """`import name` behind the lines by which the script arranges its path before it says so itself, or at all."""
    roots = tuple(check.plan.python.roots)
    code, path = (
        f"import {suspect.name}",
        suspect.script if tree.exists(suspect.script) else _former(check, suspect.script),
    )
    source = python_of(tree, path) if tree.exists(path) else None
    if source is not None:
        lines = path_statements(source, _import_in(source, suspect.name))
        code = "\n".join([*map(ast.unparse, lines), code])
    entries = roots if not suspect.script else (modules.folder_of(suspect.script), *roots)
    return Door("statements", "__main__", path or suspect.module, tuple(dict.fromkeys(entries)), code)


def _former(check: Check, script: str) -> str:
    return next((s.source for s in check.plan.step if isinstance(s, MoveModule) and s.target == script), script)


def _import_in(source: Source, name: str) -> ast.stmt | None:
    """The first statement that imports `name`."""
    for node in source.imports:
        listed = (
            [a.name for a in node.names] if isinstance(node, ast.Import) else [] if node.level else [node.module or ""]
        )
        if name in (dotted.partition(".")[0] for dotted in listed):
            return node
    return None


def _shadows(check: Check, asked: Session, suspect: Suspect) -> bool:
    """Whether the name led out of the tree before, and leads to the new module now."""
    before = asked.result("before", _door(check, check.before, suspect))
    after = asked.result("after", _door(check, check.after, suspect))
    own = any(stem(path) == suspect.name for path in before.loaded)
    led_out = suspect.name in before.standins or (suspect.name in sys.stdlib_module_names and not own)
    return before.ok and led_out and suspect.module in after.loaded


def _failure(check: Check, suspect: Suspect) -> Failure:
    name, script, module = suspect.name, suspect.script, suspect.module
    library = name in sys.stdlib_module_names
    what = f"the standard library's {name}" if library else f"the installed package {name}"
    if not script:
        told = f"is found in place of {what} by whoever says `import {name}` with its folder on the path; give it another name"
        return Failure(module, None, told, fatal=library)
    user = _user(check, script, name)
    where = f" in {user[0]}:{user[1]}" if user else ""
    out = "let an entry-point step put the root in place of its folder, or " if script.endswith(".py") else ""
    doubt = "" if user or library else "; nothing of the tree that it loads says so, but an installed package may"
    told = f"run by path, `import {name}`{where} finds the new {module} and no longer {what}{doubt}; {out}give {module} another name"
    return Failure(script, user[1] if user and user[0] == script else None, told, fatal=library or user is not None)


def _user(check: Check, script: str, name: str) -> tuple[str, int] | None:
    """The first file, and its line, of what a script may come to load, that imports `name`: itself, or what it imports at whatever depth."""
    roots, users = check.plan.python.roots, set(_importing(check.after, name))
    todo, seen = [script] if users else [], {script}
    for path in todo:
        source = python_of(check.after, path)
        if source is None:
            continue
        if path in users and (node := _import_in(source, name)) is not None:
            return path, node.lineno
        hints = [*modules.path_hints(source), modules.folder_of(script)]
        for node in source.imports:
            found = set(imported_files(check.after, node, path, roots, hints))
            new = {f for file in found for f in (file, *_packages(check.after, file))} - seen
            seen |= new
            todo += sorted(new)
    return None


def _packages(tree: Overlay, path: str) -> Iterator[str]:
    """The `__init__.py` files that are loaded before a file is."""
    folder = modules.folder_of(path)
    while folder != ".":
        if tree.exists(f"{folder}/__init__.py"):
            yield f"{folder}/__init__.py"
        folder = modules.folder_of(folder)
