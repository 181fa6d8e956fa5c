"""Is this copy a copy? Two files compared definition by definition, by what they do and not by how they are written."""

from __future__ import annotations

import ast
import copy
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from migration.analysis.comments import comments_of
from migration.analysis.names import free_names
from migration.analysis.source import Source
from migration.analysis.units import units_of

Category = Literal[
    "identical", "cosmetic", "import-source", "path-only", "different", "only in duplicate", "only in canonical"
]
PATH = re.compile(r"(?:[\w.-]+/)+(?=[\w.-]+\.(?:py|sh)\b)|\./(?=[\w.-]+\.(?:py|sh)\b)")


@dataclass(frozen=True)
class Entry:
    """A definition, or another piece, in one or both files. Lines are first and last, None where it is missing."""

    name: str
    category: Category
    canonical: str
    duplicate: str
    canonical_lines: tuple[int, int] | None
    duplicate_lines: tuple[int, int] | None

    @property
    def matters(self) -> bool:
        """Whether dropping the duplicate would drop behaviour."""
        return self.category in ("different", "only in duplicate")


@dataclass(frozen=True)
class _Piece:
    text: str
    lines: tuple[int, int]
    node: ast.stmt


def compare(canonical: Source, duplicate: Source) -> list[Entry]:
    """Every definition of either file, in the duplicate's order. Files that are no readable Python are compared as text."""
    if not (
        canonical.path.endswith(".py") and duplicate.path.endswith(".py") and canonical.parses and duplicate.parses
    ):
        return [_as_text(canonical, duplicate)]
    ours, theirs = _pieces(canonical), _pieces(duplicate)
    entries = [_entry(name, ours.get(name), piece) for name, piece in theirs.items()]
    entries += [_entry(name, piece, None) for name, piece in ours.items() if name not in theirs]
    return [*_imports(canonical, duplicate), *entries]


def _entry(name: str, ours: _Piece | None, theirs: _Piece | None) -> Entry:
    if ours is None or theirs is None:
        category: Category = "only in duplicate" if ours is None else "only in canonical"
    else:
        same = ours.text == theirs.text
        category = "identical" if same else "cosmetic" if meaning(ours.node) == meaning(theirs.node) else "different"
    return Entry(
        name,
        category,
        ours.text if ours else "",
        theirs.text if theirs else "",
        ours.lines if ours else None,
        theirs.lines if theirs else None,
    )


def _pieces(source: Source) -> dict[str, _Piece]:
    """Functions, methods one by one, what else a class holds, assignments, and each other statement, by name."""
    found: dict[str, _Piece] = {}
    for unit in units_of(source):
        if unit.sort in ("docstring", "nothing", "future", "import"):
            continue
        for node in unit.nodes:
            if isinstance(node, ast.ClassDef):
                methods = [n for n in node.body if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
                for method in methods:
                    _add(found, f"{node.name}.{method.name}", source, method)
                rest = copy.copy(node)
                rest.body = [n for n in node.body if n not in methods] or [ast.Pass()]
                _add(
                    found,
                    node.name,
                    source,
                    rest,
                    "\n".join(ast.unparse(n) for n in [*node.decorator_list, *node.bases, *rest.body]),
                )
            else:
                name = (
                    getattr(node, "name", None)
                    or ", ".join(sorted(unit.binds))
                    or f"statement {ast.unparse(node).splitlines()[0]}"
                )
                _add(found, name, source, node)
    return found


def _add(found: dict[str, _Piece], name: str, source: Source, node: ast.stmt, text: str | None = None) -> None:
    """A name bound twice (overloads, properties with setters, rebinding) counts as often as it is bound."""
    while name in found:
        name += "'"
    start, end = source.span(node)
    lines = source.line_of(start), node.end_lineno or source.line_of(end)
    found[name] = _Piece(text if text is not None else source.text[start:end].replace("\r\n", "\n"), lines, node)


def meaning(node: ast.stmt) -> str:
    """What a statement does, as text: no positions, no docstrings, local variables by number."""
    return ast.dump(_Canonical().visit(copy.deepcopy(node)))


class _Canonical(ast.NodeTransformer):
    """Takes docstrings out and gives the local variables of functions numbers in order of appearance."""

    def __init__(self) -> None:
        self.numbers: dict[str, str] = {}
        self.depth = 0

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        node.body = _without_docstring(node.body)
        return self.generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        return self._function(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        return self._function(node)

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> ast.AST:
        node.body = _without_docstring(node.body)
        if not self.depth:
            self.numbers = _local_names(node)
        self.depth += 1
        found = self.generic_visit(node)
        self.depth -= 1
        return found

    def visit_Name(self, node: ast.Name) -> ast.AST:
        return ast.Name(self.numbers.get(node.id, node.id), node.ctx) if self.depth else node

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> ast.AST:
        node.name = self.numbers.get(node.name, node.name) if node.name else None
        return self.generic_visit(node)


def _without_docstring(body: list[ast.stmt]) -> list[ast.stmt]:
    first = body[0]
    documented = (
        isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)
    )
    return (body[1:] or [ast.Pass()]) if documented else body


def _local_names(function: ast.FunctionDef | ast.AsyncFunctionDef) -> dict[str, str]:
    """Numbers for the names a function binds itself. Parameters, nested definitions and imports can be asked for by name, and
    a name that some part of the function takes from the module means something.
    """
    kept = set(free_names(ast.unparse(function)).all)
    stores: list[tuple[int, int, str]] = []
    for node in ast.walk(function):
        match node:
            case (
                ast.arg(arg=name)
                | ast.FunctionDef(name=name)
                | ast.AsyncFunctionDef(name=name)
                | ast.ClassDef(name=name)
            ):
                kept.add(name)
            case ast.Global(names=names) | ast.Nonlocal(names=names):
                kept.update(names)
            case ast.alias(name=name, asname=asname):
                kept.add(asname or name.split(".")[0])
            case ast.Name(id=name, ctx=ast.Store()) | ast.ExceptHandler(name=str(name)):
                stores.append((node.lineno, node.col_offset, name))
    found = dict.fromkeys(name for _, _, name in sorted(stores) if name not in kept)
    return {name: f"<local {i}>" for i, name in enumerate(found)}


def _imports(canonical: Source, duplicate: Source) -> Iterator[Entry]:
    """Names that both files import from different places; names that only the duplicate imports are no loss."""
    ours, theirs = _origins(canonical), _origins(duplicate)
    for name in sorted(ours.keys() & theirs.keys()):
        (origin, line), (other, other_line) = ours[name], theirs[name]
        if origin != other:
            yield Entry(f"import of {name}", "import-source", origin, other, (line, line), (other_line, other_line))


def _origins(source: Source) -> dict[str, tuple[str, int]]:
    found: dict[str, tuple[str, int]] = {}
    for node in source.tree.body:
        if isinstance(node, ast.ImportFrom):
            found |= {
                a.asname or a.name: (f"{'.' * node.level}{node.module or ''}.{a.name}", node.lineno) for a in node.names
            }
        elif isinstance(node, ast.Import):
            found |= {a.asname or a.name: (a.name, node.lineno) for a in node.names}
    return found


def _as_text(canonical: Source, duplicate: Source) -> Entry:
    ours, theirs = (s.raw.decode("utf-8", "replace").replace("\r\n", "\n") for s in (canonical, duplicate))
    if canonical.raw == duplicate.raw:
        category: Category = "identical"
    elif PATH.sub("", ours) == PATH.sub("", theirs):
        category = "path-only"
    elif _bare(ours) == _bare(theirs):
        category = "cosmetic"
    else:
        category = "different"
    lines = [(1, max(1, len(text.splitlines()))) for text in (ours, theirs)]
    return Entry("the file", category, ours, theirs, lines[0], lines[1])


def _bare(text: str) -> list[str]:
    """Lines without indentation differences, blank lines and whole-line comments."""
    return [" ".join(line.split()) for line in text.splitlines() if line.strip() and not line.strip().startswith("#")]


def comments_only_in(duplicate: Source, canonical: Source) -> list[tuple[int, int, list[str]]]:
    """Runs of comment lines of the duplicate that the canonical file lacks: first line, last line, comments."""
    there = Counter(c.text for c in comments_of(canonical.path, canonical.raw))
    lines = duplicate.raw.splitlines()
    runs: list[tuple[int, int, list[str]]] = []
    for comment in comments_of(duplicate.path, duplicate.raw):
        if there[comment.text]:
            there[comment.text] -= 1
        elif runs and not any(line.strip() for line in lines[runs[-1][1] : comment.line - 1]):
            runs[-1] = (runs[-1][0], comment.line, [*runs[-1][2], comment.text])
        else:
            runs.append((comment.line, comment.line, [comment.text]))
    return runs
