"""Pointing everyone who imports a module, or a name of it, at the new home.

Absolute, relative, function-level imports, imports through a script's own folder, notebook cells, whole dotted strings in
configurations and in Python. A file whose import found the old module without the import root gets a `sys.path` line for it.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from migration.analysis import modules
from migration.analysis.imports import bound_by, module_text, relative_to, render, render_from, with_module, without
from migration.analysis.notebooks import cells, python_text, with_cell_texts
from migration.analysis.paths import rewrite_dotted
from migration.analysis.source import Source, Unparsable, splice
from migration.errors import BadInput
from migration.outcome import Context, Finding
from migration.tree import Overlay

CONFIGS = (".yaml", ".yml", ".toml", ".json", ".cfg", ".ini")
DOTTED = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)+")


@dataclass(frozen=True)
class Renames:
    """What moved: whole modules (old path to new path), and single names out of modules that stay."""

    modules: Mapping[str, str] = field(default_factory=dict)
    symbols: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    @property
    def old_paths(self) -> list[str]:
        return [*self.modules, *self.symbols]

    def home(self, path: str, name: str) -> str | None:
        """Where `name` of the module at `path` lives now, None where it has not moved."""
        return self.modules.get(path) or self.symbols.get(path, {}).get(name)


def repoint_module(
    tree: Overlay, old_path: str, new_path: str, context: Context
) -> tuple[dict[str, bytes | None], list[Finding]]:
    """Point every importer of the module at `old_path` (there or already gone) at `new_path`."""
    return repoint(tree, Renames(modules={old_path: new_path}), context, skip={old_path})


def repoint(
    tree: Overlay, renames: Renames, context: Context, skip: Iterable[str] = ()
) -> tuple[dict[str, bytes | None], list[Finding]]:
    """Edits and findings for every file but `skip`. A file that does not parse is left alone and reported."""
    roots, skipped = context.roots, set(skip)
    there = Overlay(tree, {path: b"" for path in renames.old_paths if not tree.exists(path)})
    stems = sorted({_stem(path) for path in renames.old_paths})
    edits: dict[str, bytes | None] = {}
    findings: list[Finding] = []
    for path in tree.importing(*stems, suffixes=(".py", ".ipynb", *CONFIGS)) if stems else ():
        if path in skipped:
            continue
        try:
            if path.endswith(".py"):
                source = tree.source(path)
                new, lines = _rewrite_source(there, source, renames, roots)
                raw = source.encode(new)
            elif path.endswith(".ipynb"):
                raw, lines = _rewrite_notebook(there, path, renames, roots)
            else:
                raw, lines = _rewrite_config(tree, path, renames, roots)
        except (Unparsable, BadInput) as error:
            if context.memo.setdefault(("left alone", path), error) is error:  # once a run is enough
                why = error.why if isinstance(error, Unparsable) else str(error)
                findings.append(
                    Finding(
                        "warning",
                        path,
                        getattr(error, "line", None),
                        f"mentions what moves and is left alone: does not parse ({why})",
                    )
                )
            continue
        if raw != tree.read(path):
            edits[path] = raw
            findings += [
                Finding("change", path, line, "points at the new home", before, after) for line, before, after in lines
            ]
    return edits, findings


def _stem(path: str) -> str:
    name = path.removesuffix("/__init__.py").removesuffix(".py")
    return name.rsplit("/", 1)[-1]


Line = tuple[int, str, str]


def _rewrite_notebook(there: Overlay, path: str, renames: Renames, roots: list[str]) -> tuple[bytes, list[Line]]:
    raw = there.read(path)
    changed: dict[int, str] = {}
    lines: list[Line] = []
    parsed = []
    for cell in cells(raw):
        source = Source(path, python_text(cell).encode())
        if source.parses:
            parsed.append((cell, source))
    hints = [hint for _, source in parsed for hint in modules.path_hints(source)]
    for cell, source in parsed:
        edits, found = _python_edits(there, source, renames, roots, hints, notebook=True)
        if edits:
            changed[cell.index] = splice(cell.text, edits)
            lines += found
    return (with_cell_texts(raw, changed) if changed else raw), lines


def _rewrite_source(there: Overlay, source: Source, renames: Renames, roots: list[str]) -> tuple[str, list[Line]]:
    edits, lines = _python_edits(there, source, renames, roots, modules.path_hints(source))
    return splice(source.text, edits), lines


def _rewrite_config(tree: Overlay, path: str, renames: Renames, roots: list[str]) -> tuple[bytes, list[Line]]:
    raw = tree.read(path)
    new = rewrite_dotted(raw, _dotted_map(tree, renames, roots, defined=True))
    pairs = zip(raw.decode(errors="replace").splitlines(), new.decode(errors="replace").splitlines(), strict=False)
    return new, [(i, a.strip(), b.strip()) for i, (a, b) in enumerate(pairs, 1) if a != b]


def _dotted_map(tree: Overlay, renames: Renames, roots: list[str], defined: bool = False) -> dict[str, str]:
    """Old dotted names to new ones. A script's bare stem counts where no root has a module of that name.

    A bare word of a module that moved whole is followed with a class of it, with `defined` also with a function: `train.Model`
    is what it looks like, `train.lr` is more likely a setting.
    """
    found: dict[str, str] = {}
    for old in renames.old_paths:
        spellings = {name for root in roots if (name := modules.dotted_name(old, [root]))}
        if not any(modules.find_module(tree, _stem(old), root) for root in roots):
            spellings.add(_stem(old))
        for spelling in spellings:
            for name, home in renames.symbols.get(old, {}).items():
                if new := modules.dotted_name(home, roots):
                    found[f"{spelling}.{name}"] = f"{new}.{name}"
            if old not in renames.modules or not (new := modules.dotted_name(renames.modules[old], roots)):
                continue
            if "." in spelling:
                found[spelling] = new
            else:
                for name in _defined(tree, renames.modules[old], functions=defined):
                    found[f"{spelling}.{name}"] = f"{new}.{name}"
    return found


def _defined(tree: Overlay, path: str, functions: bool) -> list[str]:
    """The classes of a module, and its functions where asked for."""
    kinds = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef) if functions else ast.ClassDef
    source = tree.source(path) if tree.exists(path) else None
    return [n.name for n in source.tree.body if isinstance(n, kinds)] if source and source.parses else []


def _python_edits(
    there: Overlay, source: Source, renames: Renames, roots: list[str], hints: list[str], notebook: bool = False
) -> tuple[list[tuple[int, int, str]], list[Line]]:
    """The edits of one piece of Python, and the lines they change."""
    edits: list[tuple[int, int, str]] = []
    lines: list[Line] = []
    rootless: list[tuple[ast.stmt, str]] = []
    for node in source.imports:
        start, end = source.span(node)
        if isinstance(node, ast.ImportFrom):
            text, needs_root = _from_import(there, source, node, renames, roots, hints)
        else:
            text, needs_root = _plain_import(there, source, node, renames, roots, hints)
        if text is None:
            continue
        edits.append((start, end, text))
        lines.append((node.lineno, source.text[start:end], text))
        if needs_root is not None:
            rootless.append((node, needs_root))
        if isinstance(node, ast.Import):
            edits += _chains(source, node, renames, there, roots)
    edits += _strings(there, source, renames, roots)
    for place, text in with_roots(source, rootless, notebook):
        start = source.span(place)[0]
        edits = [(s, e, text + new) if s == start else (s, e, new) for s, e, new in edits]
        lines = [
            (n, before, text.strip() + " … " + after) if n == place.lineno else (n, before, after)
            for n, before, after in lines
        ]
    return sorted(set(edits)), lines


def _gap(source: Source, start: int) -> str:
    """What separates two statements where the one at `start` stands: a line break and its indentation, or `; `."""
    line = source.line_starts[source.line_of(start) - 1]
    indent = source.text[line:start]
    return source.newline + indent if not indent.strip() else "; "


def _from_import(
    there: Overlay, source: Source, node: ast.ImportFrom, renames: Renames, roots: list[str], hints: list[str]
) -> tuple[str | None, str | None]:
    """The new text of a `from` import, None where it stays; and the root that must be on `sys.path` for it, if not sure to be."""
    start, end = source.span(node)
    text, gap = source.text[start:end], _gap(source, start)
    found, through = _resolve(there, node.module, node.level, source.path, roots, hints)
    groups: dict[str, list[ast.alias]] = {}
    if found in renames.old_paths and found is not None and node.names[0].name != "*":
        for alias in node.names:
            home = renames.home(found, alias.name)
            if home is not None:
                groups.setdefault(home, []).append(alias)
    elif found in renames.modules and found is not None:
        groups[renames.modules[found]] = list(node.names)
    pieces: list[str] = []
    for home, aliases in groups.items():
        module = _spelling(source.path, home, node.level > 0, roots)
        if module is None:
            continue
        if len(aliases) == len(node.names):
            pieces.append(with_module(text, module))
        elif home == source.path:
            pieces.append("")
        else:
            pieces.append(render(node, aliases, module).replace("\n", gap if gap != "; " else " "))
    moved = [bound_by(node, a) for aliases in groups.values() for a in aliases]
    if not groups:
        pieces, moved = _submodules(there, source, node, renames, roots)
    if not pieces:
        return None, None
    if len(moved) < len(node.names):
        rest, comments = without(text, moved)
        pieces = [*comments, rest.rstrip("\n"), *pieces] if gap != "; " else [rest.rstrip("\n"), *pieces]
    new = gap.join(p for p in pieces if p) or "pass"
    return new, _needed_root(source.path, next(iter(groups), None), through, node.level, roots, hints)


def _submodules(
    there: Overlay, source: Source, node: ast.ImportFrom, renames: Renames, roots: list[str]
) -> tuple[list[str], list[str]]:
    """`from package import module` for modules that moved whole."""
    package = modules.absolute_package(source.path, node.level) if node.level else None
    pieces, moved = [], []
    for alias in node.names:
        dotted = ".".join(filter(None, [node.module, alias.name]))
        files = (
            [modules.find_module(there, dotted, package)]
            if package
            else [modules.find_module(there, dotted, root) for root in roots]
        )
        old = next((f for f in files if f in renames.modules), None)
        if old is None:
            continue
        new = renames.modules[old]
        folder, stem = modules.folder_of(new), _stem(new)
        module = relative_to(source.path, folder) if node.level else modules.dotted_name(folder + "/__init__.py", roots)
        if module:
            bound = alias.asname or (alias.name if alias.name != stem else None)
            pieces.append(render_from(module, [stem + (f" as {bound}" if bound else "")]))
            moved.append(bound_by(node, alias))
    return pieces, moved


def _plain_import(
    there: Overlay, source: Source, node: ast.Import, renames: Renames, roots: list[str], hints: list[str]
) -> tuple[str | None, str | None]:
    """The same for `import a.b as c`; a name taken out of a module that stays needs no change here."""
    pieces, root = [], None
    for alias in node.names:
        found, through = _resolve(there, alias.name, 0, source.path, roots, hints)
        new = (
            modules.dotted_name(renames.modules[found], roots)
            if found in renames.modules and found is not None
            else None
        )
        if new is None:
            pieces.append(render(node, [alias]))
            continue
        bound = alias.asname or (alias.name if "." not in alias.name else None)
        pieces.append(f"import {new}" + (f" as {bound}" if bound else ""))
        root = root or _needed_root(source.path, renames.modules[found or ""], through, 0, roots, hints)
    text = _gap(source, source.span(node)[0]).join(pieces)
    return (None, None) if pieces == [render(node, [a]) for a in node.names] else (text, root)


def _chains(
    source: Source, node: ast.Import, renames: Renames, there: Overlay, roots: list[str]
) -> list[tuple[int, int, str]]:
    """Uses `a.b.c` of an `import a.b.c` without `as` whose module moved."""
    edits = []
    for alias in node.names:
        if alias.asname or "." not in alias.name:
            continue
        found, _ = _resolve(there, alias.name, 0, source.path, roots, [])
        new = (
            modules.dotted_name(renames.modules[found], roots)
            if found in renames.modules and found is not None
            else None
        )
        for use in ast.walk(source.tree) if new else ():
            if (
                new
                and isinstance(use, ast.Attribute)
                and isinstance(use.ctx, ast.Load)
                and ast.unparse(use) == alias.name
            ):
                edits.append((*source.span(use), new))
    return edits


def _strings(there: Overlay, source: Source, renames: Renames, roots: list[str]) -> list[tuple[int, int, str]]:
    """String constants that are, as a whole, the dotted name of something that moved."""
    table = {old: new for old, new in _dotted_map(there, renames, roots).items() if old in source.text}
    edits = []
    for node in ast.walk(source.tree) if table else ():
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and DOTTED.fullmatch(node.value):
            old = next(
                (o for o in sorted(table, key=len, reverse=True) if node.value == o or node.value.startswith(o + ".")),
                None,
            )
            start, end = source.span(node)
            if old and source.text[start:end].count(node.value) == 1:
                edits.append((start, end, source.text[start:end].replace(old, table[old])))
    return edits


def _resolve(
    there: Overlay, module: str | None, level: int, importer: str, roots: list[str], hints: list[str]
) -> tuple[str | None, str | None]:
    """(file, search folder or None for a relative import)."""
    if level:
        return modules.resolve_relative(there, module, level, importer), None
    found = modules.resolve_absolute(there, module or "", importer, roots, hints)
    return found or (None, None)


def _spelling(importer: str, home: str, relative: bool, roots: list[str]) -> str | None:
    """How `importer` names the module at `home`, relative where it was relative before."""
    stem = home.removesuffix("/__init__.py").removesuffix(".py")
    return (relative_to(importer, stem) if relative else None) or modules.dotted_name(home, roots)


def _needed_root(
    importer: str, home: str | None, through: str | None, level: int, roots: list[str], hints: list[str]
) -> str | None:
    """The root of `home` where the importer found the old module by another way, so that the root may not be on its path."""
    if level or through is None or home is None or through in roots:
        return None
    root = modules.root_of(home, roots)
    return None if modules.folder_of(importer) == root or root in hints else root


def with_roots(
    source: Source, rootless: list[tuple[ast.stmt, str]], notebook: bool = False
) -> Iterator[tuple[ast.stmt, str]]:
    """The text that has to stand right before a statement, so that each of `rootless` finds the root it needs."""
    for root in dict.fromkeys(root for _, root in rootless):
        for place, _ in _places(source, [(node, r) for node, r in rootless if r == root]):
            yield place, root_lines(source, place, root, notebook) + _gap(source, source.span(place)[0])


def _places(source: Source, rootless: list[tuple[ast.stmt, str]]) -> list[tuple[ast.stmt, str]]:
    """Where the `sys.path` line goes: before the first of them at module level; before each where all are inside functions."""
    inside = {
        n for f in ast.walk(source.tree) if isinstance(f, ast.FunctionDef | ast.AsyncFunctionDef) for n in ast.walk(f)
    }
    outer = [(node, root) for node, root in rootless if node not in inside]
    return outer[:1] or rootless


def root_lines(source: Source, before: ast.stmt | None, root: str, notebook: bool = False) -> str:
    """Statements that put the repository's `root` behind the script's own folder on `sys.path`, without a final newline.

    Behind, so that what the script found in its own folder it still finds there.
    """
    start = source.span(before)[0] if before is not None else len(source.text)
    gap = _gap(source, start) if before is not None else source.newline
    above = {
        bound_by(n, a): (n, a)
        for n in source.tree.body
        if isinstance(n, ast.Import | ast.ImportFrom) and source.span(n)[1] <= start
        for a in n.names
    }
    folder = modules.folder_of(source.path)
    climb = "" if folder == "." else "/".join([".."] * len(folder.split("/")))
    pieces = [] if "sys" in above else ["import sys"]
    if notebook:
        pieces.append(f'sys.path.insert(1, "{modules.join(climb or ".", root)}")')
        return gap.join(pieces)
    path_node = above.get("Path")
    if not (path_node and isinstance(path_node[0], ast.ImportFrom) and module_text(path_node[0]) == "pathlib"):
        pieces.append("from pathlib import Path")
    depth = len(source.path.split("/")) - 1
    where = f"Path(__file__).resolve().parents[{depth}]" + ("" if root == "." else f' / "{root}"')
    pieces.append(f"sys.path.insert(1, str({where}))")
    return gap.join(pieces)
