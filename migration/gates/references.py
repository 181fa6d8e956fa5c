"""Nothing refers to a path or module that is gone.

What would fail when it runs is fatal: imports, dotted strings, calls. What only speaks of the old place (prose, comments,
`rm`, `[[ -f … ]]`) is shown, and the gate holds. A name counts only where it led to the file in the old tree: of two
`train.py`, the one that stays is not mistaken for the one that went.
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from migration.analysis import modules
from migration.analysis.bound_names import bound_names
from migration.analysis.comments import SHELL
from migration.analysis.notebooks import cells, python_text
from migration.analysis.paths import references as mentions_of
from migration.analysis.source import Source
from migration.errors import BadInput
from migration.gates import Check, Failure, gate
from migration.tree import Overlay, is_record

SHOWN = 20
CONFIGS = (".yaml", ".yml", ".toml", ".json", ".cfg", ".ini")
PROSE = (".md", ".rst", ".txt")
MAKEFILES = ("Makefile", "makefile", "GNUmakefile")
ELSEWHERE = ("/", "~", "$")  # what a written path begins with where this tree alone cannot say what it means
CALLS = frozenset({"call", "call-in-string", "assigned"})
DOTTED = re.compile(r"(?<![\w./$\\-])[^\W\d]\w*(?:\.[^\W\d]\w*)+(?![\w/-])")
RUN_MODULE = re.compile(r"(?<!\S)-m\s+([^\W\d]\w*(?:\.[^\W\d]\w*)*)")


@dataclass(frozen=True)
class Trees:
    """The new tree, and the same with everything that is gone put back."""

    after: Overlay
    there: Overlay
    gone: frozenset[str]
    roots: list[str]

    def missing(self, dotted: str, folders: Iterable[str]) -> str | None:
        """The gone module that the longest leading part of a dotted name meant, if no module answers to that part now."""
        parts = dotted.split(".")
        for length in range(len(parts), 0, -1):
            name = ".".join(parts[:length])
            old = next(filter(None, (modules.find_module(self.there, name, f) for f in folders)), None)
            if old is None:
                continue
            if old not in self.gone or any(modules.find_module(self.after, name, f) for f in folders):
                return None
            return old if length > 1 or parts[1] in self.names(old) else None
        return None

    def names(self, path: str) -> frozenset[str]:
        """What a module binds at its top level. A bare word is too common to be taken for a gone module without one of them."""
        source = self.there.source(path)
        return frozenset().union(*(bound_names(n) for n in source.tree.body)) if source.parses else frozenset()


@gate("references", "No reference to a path or module that is gone")
def references(check: Check) -> Iterator[Failure]:
    gone = frozenset(
        p for p in check.touched if check.before.exists(p) and not check.after.exists(p) and not is_record(p)
    )
    if not gone:
        return
    there = Overlay(check.after, {path: check.before.read(path) for path in gone})
    trees = Trees(check.after, there, gone, check.plan.python.roots)
    found: dict[str, list[Failure]] = defaultdict(list)
    for path in check.after.mentioning(*sorted({_stem(p) for p in gone})):
        for target, failure in _in_file(trees, path):
            if failure not in found[target]:
                found[target].append(failure)
    for target, failures in sorted(found.items()):
        fatal = {(f.path, f.line): f for f in failures if f.fatal}
        yield from fatal.values()
        warnings = [f for f in failures if (f.path, f.line) not in fatal]
        yield from warnings[:SHOWN]
        if len(warnings) > SHOWN:
            yield Failure(target, None, f"{len(warnings) - SHOWN} more places mention it", fatal=False)


def _stem(path: str) -> str:
    return path.removesuffix("/__init__.py").removesuffix(".py").rpartition("/")[2]


def _in_file(trees: Trees, path: str) -> Iterator[tuple[str, Failure]]:
    raw = trees.after.read(path)
    for source in _pieces(trees.after, path):
        if source.parses:
            nodes = list(ast.walk(source.tree))
            yield from _imports(trees, source, nodes)
            yield from _strings(trees, source, nodes)
    if path.endswith(CONFIGS):
        yield from _dotted_in_text(trees, path, raw)
    yield from _module_runs(trees, path, raw)
    yield from _paths(trees, path, raw)


def _pieces(tree: Overlay, path: str) -> list[Source]:
    """The Python in a file: all of it, or a notebook's cells."""
    if path.endswith(".py"):
        return [tree.source(path)]
    try:
        return (
            [Source(path, python_text(cell).encode()) for cell in cells(tree.read(path))]
            if path.endswith(".ipynb")
            else []
        )
    except BadInput:
        return []


# modules


def _imports(trees: Trees, source: Source, nodes: list[ast.AST]) -> Iterator[tuple[str, Failure]]:
    hints = modules.path_hints(source)
    guarded = {n for t in nodes if isinstance(t, ast.Try) and t.handlers for s in t.body for n in ast.walk(s)}
    for node in (n for n in nodes if isinstance(n, ast.Import | ast.ImportFrom)):
        package = (
            _resolve(trees.after, node.module or "", node.level, source.path, trees.roots, hints)
            if isinstance(node, ast.ImportFrom)
            else None
        )
        handed_on = trees.names(package) if package else frozenset()
        for spelling, level in _modules_of(node):
            old = _resolve(trees.there, spelling, level, source.path, trees.roots, hints)
            if (
                old not in trees.gone
                or old is None
                or _resolve(trees.after, spelling, level, source.path, trees.roots, hints) is not None
            ):
                continue
            if spelling.rpartition(".")[2] in handed_on:
                continue
            dots = "." * level + spelling
            if node in guarded:
                yield (
                    old,
                    Failure(
                        source.path,
                        node.lineno,
                        f"imports {dots}, which was {old} and is gone; a fallback stands below it",
                        fatal=False,
                    ),
                )
            else:
                yield (
                    old,
                    Failure(
                        source.path,
                        node.lineno,
                        f"imports {dots}, which was {old} and is gone; import it from its new home",
                    ),
                )
            break


def _modules_of(node: ast.Import | ast.ImportFrom) -> Iterator[tuple[str, int]]:
    """(dotted name, level) of every module that an import may load, packages before what lies in them."""
    if isinstance(node, ast.Import):
        yield from ((a.name, 0) for a in node.names)
        return
    yield node.module or "", node.level
    yield from ((".".join(filter(None, [node.module, a.name])), node.level) for a in node.names)


def _resolve(tree: Overlay, dotted: str, level: int, importer: str, roots: list[str], hints: list[str]) -> str | None:
    if level:
        return modules.resolve_relative(tree, dotted or None, level, importer)
    found = modules.resolve_absolute(tree, dotted, importer, roots, hints) if dotted else None
    return found[0] if found else None


def _strings(trees: Trees, source: Source, nodes: list[ast.AST]) -> Iterator[tuple[str, Failure]]:
    """Strings that are a dotted name."""
    folders = [*trees.roots, modules.folder_of(source.path)]
    for node in nodes:
        if (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and DOTTED.fullmatch(node.value)
            and (old := trees.missing(node.value, folders))
        ):
            yield old, Failure(source.path, node.lineno, f"names {node.value!r}, which was in {old} and is gone")


def _dotted_in_text(trees: Trees, path: str, raw: bytes) -> Iterator[tuple[str, Failure]]:
    folders = [*trees.roots, modules.folder_of(path)]
    for number, line in enumerate(raw.decode("utf-8", "replace").splitlines(), 1):
        code = line if path.endswith(".json") else re.split(r"(?:^|\s)[#;]", line, maxsplit=1)[0]
        for found in DOTTED.finditer(line):
            if old := trees.missing(found.group(), folders):
                fatal = found.end() <= len(code)
                yield old, Failure(path, number, f"names {found.group()!r}, which was in {old} and is gone", fatal)


def _module_runs(trees: Trees, path: str, raw: bytes) -> Iterator[tuple[str, Failure]]:
    """`python -m package.module`, wherever it is written; fatal where the line is one that runs."""
    runs = path.endswith((*SHELL, ".ipynb", ".mk")) or path.rpartition("/")[2] in MAKEFILES
    for number, line in enumerate(raw.decode("utf-8", "replace").splitlines() if b"-m" in raw else [], 1):
        for found in RUN_MODULE.finditer(line):
            dotted = found.group(1)
            old = next(filter(None, (modules.find_module(trees.there, dotted, f) for f in trees.roots)), None)
            if (
                old in trees.gone
                and old is not None
                and not any(modules.find_module(trees.after, dotted, f) for f in trees.roots)
            ):
                fatal = runs and "#" not in line[: found.start()]
                yield old, Failure(path, number, f"runs {found.group()!r}, which was {old} and is gone", fatal)


# paths


def _paths(trees: Trees, path: str, raw: bytes) -> Iterator[tuple[str, Failure]]:
    """Paths as scripts, notebooks, configurations and prose write them."""
    text = raw.decode("utf-8", "replace")
    for token in dict.fromkeys(_tokens(trees, text)):
        plain = token.partition("/")[2] if token.startswith("$") else token
        places = {m.line: (m.role, m.folder) for m in mentions_of(path, raw, plain)}
        for number in _lines_with(text, token):
            places.setdefault(number, ("mention", ""))
        for number, (role, folder) in sorted(places.items()):
            old = _leads_to(trees, token, path, folder)
            if old and role in CALLS and not path.endswith(PROSE) and not token.startswith(ELSEWHERE):
                yield old, Failure(path, number, f"calls {token!r}, which is gone")
            elif old:
                yield (
                    old,
                    Failure(
                        path,
                        number,
                        f"still speaks of {token!r} ({role.replace('-', ' ')}), which is gone",
                        fatal=False,
                    ),
                )


def _tokens(trees: Trees, text: str) -> Iterator[str]:
    """Every path in a text that ends in the name of a gone file."""
    for name in sorted({old.rpartition("/")[2] for old in trees.gone} - {"__init__.py"}):
        if name in text:
            yield from (
                m.group()
                for m in re.finditer(rf"(?<![\w./-])(?:[\w.~$@{{}}-]*/)*{re.escape(name)}(?![\w-]|\.\w)", text)
            )


def _lines_with(text: str, token: str) -> Iterator[int]:
    pattern = re.compile(rf"(?<![\w./$}}~-]){re.escape(token)}(?![\w-]|\.\w)")
    return (number for number, line in enumerate(text.splitlines(), 1) if pattern.search(line))


def _leads_to(trees: Trees, token: str, path: str, working: str | None) -> str | None:
    """The gone file that a written path means, None where it leads elsewhere or never led anywhere.

    It is looked for from the repository and from the file's own folder, both with the `working` folder that a `cd` above it
    set ("@…" is below the file's own folder). An absolute path, or one behind a variable, may end in a gone file's path.
    """
    if token.startswith(ELSEWHERE):
        if ends := [old for old in trees.gone if token.endswith("/" + old)]:
            return max(ends, key=len)
        if not token.startswith("$"):
            return None
        token = token.partition("/")[2]
    if working is None and "/" not in token:
        return None
    own, working = modules.folder_of(path), working or ""
    bases = (
        [modules.join(own, working[1:].lstrip("/"))]
        if working.startswith("@")
        else [modules.join(".", working), modules.join(own, working)]
    )
    candidates = [modules.join(base, token) for base in bases]
    if any(trees.after.exists(c) for c in candidates):
        return None
    return next((c for c in candidates if c in trees.gone), None)
