"""entry-point: the script is the command line and nothing else, runs by path from anywhere, and shadows nothing.

Run by path, Python puts the script's folder first on `sys.path`, where `training/lightning` hides the package `lightning`. Two lines
put the repository root there instead; imported, the script leaves the path as it is and only makes sure that the root is on it.
"""

from __future__ import annotations

import ast

from migration.analysis import modules
from migration.analysis.imports import rehome_text
from migration.analysis.source import Source
from migration.analysis.units import Unit, units_of
from migration.codemods import Context, Finding, Outcome, codemod, named_source
from migration.errors import BadInput
from migration.plan import EntryPoint, ExtractSymbols
from migration.tree import Overlay

OURS = frozenset({"_HERE", "_ROOT", "_MOVED"})
COMMENT = "# The repository root in place of this script's own folder, whose packages would hide installed ones."


@codemod(EntryPoint)
def entry_point(step: EntryPoint, tree: Overlay, context: Context) -> Outcome:
    """Let `file` run by path and hold it to `max_lines` and `symbols_left`. Raises BadInput."""
    where = f"{context.plan.file}: step {step.id!r}"
    source = named_source(step, "file", tree, context)
    text = _with_root_first(tree, source, context.roots)
    after = Source(step.file, source.encode(text))
    outcome = Outcome()
    excess = _excess(step, after)
    if excess and any(s.source == step.file for s in context.steps(ExtractSymbols)):
        raise BadInput(
            f"{where}: {'; '.join(excess)}. Name more symbols in extract-symbols steps, or allow for it in this step"
        )
    outcome.findings += [Finding("warning", step.file, None, sentence) for sentence in excess]
    lines = len(text.splitlines())
    if text == source.text:
        outcome.status, outcome.summary = "already done", f"{lines} lines, runs by path"
        return outcome
    outcome.edits[step.file] = after.raw
    outcome.summary = f"{lines} lines, runs by path from anywhere"
    first = next(
        (i for i, (a, b) in enumerate(zip(source.text.splitlines(), text.splitlines(), strict=False), 1) if a != b), 1
    )
    outcome.findings.append(
        Finding("change", step.file, first, "the repository root takes the place of the script's folder on sys.path")
    )
    return outcome


def _with_root_first(tree: Overlay, source: Source, roots: list[str]) -> str:
    """The text with the two lines above its first import, and what was found through the script's folder named from the root."""
    root = modules.root_of(source.path, roots)
    if modules.folder_of(source.path) == root or _puts_root_first(source, root):
        return source.text
    # A module that an earlier step made beside the script is not what its author meant by `import lightning`.
    made = {path: None for path, new in tree.edits.items() if new is not None and not tree.base.exists(path)}
    hints = modules.path_hints(source)
    text = rehome_text(Overlay(tree, made), source, 0, len(source.text), source.path, roots, hints)
    source = Source(source.path, source.encode(text))
    units = units_of(source)
    head = [u for u in units if _has_to_be_first(u)]
    place = head[-1].statement.end if head else units[0].statement.start if units else len(text)
    depth = len(source.path.split("/")) - 1 - (0 if root == "." else len(root.split("/")))
    lines = [
        *([""] if head else []),
        COMMENT,
        "import sys",
        "from pathlib import Path",
        f"_HERE, _ROOT = Path(__file__).resolve().parent, str(Path(__file__).resolve().parents[{depth}])",
        'sys.path[:] = [_ROOT, *(p for p in sys.path if Path(p).resolve() != _HERE)] if __name__ == "__main__" else [*sys.path, _ROOT]',
    ]
    block = source.newline.join(lines) + source.newline
    before = source.newline if place and not text[:place].endswith(("\n", "\r")) else ""
    return text[:place] + before + block + text[place:]


def _has_to_be_first(unit: Unit) -> bool:
    return unit.sort in ("docstring", "future") or any(
        (isinstance(n, ast.ImportFrom) and n.module == "__future__")
        or (unit.index == 0 and n is unit.nodes[0] and isinstance(n, ast.Expr) and isinstance(n.value, ast.Constant))
        for n in unit.nodes
    )


def _puts_root_first(source: Source, root: str) -> bool:
    """Whether the file already replaces the first entry, or the whole, of `sys.path` so that `root` is in front."""
    for node in source.tree.body:
        for assign in [node, *getattr(node, "body", [])] if isinstance(node, ast.If) else [node]:
            if (
                isinstance(assign, ast.Assign)
                and isinstance(assign.targets[0], ast.Subscript)
                and ast.unparse(assign.targets[0].value) == "sys.path"
            ):
                index = ast.unparse(assign.targets[0].slice)
                if index == "0" or (index == ":" and "_ROOT" in ast.unparse(assign.value)):
                    return index == ":" or modules.folder_value(assign.value, source) == root
    return False


def _excess(step: EntryPoint, source: Source) -> list[str]:
    """What is too much, in words: lines, and definitions that should not be there."""
    found = []
    lines = len(source.text.splitlines())
    if lines > step.max_lines:
        found.append(f"{step.file} has {lines} lines, {step.max_lines} are allowed")
    defined = {
        n: u.lines[0] for u in units_of(source) if u.sort in ("definition", "assignment") for n in sorted(u.binds)
    }
    left = {
        n: line
        for n, line in defined.items()
        if n not in {*step.symbols_left, *OURS} and not (n.startswith("__") and n.endswith("__"))
    }
    if left:
        found.append(
            f"{step.file} still defines {', '.join(f'{n} (line {line})' for n, line in left.items())}; only {', '.join(step.symbols_left) or 'nothing'} may stay"
        )
    return found
