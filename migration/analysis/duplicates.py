"""Is this copy a copy? Two files compared definition by definition, by what they do and not by how they are written."""

from __future__ import annotations

import ast
import copy
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from migration.analysis.comments import comments_of
from migration.analysis.entries import Category, Entry, Lines
from migration.analysis.renaming import Meaning, meaning
from migration.analysis.scripts import compare_text
from migration.analysis.source import Source
from migration.analysis.units import units_of


@dataclass(frozen=True)
class _Piece:
    text: str
    lines: Lines
    meaning: Meaning


def compare(canonical: Source, duplicate: Source) -> list[Entry]:
    """Every definition of either file, in the duplicate's order. Files that are no readable Python are compared as text."""
    if not _readable(canonical, duplicate):
        return compare_text(duplicate.path, canonical.raw, duplicate.raw)
    ours, theirs = _pieces(canonical), _pieces(duplicate)
    entries = [_entry(name, ours.get(name), piece) for name, piece in theirs.items()]
    entries += [_entry(name, piece, None) for name, piece in ours.items() if name not in theirs]
    return [*_imports(canonical, duplicate), *entries]


def _readable(*sources: Source) -> bool:
    return all(source.path.endswith(".py") and source.parses for source in sources)


def _entry(name: str, ours: _Piece | None, theirs: _Piece | None) -> Entry:
    notes: tuple[str, ...] = ()
    if ours is None or theirs is None:
        category: Category = "only in duplicate" if ours is None else "only in canonical"
    elif ours.text == theirs.text and ours.meaning.exact == theirs.meaning.exact:
        category = "identical"
    elif ours.meaning.anonymous == theirs.meaning.anonymous:
        category = "cosmetic"
        notes = tuple(f"{there} is called {here}" for here, there in ours.meaning.renamed(theirs.meaning))
    else:
        category = "different"
    return Entry(
        name,
        category,
        ours.text if ours else "",
        theirs.text if theirs else "",
        ours.lines if ours else None,
        theirs.lines if theirs else None,
        notes,
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
                _add(found, node.name, source, rest, ast.unparse(rest))
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
    found[name] = _Piece(
        text if text is not None else source.text[start:end].replace("\r\n", "\n"), lines, meaning(node)
    )


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


def comments_only_in(duplicate: Source, canonical: Source) -> list[tuple[int, int, list[str]]]:
    """Runs of comment lines of the duplicate that the canonical file lacks: first line, last line, comments."""
    if duplicate.path.endswith(".py") and not _readable(canonical, duplicate):
        return []
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
