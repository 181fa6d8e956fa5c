"""Pointing everyone who hands a module's name to an interpreter or an installer at its new name.

`python -m lab.train`, `python -c "from lab.train import main"`, the entry point `lab.train:main`. Imports in Python and whole
dotted names are `importers`' part.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from migration.analysis import modules
from migration.analysis.callers import changed_lines
from migration.analysis.importers import CONFIGS
from migration.analysis.notebooks import cells, with_cell_texts
from migration.analysis.paths import decoded, encoded, line_at
from migration.analysis.source import Source, splice
from migration.errors import BadInput
from migration.outcome import Finding
from migration.tree import Overlay

RUN = r"(?<![\w-])(?:-m|--module)[ \t\"',=\[]+"
PYTHON = re.compile(r"python|pypy|PY|torchrun|launch|debugpy|coverage|kernprof|executable|args|command|cmd")
OTHERS = re.compile(r"\b(?:git|pytest|py\.test|mkdir|install)\b")  # whose `-m` is no module
Edit = tuple[int, int, str]


def point_module_callers(
    tree: Overlay, old: str, new: str, roots: list[str]
) -> tuple[dict[str, bytes | None], list[Finding]]:
    """Edits and findings for every file that runs the module `old`, which is `new` in `tree`, by a name from one of the roots."""
    edits: dict[str, bytes | None] = {}
    findings: list[Finding] = []
    names = {name for root in roots if (name := modules.dotted_name(old, [root]))}
    home = modules.dotted_name(new, roots)
    if old.endswith("__init__.py") or not names:
        return edits, findings
    last = next(iter(names)).rpartition(".")[2]
    for path in tree.mentioning(last):
        if path == new:
            continue
        raw = tree.read(path)
        after = raw
        for name in sorted(names, key=len, reverse=True):
            after = _pointed(path, after, name, home or name, tree.source(new))
        if after != raw:
            edits[path] = after
            findings += changed_lines(path, raw, after, f"runs {new} in place of {old}")
        findings += _left(path, after, last, names, home, old)
    return edits, findings


def _pointed(path: str, raw: bytes, name: str, home: str, module: Source) -> bytes:
    """The file with `home` in place of `name` where that is run."""
    text = decoded(raw)
    if path.endswith(".ipynb"):
        try:
            found = [*cells(raw), *cells(raw, "markdown")]
        except BadInput:
            return raw
        changed = {cell.index: splice(cell.text, _runs(cell.text, name, home)) for cell in found}
        return with_cell_texts(raw, changed)
    edits = set(_runs(text, name, home))
    if path.endswith(".py"):
        source = Source(path, raw)
        if not source.parses:
            return raw
        edits = set(_runs(source.text, name, home))
        for node in ast.walk(source.tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and name in node.value:
                start, end = source.span(node)
                edits |= {(start + s, start + e, t) for s, e, t in _entries(source.text[start:end], name, home, module)}
        return source.encode(splice(source.text, edits)) if edits else raw
    if path.endswith(CONFIGS):
        edits |= set(_entries(text, name, home, module))
    edits |= set(_code(text, name, home))
    return encoded(splice(text, edits))


def _runs(text: str, name: str, home: str) -> Iterator[Edit]:
    for found in re.finditer(rf"{RUN}(?P<name>{re.escape(name)})(?![\w./-])", text):
        if "." in name or _by_python(text, found.start()):
            yield *found.span("name"), home


def _by_python(text: str, option: int) -> bool:
    """Whether the `-m` at `option` is an interpreter's: `git commit -m train`, `pytest -m train` mean something else."""
    command = re.split(r"[\n;&|]", re.sub(r"\\\r?\n", " ", text[max(0, option - 400) : option]))[-1]
    return bool(PYTHON.search(command)) and not OTHERS.search(command)


def _entries(text: str, name: str, home: str, module: Source) -> Iterator[Edit]:
    """`lab.train:main`. A bare word is followed only by what the module defines: `train:0.8` is something else."""
    defined = [n.name for n in module.tree.body if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)]
    names = r"[^\W\d]" if "." in name else rf"(?:{'|'.join(defined)})\b"
    if "." in name or defined:
        for found in re.finditer(rf"(?<![\w./:-])(?P<name>{re.escape(name)})(?=[ \t]*:{names})", text):
            yield *found.span("name"), home


def _code(text: str, name: str, home: str) -> Iterator[Edit]:
    """Python inside something else: `from lab.train import main`; and behind a `-c`, `import lab.train` with its uses."""
    spelt = re.escape(name)
    for found in re.finditer(rf"(?<![\w.])from[ \t]+(?P<name>{spelt})(?=[ \t]+import\b)", text):
        yield *found.span("name"), home
    for line in re.finditer(
        rf"^[^\n]*[ \t]-c[ \t]+(?P<code>[^\n]*\bimport[ \t]+{spelt}(?![\w.])[^\n]*)", text, re.MULTILINE
    ):
        for found in re.finditer(rf"(?<![\w./-]){spelt}(?!\w)", line["code"]):
            plain = "." not in name and line["code"][: found.start()].rstrip(" \t").endswith("import")
            if "." in name or plain:
                start, end = (line.start("code") + at for at in found.span())
                yield start, end, home + (f" as {name}" if plain else "")


def _left(path: str, raw: bytes, last: str, names: set[str], home: str | None, old: str) -> Iterator[Finding]:
    """Runs by a name that no root leads to: from another folder; or all of them, where the new place has no name."""
    text = decoded(raw)
    if re.search(rf"\bpy[-_]modules\b[^\]\n]*\b{re.escape(last)}\b", text) and last in names:
        yield Finding("warning", path, None, f"lists {last} in py_modules, which is {home} now; look at this by hand")
    spelt = "|".join(re.escape(n) for n in (names if home is None else ())) or "(?!)"
    tail = rf"(?:[^\W\d]\w*\.)*{re.escape(last)}"
    for found in re.finditer(rf"{RUN}(?P<name>{spelt}|{tail})(?![\w./-])", text):
        name = found["name"]
        ours = name in names if home is None else any(n.endswith("." + name) for n in names)
        if ours and _by_python(text, found.start()):
            line = text.count("\n", 0, found.start()) + 1
            message = f"may run {old} from another folder; it has moved, look at this by hand"
            yield Finding("warning", path, line, message, line_at(text, found.start()))
