"""The import statements and dotted names that lead to what a migration touches, and what has taken their place."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

from migration.analysis import modules
from migration.analysis.notebooks import cells, python_text
from migration.analysis.source import Source, blocks_of
from migration.analysis.units import units_of
from migration.errors import BadInput
from migration.gates import Check
from migration.plan import MoveModule
from migration.tree import Overlay

CONFIGS = (".yaml", ".yml", ".toml", ".json", ".cfg", ".ini")
DOTTED = re.compile(r"(?<![\w./:-])[^\W\d]\w*(?:\.[^\W\d]\w*)+(?::[^\W\d]\w*)?(?![\w/-])")
DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


@dataclass(frozen=True)
class Import:
    """One import statement, with the names of the functions and classes that it stands in."""

    source: Source
    node: ast.Import | ast.ImportFrom
    scope: tuple[str, ...]

    @cached_property
    def names(self) -> frozenset[str]:
        return frozenset(a.asname or a.name.split(".")[0] for a in self.node.names)

    @property
    def text(self) -> str:
        return ast.unparse(self.node)

    def uses(self, of: frozenset[str]) -> str:
        """Expressions `bound.name`, one a line, for the names in `of` that the file takes out of a module it imported here;
        bare names where it took them all with a star.
        """
        bound = {a.asname or a.name for a in self.node.names}
        found = {f"{value}.{name}" for value, name in self.source.attributes if name in of and value in bound}
        if "*" in bound:  # a package hands on what it takes; another file takes what nothing in it binds
            free = _free(self.source)
            package = self.source.path.endswith("/__init__.py")
            found |= {name for name in of if name in free or (package and not name.startswith("_"))}
        return "\n".join(sorted(found))


def _free(source: Source) -> frozenset[str]:
    """Names that a file uses and does not bind."""
    units = units_of(source)
    return frozenset().union(*(u.needs for u in units)) - frozenset().union(*(u.binds for u in units))


def imported_files(
    tree: Overlay, node: ast.Import | ast.ImportFrom, path: str, roots: list[str], hints: list[str]
) -> Iterator[str]:
    """The tree's files that a statement in `path` asks for: modules, and packages only where a name of their own is wanted."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            if found := modules.resolve_absolute(tree, alias.name, path, roots, hints):
                yield found[0]
        return
    for alias in node.names:
        dotted = ".".join(filter(None, [node.module, alias.name]))
        if node.level:
            target = modules.resolve_relative(tree, dotted, node.level, path) or modules.resolve_relative(
                tree, node.module, node.level, path
            )
        else:
            found = modules.resolve_absolute(tree, dotted, path, roots, hints) or modules.resolve_absolute(
                tree, node.module or "", path, roots, hints
            )
            target = found[0] if found else None
        if target is not None:
            yield target


def python_of(tree: Overlay, path: str) -> Source | None:
    """A Python file, or a notebook's code cells one after another; None for what does not parse."""
    if not path.endswith(".ipynb"):
        source = tree.source(path)
        return source if source.parses else None
    try:
        texts = [python_text(cell) for cell in cells(tree.read(path))]
    except BadInput:
        return None
    whole = [text for text in texts if Source(path, text.encode()).parses]
    return Source(path, "\n".join(whole).encode())


def imports_of(source: Source) -> Iterator[Import]:
    """Every import statement of a file, at whatever depth."""

    def visit(body: Iterable[ast.AST], scope: tuple[str, ...]) -> Iterator[Import]:
        for child in body:
            if isinstance(child, ast.Import | ast.ImportFrom):
                yield Import(source, child, scope)
            else:
                yield from visit(blocks_of(child), (*scope, child.name) if isinstance(child, DEFINITIONS) else scope)

    yield from visit(source.tree.body, ())


def importers(check: Check) -> list[tuple[Import, list[Import]]]:
    """Each import of a touched or vanished module, and each import inside a definition that moved, with the statements
    that now bind its names in the same place. Found once a check.
    """
    known: list[tuple[Import, list[Import]]] | None = check.__dict__.get("_importers")
    if known is None:
        known = check.__dict__["_importers"] = list(_importers(check))
    return known


def _importers(check: Check) -> Iterator[tuple[Import, list[Import]]]:
    roots = check.plan.python.roots
    targets = touched_before(check)
    for path in sorted({*check.before.importing(*{stem(p) for p in targets}), *targets}) if targets else []:
        source = python_of(check.before, path)
        if source is None:
            continue
        hints = modules.path_hints(source)
        own: list[Import] | None = None
        for old in imports_of(source):
            files = set(imported_files(check.before, old.node, path, roots, hints))
            if not files or not (files & targets or (path in targets and old.scope)):
                continue
            if own is None:
                own = _now(check, path)
            there = own + [n for home in _new_homes(check, path, old.scope) for n in _now(check, home)]
            if news := [n for n in there if n.scope == old.scope and n.names & old.names]:
                yield old, news


def _now(check: Check, path: str) -> list[Import]:
    source = python_of(check.after, path) if check.after.exists(path) else None
    return list(imports_of(source)) if source else []


def _new_homes(check: Check, path: str, scope: tuple[str, ...]) -> set[str]:
    """The files that a definition of `path`, or all of it, has moved to."""
    homes = {step.target for step in check.plan.step if isinstance(step, MoveModule) and step.source == path}
    return homes | {m.target for m in check.moved if m.source == path and scope and scope[0] in m.name.split(", ")}


def touched_before(check: Check) -> set[str]:
    """Python files that were there before and are not the same now."""
    return {p for p in check.touched if p.endswith(".py") and check.before.exists(p)}


def stem(path: str) -> str:
    """The last part of a module's name."""
    return path.removesuffix("/__init__.py").removesuffix(".py").rsplit("/", 1)[-1]


def top_level(source: Source) -> frozenset[str]:
    """Names that a module binds at its top level."""
    found: set[str] = set()
    for node in source.tree.body if source.parses else []:
        if isinstance(node, DEFINITIONS):
            found.add(node.name)
        else:
            found |= {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    return frozenset(found)


@dataclass(frozen=True)
class DottedName:
    """A dotted name in a configuration, or as a whole string in Python. `folders` are where its first part is looked up."""

    path: str
    line: int
    text: str
    folders: tuple[str, ...]
    was_there: bool


def dotted_names(check: Check) -> Iterator[DottedName]:
    """Dotted names that meant something touched before, where they still stand; and those that stand in their files only now."""
    roots, targets = tuple(check.plan.python.roots), touched_before(check)
    spellings: dict[str, tuple[str, ...]] = {}
    for target in sorted(targets):
        spellings.setdefault(stem(target), (modules.folder_of(target), *roots))
        for root in roots:
            if name := modules.dotted_name(target, [root]):
                spellings[name] = roots
    if not targets:
        return
    for path in check.before.importing(*{stem(p) for p in targets}, suffixes=(*CONFIGS, ".py")):
        if not check.after.exists(path) or (path.endswith(".py") and not check.after.source(path).parses):
            continue
        old = set(_tokens(check.before, path))
        new = dict(_tokens(check.after, path))
        changed = check.before.read(path) != check.after.read(path)
        tokens = {text for text, _ in old}
        for text, line in new.items():
            folders = _spelt(text, spellings)
            if text in tokens and folders:
                yield DottedName(path, line, text, folders, True)
            elif (
                text not in tokens
                and changed
                and any(modules.find_module(check.after, part, r) for r in roots for part in _prefixes(text))
            ):
                yield DottedName(path, line, text, roots, False)


def _spelt(text: str, spellings: dict[str, tuple[str, ...]]) -> tuple[str, ...]:
    return next((spellings[part] for part in _prefixes(text) if part in spellings), ())


def _prefixes(text: str) -> Iterable[str]:
    parts = text.replace(":", ".").split(".")
    return [".".join(parts[:n]) for n in range(len(parts), 0, -1)]


def _tokens(tree: Overlay, path: str) -> Iterator[tuple[str, int]]:
    if path.endswith(".py"):
        source = tree.source(path)
        yield from ((text, line) for text, line in source.strings if DOTTED.fullmatch(text)) if source.parses else ()
        return
    for number, line in enumerate(tree.read(path).decode(errors="replace").splitlines(), 1):
        for match in DOTTED.finditer(line):
            yield match.group(), number
