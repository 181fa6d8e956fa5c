"""Imports from a tree that is not on the disk: Python's own path finder, over the tree's files with the edits laid on them.

A path hook answers for the repository's folders, so the order of `sys.path`, packages before namespace packages, `__path__` and
relative entries are the interpreter's own (https://docs.python.org/3/reference/import.html#path-based-finder).
"""

from __future__ import annotations

import ast
import builtins
import importlib.util
import os
import posixpath
import sys
import types
from collections.abc import Iterable, Iterator
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from typing import Any, cast

from migration.probe.standins import StandInModule

MARK = "__ran__"
# Foreign-function calls could do anything unseen; a module that wants them gets a stand-in.
UNSAFE = frozenset({"ctypes", "_ctypes"})
Place = tuple[str, int, int]
# By path, whether it is run as a script, and the new content where it is changed: the states of the tree share what is the same.
Compiled = dict[tuple[str, bool, bytes], types.CodeType]


class Files:
    """The Python files of one state of the tree, and their compiled code."""

    def __init__(self, root: str, paths: Iterable[str], changed: dict[str, bytes], compiled: Compiled) -> None:
        self.root = root
        self.changed = changed
        self.compiled = compiled
        self.paths = set(paths)
        # What the tree may mean by a top-level name; and this tool's own.
        self.names = {"migration"} | {posixpath.basename(path).removesuffix(".py") for path in self.paths}
        self.folders = {"."}
        for path in self.paths:
            folder = posixpath.dirname(path)
            while folder and folder not in self.folders:
                self.folders.add(folder)
                self.names.add(posixpath.basename(folder))
                folder = posixpath.dirname(folder)

    def full(self, path: str) -> str:
        return os.path.join(self.root, path)

    def relative(self, full: str) -> str | None:
        """`full` relative to the repository, None where it lies outside."""
        normal = os.path.normpath(full)
        if normal == self.root:
            return "."
        return normal[len(self.root) + 1 :].replace(os.sep, "/") if normal.startswith(self.root + os.sep) else None

    def read(self, path: str) -> bytes:
        if path in self.changed:
            return self.changed[path]
        with open(self.full(path), "rb") as file:
            return file.read()

    def code(self, path: str, as_script: bool = False) -> types.CodeType:
        """The file compiled, with a mark before each module-level statement; as a script, without what its main guard holds."""
        key = (path, as_script, self.changed.get(path, b""))
        if key not in self.compiled:
            tree = ast.parse(self.read(path), self.full(path))
            if as_script:
                tree.body = [_without_main(node) for node in tree.body]
            tree.body = list(_marked(tree.body, path))
            self.compiled[key] = compile(ast.fix_missing_locations(tree), self.full(path), "exec", dont_inherit=True)
        return self.compiled[key]


def _without_main(node: ast.stmt) -> ast.stmt:
    """A statement that asks whether the file is run does nothing; everything else is as it was."""
    if not isinstance(node, ast.If | ast.Expr):
        return node
    asked = node.test if isinstance(node, ast.If) else node.value
    words = {
        n.id if isinstance(n, ast.Name) else n.value for n in ast.walk(asked) if isinstance(n, ast.Name | ast.Constant)
    }
    return ast.copy_location(ast.Pass(), node) if {"__name__", "__main__"} <= words else node


def _marked(body: list[ast.stmt], path: str) -> Iterator[ast.stmt]:
    """The statements, each behind a call that says it is about to run; loops, functions and classes are not entered."""
    for index, node in enumerate(body):
        docstring = index == 0 and isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if not docstring and not (isinstance(node, ast.ImportFrom) and node.module == "__future__"):
            place = ast.Constant(
                cast(Any, (path, node.lineno, node.col_offset))
            )  # compiled as it is, whatever the stubs say
            yield ast.copy_location(ast.Expr(ast.Call(ast.Name(MARK, ast.Load()), [place], [])), node)
        if isinstance(node, ast.If | ast.Try | ast.TryStar | ast.With | ast.Match):
            for owner in [node, *getattr(node, "handlers", []), *getattr(node, "cases", [])]:
                for field in ("body", "orelse", "finalbody"):
                    if inner := getattr(owner, field, None):
                        setattr(owner, field, list(_marked(inner, path)))
        yield node


class Seen:
    """What one run came upon, in order."""

    def __init__(self) -> None:
        self.loaded: list[str] = []
        self.standins: list[str] = []
        self.ran: dict[Place, int] = {}

    def mark(self, place: Place) -> None:
        self.ran[place] = self.ran.get(place, 0) + 1


class _Loader(SourceFileLoader):
    def __init__(self, name: str, path: str, files: Files, seen: Seen) -> None:
        super().__init__(name, files.full(path))
        self._tree_path, self._files, self._seen = path, files, seen

    def get_data(self, path: str) -> bytes:
        relative = self._files.relative(path)
        return self._files.read(relative) if relative in self._files.paths else super().get_data(path)

    def get_code(self, fullname: str) -> types.CodeType:
        self._seen.loaded.append(self._tree_path)
        return self._files.code(self._tree_path)


class _Folder:
    """The path entry finder of one folder of the tree, or of a folder outside, which holds nothing."""

    def __init__(self, folder: str | None, files: Files, seen: Seen) -> None:
        self._folder, self._files, self._seen = folder, files, seen

    def find_spec(self, name: str, target: object = None) -> ModuleSpec | None:
        if self._folder is None:
            return None
        stem = posixpath.normpath(posixpath.join(self._folder, name.rpartition(".")[2]))
        for path, package in ((f"{stem}/__init__.py", True), (f"{stem}.py", False)):
            if path in self._files.paths:
                loader = _Loader(name, path, self._files, self._seen)
                inside = [self._files.full(stem)] if package else None
                return importlib.util.spec_from_file_location(
                    name, self._files.full(path), loader=loader, submodule_search_locations=inside
                )
        if stem in self._files.folders:
            portion = ModuleSpec(name, None, is_package=True)
            portion.submodule_search_locations = [self._files.full(stem)]
            return portion
        return None

    def iter_modules(self, prefix: str = "") -> Iterator[tuple[str, bool]]:
        """For pkgutil, by which packages list what they hold."""
        if self._folder is None:
            return
        for path in sorted(self._files.paths):
            folder, name = posixpath.split(path)
            if (folder or ".") == self._folder and name != "__init__.py":
                yield prefix + name.removesuffix(".py"), False
            elif name == "__init__.py" and folder and (posixpath.dirname(folder) or ".") == self._folder:
                yield prefix + posixpath.basename(folder), True

    def invalidate_caches(self) -> None: ...


class _StandInLoader:
    def create_module(self, spec: ModuleSpec) -> types.ModuleType:
        return StandInModule(spec.name)

    def exec_module(self, module: types.ModuleType) -> None: ...


class TreeFinder:
    """Behind the built-in modules, before nothing else: the tree and the standard library by `sys.path`, stand-ins for the rest.

    `lost` are names that only the tree could have meant, so they are not found where the tree has no answer. `external` are names
    that people install: a bare folder of the same name does not keep them from being found.
    """

    def __init__(self, files: Files, seen: Seen, lost: frozenset[str], external: frozenset[str]) -> None:
        self.files, self.seen, self.lost, self.external = files, seen, lost, external

    def find_spec(self, name: str, path: Any = None, target: types.ModuleType | None = None) -> ModuleSpec | None:
        top, _, submodule = name.partition(".")
        if top in UNSAFE:
            return self._standin(name)
        if submodule:
            above = sys.modules.get(name.rpartition(".")[0])
            return self._standin(name) if isinstance(above, StandInModule) else PathFinder.find_spec(name, path, target)
        found = PathFinder.find_spec(name, path, target)
        if found is not None and ((found.loader is not None and found.origin is not None) or name not in self.external):
            return found
        return None if name in self.lost or name in sys.stdlib_module_names else self._standin(name)

    def _standin(self, name: str) -> ModuleSpec:
        if "." not in name:
            self.seen.standins.append(name)
        return ModuleSpec(name, _StandInLoader(), origin="stand-in", is_package=True)  # type: ignore[arg-type]

    def invalidate_caches(self) -> None: ...


def install(finder: TreeFinder, entries: list[str]) -> None:
    """Put the finder to work, `entries` first on `sys.path`. What lies outside tree and standard library is not seen."""
    library = [entry for entry in sys.path if entry]

    def hook(entry: str) -> _Folder:
        full = os.path.abspath(entry)
        if any(full == os.path.abspath(known) for known in library) or _in_library_package(full, library):
            raise ImportError(f"{entry} is the standard library's")
        relative = finder.files.relative(full)
        return _Folder(relative if relative in finder.files.folders else None, finder.files, finder.seen)

    sys.path_hooks.insert(0, hook)
    sys.path_importer_cache.clear()
    sys.path[:] = [*entries, *library]
    sys.meta_path[:] = [f for f in sys.meta_path if f is not PathFinder] + [finder]
    setattr(builtins, MARK, finder.seen.mark)


def _in_library_package(full: str, library: list[str]) -> bool:
    """Whether a folder is a package of the standard library, which `__path__` of `json`, say, leads to."""
    return "site-packages" not in full and any(full.startswith(os.path.abspath(entry) + os.sep) for entry in library)
