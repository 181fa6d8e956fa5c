"""Import statements: what they bind, a part of one, one without a part, one that means the same from another file."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from dataclasses import dataclass

import libcst as cst

from migration.analysis import modules
from migration.analysis.source import Source, splice
from migration.analysis.units import Unit
from migration.tree import Overlay

WIDTH = 100
COMMENT = re.compile(r"#[^\r\n]*")


@dataclass(frozen=True)
class Binding:
    """One name bound by one alias of an import statement."""

    name: str
    node: ast.Import | ast.ImportFrom
    alias: ast.alias
    unit: Unit


def bound_by(node: ast.Import | ast.ImportFrom, alias: ast.alias) -> str:
    """The name an alias binds: `import a.b` binds `a`."""
    return alias.asname or (alias.name.split(".")[0] if isinstance(node, ast.Import) else alias.name)


def bindings(unit: Unit) -> list[Binding]:
    """The bindings of a plain import unit; a star import binds the name `*`."""
    return [
        Binding(bound_by(n, a), n, a, unit)
        for n in unit.nodes
        if isinstance(n, ast.Import | ast.ImportFrom)
        for a in n.names
    ]


def render(node: ast.Import | ast.ImportFrom, aliases: Iterable[ast.alias], module: str | None = None) -> str:
    """The statement with these aliases only, and another module where given; one line, or bracketed beyond `WIDTH` columns."""
    names = [a.name + (f" as {a.asname}" if a.asname else "") for a in aliases]
    if isinstance(node, ast.Import):
        return f"import {', '.join(names)}"
    return render_from(module if module is not None else "." * node.level + (node.module or ""), names)


def render_from(module: str, names: list[str]) -> str:
    """`from module import names`, bracketed beyond `WIDTH` columns."""
    line = f"from {module} import {', '.join(names)}"
    return (
        line
        if len(line) <= WIDTH or len(names) == 1
        else f"from {module} import (\n" + "".join(f"    {name},\n" for name in names) + ")"
    )


def without(text: str, dropped: Iterable[str]) -> tuple[str, list[str]]:
    """An import unit's text without the bindings `dropped`, and the comments that went with them.

    The text is empty where nothing is left of it. Brackets, line breaks and spacing of what stays are kept.
    """
    gone = set(dropped)
    line = cst.parse_statement(text)
    if not isinstance(line, cst.SimpleStatementLine):
        raise ValueError("a plain import statement was expected")
    body: list[cst.BaseSmallStatement] = []
    for small in line.body:
        if not isinstance(small, cst.Import | cst.ImportFrom) or isinstance(small.names, cst.ImportStar):
            if not (isinstance(small, cst.ImportFrom) and "*" in gone):
                body.append(small)
            continue
        kept = [a for a in small.names if _bound(small, a) not in gone]
        if len(kept) == len(small.names):
            body.append(small)
        elif kept:
            kept[-1] = kept[-1].with_changes(comma=small.names[-1].comma)
            body.append(small.with_changes(names=kept))
    if body:
        body[-1] = body[-1].with_changes(semicolon=cst.MaybeSentinel.DEFAULT)
    left = cst.Module([line.with_changes(body=body)]).code if body else ""
    remaining = COMMENT.findall(left)
    return left, [c for c in COMMENT.findall(text) if c not in remaining]


def _bound(statement: cst.Import | cst.ImportFrom, alias: cst.ImportAlias) -> str:
    if alias.asname is not None:
        return cst.ensure_type(alias.asname.name, cst.Name).value
    name = cst.Module([]).code_for_node(alias.name).replace(" ", "")
    return name.split(".")[0] if isinstance(statement, cst.Import) else name


def with_module(statement: str, module: str) -> str:
    """A `from` statement's text with another module; the rest, comments included, stays."""
    return re.sub(r"\Afrom\b.*?\bimport\b", lambda _: f"from {module} import", statement, count=1, flags=re.DOTALL)


def module_text(node: ast.ImportFrom) -> str:
    return "." * node.level + (node.module or "")


def rehomed(
    tree: Overlay, node: ast.Import | ast.ImportFrom, old: str, new: str, roots: list[str], hints: list[str]
) -> str | None:
    """The statement as it must read in file `new` to mean what it meant in `old`; None where it can stay as it is.

    Relative imports are counted from the new place; a module found through the old script's folder, or through its
    `sys.path` lines, is named from the import root.
    """
    if isinstance(node, ast.ImportFrom) and node.level:
        package = modules.absolute_package(old, node.level)
        if package is None or modules.folder_of(old) == modules.folder_of(new):
            return None
        wanted = modules.join(package, (node.module or "").replace(".", "/")) if node.module else package
        module = relative_to(new, wanted) or modules.dotted_name(wanted + ".py", roots)
        return render(node, node.names, module) if module and module != module_text(node) else None
    if isinstance(node, ast.ImportFrom):
        module = _from_root(tree, node.module or "", old, roots, hints)
        return render(node, node.names, module) if module else None
    pieces, changed = [], False
    for alias in node.names:
        module = _from_root(tree, alias.name, old, roots, hints)
        usable = module is not None and (alias.asname or "." not in alias.name)
        changed |= bool(usable)
        pieces.append(f"import {module} as {alias.asname or alias.name}" if usable else render(node, [alias]))
    return "; ".join(pieces) if changed else None


def relative_to(importer: str, wanted: str) -> str | None:
    """`..pkg.module` for the folder or module stem `wanted` as seen from `importer`; None where they share no package."""
    start, level = modules.folder_of(importer), 1
    while start != "." and not (wanted == start or wanted.startswith(start + "/")):
        start, level = modules.folder_of(start), level + 1
    if start == ".":
        return None
    return "." * level + wanted[len(start) :].strip("/").replace("/", ".")


def _from_root(tree: Overlay, dotted: str, importer: str, roots: list[str], hints: list[str]) -> str | None:
    """The name from the import root of a module that `importer` finds elsewhere; None where the root finds it already."""
    if any(modules.find_module(tree, dotted, root) for root in roots):
        return None
    found = modules.resolve_absolute(tree, dotted, importer, roots, hints)
    return modules.dotted_name(found[0], roots) if found else None


def rehome_text(
    tree: Overlay, source: Source, start: int, end: int, new: str, roots: list[str], hints: list[str]
) -> str:
    """`source.text[start:end]` with every import in it rehomed to file `new`."""
    edits = []
    for node in source.imports:
        begin, stop = source.span(node)
        if start <= begin and stop <= end and (text := rehomed(tree, node, source.path, new, roots, hints)) is not None:
            old = source.text[begin:stop]
            if isinstance(node, ast.ImportFrom):
                match = re.match(r"from\s+(\S+)\s+import", text)
                text = with_module(old, match.group(1)) if match else text
            edits.append((begin - start, stop - start, text))
    return splice(source.text[start:end], edits)
