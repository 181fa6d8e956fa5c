"""Who imports, calls or names which module: Python imports, notebook cells, shell lines, dotted names in configs."""

from __future__ import annotations

import ast
import json
import posixpath
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from migration.analysis.modules import dotted_name, folder_of, join, path_hints, resolve_absolute, resolve_relative
from migration.analysis.source import Source, Unparsable
from migration.tree import Overlay

PROSE = (".md", ".rst", ".txt", ".log", ".csv", ".patch", ".diff")
FOLDER_PART = re.compile(r"[\w$@{}.~/+-]*$")
LONGEST_FOLDER = 300  # characters before a script's name that may be its folder
DOTTED_TOKEN = re.compile(r"(?<![\w./-])[^\W\d]\w*(?:\.[^\W\d]\w*)+(?![\w/-])")
RUN_AS_MODULE = re.compile(r"(?<!\S)-m\s+([^\W\d]\w*)(?![\w./-])")


@dataclass(frozen=True)
class Edge:
    """`importer` leans on `module`, first at `line`; `names` are what it takes from it (empty for a call or a mention)."""

    importer: str
    module: str
    line: int
    role: str
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Modules:
    """The modules asked about, and how text may name them."""

    tree: Overlay
    paths: frozenset[str]
    roots: list[str]
    dotted: dict[str, str]
    names: re.Pattern[str]

    def imported(self, node: ast.AST, importer: str, hints: list[str]) -> Iterator[tuple[str, str]]:
        """(module, name) for an import statement; the name is empty for a plain `import x`."""
        if isinstance(node, ast.Import):
            yield from ((self._file(alias.name, 0, importer, hints), "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                inner = f"{node.module}.{alias.name}" if node.module else alias.name
                submodule = self._file(inner, node.level, importer, hints)
                yield (
                    (submodule, "")
                    if submodule
                    else (self._file(node.module or "", node.level, importer, hints), alias.name)
                )

    def named(self, text: str, user: str) -> Iterator[str]:
        """The modules that a piece of shell, config or string names, by path or by dotted name."""
        for name in self.names.finditer(text):
            folder = FOLDER_PART.search(text[max(0, name.start() - LONGEST_FOLDER) : name.start()])
            if folder is None or not folder.group() or folder.group()[-1] in "/}":
                yield from self._by_path((folder.group() if folder else "") + name.group(), user)
        for token in [*DOTTED_TOKEN.findall(text), *RUN_AS_MODULE.findall(text)]:
            parts = token.split(".")
            prefixes = (".".join(parts[:n]) for n in range(len(parts), 1 if "." in token else 0, -1))
            longest = next((prefix for prefix in prefixes if prefix in self.dotted), None)
            if longest:
                yield self.dotted[longest]

    def _file(self, dotted: str, level: int, importer: str, hints: list[str]) -> str:
        if level:
            return resolve_relative(self.tree, dotted or None, level, importer) or ""
        found = resolve_absolute(self.tree, dotted, importer, self.roots, hints) if dotted else None
        return found[0] if found else ""

    def _by_path(self, token: str, user: str) -> Iterator[str]:
        name = posixpath.basename(token)
        for candidate in (join(folder_of(user), token), join(".", token)):
            if self.tree.exists(candidate):
                yield from {candidate} & self.paths
                return
        tail = re.sub(r"^.*[$}~]\w*/|^/", "", token)
        matching = [
            path
            for path in self.tree.paths()
            if path == tail or path.endswith("/" + tail) or ("/" in path and tail.endswith("/" + path))
        ]
        if len(matching) == 1 and posixpath.basename(matching[0]) == name:
            yield from set(matching) & self.paths


def imports_of(tree: Overlay, paths: Iterable[str], roots: list[str] | None = None) -> list[Edge]:
    """Every file of `tree` that leans on one of `paths`, each pair once, sorted. Files that do not parse are searched as text."""
    roots = roots or ["."]
    wanted = frozenset(path for path in paths if tree.exists(path))
    if not wanted:
        return []
    dotted = {name: path for path in sorted(wanted) if (name := dotted_name(path, roots))}
    names = "|".join(sorted({re.escape(posixpath.basename(path)) for path in wanted}))
    modules = Modules(tree, wanted, roots, dotted, re.compile(rf"(?:{names})(?![\w-]|\.\w)"))
    stems = {posixpath.basename(path.removesuffix("/__init__.py")).removesuffix(".py") for path in wanted}
    return sorted(
        (
            edge
            for user in tree.mentioning(*sorted(stems))
            if not user.endswith(PROSE)
            for edge in _edges_of(modules, user)
        ),
        key=lambda edge: (edge.importer, edge.module),
    )


def _edges_of(modules: Modules, user: str) -> list[Edge]:
    """A file's edges, one for each module: an import counts more than a mention, the first line is kept."""
    found: dict[str, Edge] = {}
    for module, line, role, name in _leanings(modules, user):
        if module not in modules.paths or module == user:
            continue
        old = found.get(module)
        names = tuple(dict.fromkeys([*(old.names if old else ()), *([name] if name else [])]))
        found[module] = Edge(
            user,
            module,
            old.line if old else line,
            "import" if "import" in (role, old.role if old else "") else role,
            names,
        )
    return list(found.values())


def _leanings(modules: Modules, user: str) -> Iterator[tuple[str, int, str, str]]:
    """(module, line, role, name) for each place where `user` leans on a module."""
    if user.endswith(".py"):
        source = modules.tree.source(user)
        try:
            yield from _in_python(modules, source, path_hints(source), 0)
            return
        except Unparsable:
            pass
    text = modules.tree.read(user).decode("utf-8", "replace")
    if user.endswith(".ipynb"):
        yield from _in_notebook(modules, text, user)
        return
    role = "call" if user.endswith(".sh") or text.startswith("#!") else "mention"
    for number, line in enumerate(text.splitlines(), 1):
        if not line.lstrip().startswith("#"):
            yield from ((module, number, role, "") for module in modules.named(line, user))


def _in_python(modules: Modules, source: Source, hints: list[str], offset: int) -> Iterator[tuple[str, int, str, str]]:
    user = source.path
    for node in source.imports:
        yield from (
            (module, node.lineno + offset, "import", name) for module, name in modules.imported(node, user, hints)
        )
    for text, line in source.strings:
        yield from ((module, line + offset, "mention", "") for module in modules.named(text, user))


def _in_notebook(modules: Modules, text: str, user: str) -> Iterator[tuple[str, int, str, str]]:
    """Code cells; lines are counted over all cells. Magics and shell lines are read as text."""
    try:
        cells = json.loads(text)["cells"]
        sources = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return
    offset = 0
    for code in sources:
        lines = code.split("\n")
        magic = [line.lstrip().startswith(("%", "!")) for line in lines]
        python = Source(
            user,
            "\n".join(
                "pass" if is_magic and line[:1] in "%!" else line for line, is_magic in zip(lines, magic, strict=True)
            ).encode(),
        )
        try:
            yield from _in_python(modules, python, [], offset)
        except Unparsable:
            magic = [True] * len(lines)
        for number, (line, is_magic) in enumerate(zip(lines, magic, strict=True), offset + 1):
            if is_magic:
                yield from ((module, number, "call", "") for module in modules.named(line, user))
        offset += len(lines)
