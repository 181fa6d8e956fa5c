"""unify-import: one package, one name. Every absolute import of `from` becomes an import of `to`.

`lightning` and `pytorch_lightning` are the same code under two names whose classes do not mix (a `LightningModule` of one is refused by
the `Trainer` of the other); their submodules map as the packages lay them out: `lightning.pytorch` is `pytorch_lightning`,
`lightning.fabric` is `lightning_fabric`.
"""

from __future__ import annotations

import ast
import re

from migration.analysis import modules
from migration.analysis.imports import bound_by, render, with_module
from migration.analysis.notebooks import cells, python_text, with_cell_texts
from migration.analysis.source import Source, splice
from migration.codemods import Context, Finding, Outcome, codemod
from migration.plan import UnifyImport
from migration.tree import Overlay

LAYOUT = {
    "lightning": {
        "lightning.pytorch": "pytorch_lightning",
        "lightning.fabric": "lightning_fabric",
        "lightning": "pytorch_lightning",
    }
}
REVERSE = {"pytorch_lightning": {"pytorch_lightning": "lightning.pytorch", "lightning_fabric": "lightning.fabric"}}
CONFIGS = (".yaml", ".yml", ".toml", ".json")
Edit = tuple[int, int, str]


@codemod(UnifyImport)
def unify_import(step: UnifyImport, tree: Overlay, context: Context) -> Outcome:
    """Rewrite imports, the uses that spell the old name out, and whole dotted names in configurations."""
    table = _table(step)
    outcome = Outcome()
    for path in tree.mentioning(step.from_):
        if path.endswith(".py"):
            source = tree.source(path)
            if not source.parses:
                if re.search(
                    rf"^\s*(import|from)\s+{re.escape(step.from_)}\b", source.raw.decode(errors="replace"), re.MULTILINE
                ):
                    outcome.findings.append(
                        Finding("warning", path, None, f"imports {step.from_} and is left alone: it does not parse")
                    )
                continue
            if edits := _edits(tree, source, step, table, context.roots, outcome):
                outcome.edits[path] = source.encode(splice(source.text, edits))
        elif path.endswith(".ipynb"):
            _notebook(tree, path, step, table, context.roots, outcome)
        elif path.endswith(CONFIGS) and not path.endswith("pyproject.toml"):
            _config(tree, path, table, outcome)
        elif re.search(r"(^|/)(requirements[^/]*\.txt|environment[^/]*\.yml|pyproject\.toml|setup\.(py|cfg))$", path):
            outcome.findings.append(
                Finding("note", path, None, f"mentions {step.from_}; look whether it asks for the package")
            )
    if not outcome.edits:
        return Outcome("already done", f"nothing imports {step.from_}", findings=outcome.findings)
    outcome.summary = f"{step.from_} → {step.to} in {len(outcome.edits)} files"
    return outcome


def _table(step: UnifyImport) -> dict[str, str]:
    """Old dotted prefixes to new ones, longest first."""
    special = (
        LAYOUT.get(step.from_, {})
        if step.to == "pytorch_lightning"
        else REVERSE.get(step.from_, {})
        if step.to == "lightning"
        else {}
    )
    return special or {step.from_: step.to}


def _mapped(dotted: str, table: dict[str, str]) -> str | None:
    """The new name of `dotted`, None where it is none of the package."""
    for old in sorted(table, key=len, reverse=True):
        if dotted == old or dotted.startswith(old + "."):
            return table[old] + dotted[len(old) :]
    return None


def _edits(
    tree: Overlay, source: Source, step: UnifyImport, table: dict[str, str], roots: list[str], outcome: Outcome
) -> list[Edit]:
    """Edits of one piece of Python; a finding for each."""
    if modules.resolve_absolute(tree, step.from_, source.path, roots, modules.path_hints(source)):
        return []  # the tree has a module of that name, and this file means it
    edits: list[Edit] = []
    spelt_out: set[str] = set()
    for node in source.imports:
        start, end = source.span(node)
        old = source.text[start:end]
        new = (
            _from_import(node, old, table)
            if isinstance(node, ast.ImportFrom)
            else _plain_import(source, node, table, spelt_out)
        )
        if new is not None and new != old:
            edits.append((start, end, new))
    edits += _uses(source, spelt_out, table)
    for start, end, new in sorted(edits):
        line = source.line_of(start)
        begin, stop = source.line_starts[line - 1], source.text.find("\n", end)
        whole = source.text[begin : stop if stop >= 0 else None]
        outcome.findings.append(
            Finding(
                "change",
                source.path,
                line,
                f"{step.from_} is {step.to} now",
                whole.strip(),
                splice(whole, [(start - begin, end - begin, new)]).strip(),
            )
        )
    return edits


def _from_import(node: ast.ImportFrom, text: str, table: dict[str, str]) -> str | None:
    """`from lightning.pytorch import X`; `from lightning import pytorch as pl` becomes an import of the module itself."""
    module = node.module or ""
    if node.level or (new := _mapped(module, table)) is None:
        return None
    whole = {a.name: table[f"{module}.{a.name}"] for a in node.names if f"{module}.{a.name}" in table}
    if not whole:
        return with_module(text, new)
    rest = [a for a in node.names if a.name not in whole]
    pieces = [render(node, rest, new)] if rest else []
    pieces += [f"import {whole[a.name]} as {a.asname or a.name}" for a in node.names if a.name in whole]
    return "; ".join(pieces)


def _plain_import(source: Source, node: ast.Import, table: dict[str, str], spelt_out: set[str]) -> str | None:
    """`import lightning.pytorch as pl`, `import os, lightning`; names whose uses must be respelt go into `spelt_out`."""
    pieces, changed = [], False
    for alias in node.names:
        new = _mapped(alias.name, table)
        changed |= new is not None
        if new is None:
            pieces.append(alias.name + (f" as {alias.asname}" if alias.asname else ""))
        elif alias.asname:
            pieces.append(f"{new} as {alias.asname}")
        elif "." not in alias.name and "." not in new and not _reaches_into(source, alias.name, table):
            pieces.append(f"{new} as {alias.name}")
        else:
            spelt_out.add(bound_by(node, alias))
            pieces.append(new)
    return "import " + ", ".join(pieces) if changed else None


def _reaches_into(source: Source, name: str, table: dict[str, str]) -> bool:
    """Whether the file uses a part of the package that lives elsewhere under the new name."""
    parts = [old for old in table if old.startswith(name + ".")]
    return any(re.search(rf"(?<![\w.]){re.escape(part)}\b", source.text) for part in parts)


def _uses(source: Source, names: set[str], table: dict[str, str]) -> list[Edit]:
    """Uses of the old name in code, each replaced by the new name of the longest part that the table knows."""
    edits = []
    inner: set[ast.AST] = set()
    for node in ast.walk(source.tree) if names else ():
        if not isinstance(node, ast.Attribute | ast.Name) or node in inner:
            continue
        chain: ast.expr = node
        while isinstance(chain, ast.Attribute):
            inner.add(chain.value)
            chain = chain.value
        if isinstance(chain, ast.Name) and chain.id in names and isinstance(chain.ctx, ast.Load):
            dotted = ast.unparse(node)
            old = next(o for o in sorted(table, key=len, reverse=True) if dotted == o or dotted.startswith(o + "."))
            part: ast.expr = node
            while ast.unparse(part) != old and isinstance(part, ast.Attribute):
                part = part.value
            edits.append((*source.span(part), table[old]))
    return edits


def _notebook(
    tree: Overlay, path: str, step: UnifyImport, table: dict[str, str], roots: list[str], outcome: Outcome
) -> None:
    raw = tree.read(path)
    changed = {}
    for cell in cells(raw):
        source = Source(path, python_text(cell).encode())
        if source.parses and (edits := _edits(tree, source, step, table, roots, outcome)):
            changed[cell.index] = splice(cell.text, edits)
    if changed:
        outcome.edits[path] = with_cell_texts(raw, changed)


def _config(tree: Overlay, path: str, table: dict[str, str], outcome: Outcome) -> None:
    """Values that are, as a whole, a dotted name of the package."""
    raw = tree.read(path)
    text = raw.decode("utf-8", "surrogateescape")
    edits = []
    for match in re.finditer(r"(?<![^\s\"'\[,])[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+(?![^\s\"'\],])", text):
        new = _mapped(match.group(), table)
        if new is not None:
            edits.append((match.start(), match.end(), new))
            line = text.count("\n", 0, match.start()) + 1
            outcome.findings.append(Finding("change", path, line, "the package's new name", match.group(), new))
    if edits:
        outcome.edits[path] = splice(text, edits).encode("utf-8", "surrogateescape")
