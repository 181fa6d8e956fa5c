"""Which file an import means, and how a file is imported: roots, packages, script folders, `sys.path` lines.

Follows Python's own order: the script's folder, the folders that the file itself puts on `sys.path`, the import roots
(https://docs.python.org/3/library/sys_path_init.html); a regular package or module before a namespace package.
"""

from __future__ import annotations

import ast
import posixpath
from collections.abc import Iterator
from keyword import iskeyword
from pathlib import PurePosixPath

from migration.analysis.source import Source, statements_in
from migration.tree import Overlay


def join(folder: str, relative: str) -> str:
    """`folder/relative` in normal form; "." is the repository itself."""
    return posixpath.normpath(posixpath.join(folder, relative))


def folder_of(path: str) -> str:
    """The folder a file lies in, "." at the top."""
    return posixpath.dirname(path) or "."


def dotted_name(path: str, roots: list[str]) -> str | None:
    """The module name of a file as seen from the first root that it lies under, or None where it has none."""
    for root in roots:
        relative = path if root == "." else path.removeprefix(root + "/")
        if (root == "." or relative != path) and relative.endswith(".py"):
            parts = relative.removesuffix(".py").split("/")
            parts = parts[:-1] if parts[-1] == "__init__" else parts
            if parts and all(part.isidentifier() and not iskeyword(part) for part in parts):
                return ".".join(parts)
    return None


def root_of(path: str, roots: list[str]) -> str:
    """The first root that `path` lies under."""
    return next((root for root in roots if root == "." or path.startswith(root + "/")), ".")


def find_module(tree: Overlay, dotted: str, folder: str) -> str | None:
    """The file of module `dotted` under `folder`: `a/b.py` or `a/b/__init__.py`."""
    stem = join(folder, dotted.replace(".", "/"))
    return next((path for path in (f"{stem}/__init__.py", f"{stem}.py") if tree.exists(path)), None)


def is_namespace(tree: Overlay, dotted: str, folder: str) -> bool:
    """Whether `dotted` is a folder of Python files without `__init__.py` under `folder`."""
    prefix = join(folder, dotted.replace(".", "/")) + "/"
    return not tree.exists(prefix + "__init__.py") and any(
        p.startswith(prefix) and p.endswith(".py") for p in tree.paths()
    )


def resolve_absolute(
    tree: Overlay, dotted: str, importer: str, roots: list[str], hints: list[str]
) -> tuple[str, str] | None:
    """(file, search folder) of an absolute import in `importer`: its own folder, its `sys.path` lines, the roots."""
    own = folder_of(importer)
    in_package = tree.exists(join(own, "__init__.py"))
    searched = [*hints, *roots, own] if in_package else [own, *hints, *roots]
    for folder in dict.fromkeys(searched):
        if found := find_module(tree, dotted, folder):
            return found, folder
    return None


def resolve_relative(tree: Overlay, dotted: str | None, level: int, importer: str) -> str | None:
    """The file of `from ..dotted import` in `importer`."""
    package = absolute_package(importer, level)
    if package is None:
        return None
    if not dotted:
        init = join(package, "__init__.py")
        return init if tree.exists(init) else None
    return find_module(tree, dotted, package)


def absolute_package(importer: str, level: int) -> str | None:
    """The folder that `level` leading dots mean in `importer`."""
    folder = folder_of(importer)
    for _ in range(level - 1):
        if folder == ".":
            return None
        folder = folder_of(folder)
    return folder


def relative_module(importer: str, target: str) -> str | None:
    """`..pkg.module` for `target` as written in `importer`, or None where they share no folder below the repository."""
    start, parts = folder_of(importer), list(PurePosixPath(target.removesuffix(".py")).parts)
    parts = parts[:-1] if parts[-1] == "__init__" else parts
    level = 1
    while start != "." and not (target == start or target.startswith(start + "/")):
        start, level = folder_of(start), level + 1
    if start == ".":
        return None
    return "." * level + ".".join(parts[len(PurePosixPath(start).parts) :])


def path_hints(source: Source) -> list[str]:
    """Repository folders that a file puts on `sys.path` itself, as far as they can be read off the text.

    A folder given relative to the working directory counts for the repository and for the file's own folder.
    """
    if "sys.path" not in source.text or not source.parses:
        return []
    if "path hints" not in source.memo:
        source.memo["path hints"] = _path_hints(source)
    return list(source.memo["path hints"])


def _path_hints(source: Source) -> list[str]:
    found: list[str] = []
    names: dict[str, str] = {}
    nodes = [n.value if isinstance(n, ast.Expr) else n for n in statements_in(source.tree.body)]
    for node in nodes:
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            value = _folder(node.value, source.path, names)
            if value is not None:
                names[node.targets[0].id] = value
    for node in nodes:
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and ast.unparse(node.func.value) == "sys.path"
            and node.func.attr in ("insert", "append")
        ):
            folder = _folder(node.args[-1], source.path, names) if node.args else None
            if folder is not None:
                found.append(folder)
            elif node.args and isinstance(node.args[-1], ast.Constant) and isinstance(node.args[-1].value, str):
                text = node.args[-1].value
                if not text.startswith(("/", "~")):
                    found += [join(".", text), join(folder_of(source.path), text)]
    return [f for f in dict.fromkeys(found) if not f.startswith("..")]


def folder_value(node: ast.expr, source: Source) -> str | None:
    """The folder that an expression built on `__file__` means in `source`, relative to the repository."""
    return _folder(node, source.path, {})


def _folder(node: ast.expr, path: str, names: dict[str, str]) -> str | None:
    """The folder an expression built on `__file__` means, relative to the repository; None for anything else."""
    match node:
        case ast.Name(id="__file__"):
            return path
        case ast.Name(id=name):
            return names.get(name)
        case (
            ast.Call(func=ast.Name(id="str" | "Path"), args=[inner])
            | ast.Call(func=ast.Attribute(attr="Path"), args=[inner])
        ):
            return _folder(inner, path, names)
        case ast.Call(
            func=ast.Attribute(value=inner, attr="resolve" | "absolute" | "as_posix" | "expanduser"), args=[]
        ):
            return _folder(inner, path, names)
        case ast.Call(func=ast.Attribute(attr="abspath" | "realpath" | "normpath"), args=[inner]):
            return _folder(inner, path, names)
        case ast.Call(func=ast.Attribute(attr="dirname"), args=[inner]) | ast.Attribute(value=inner, attr="parent"):
            base = _folder(inner, path, names)
            return None if base is None else folder_of(base) if base != "." else ".."
        case ast.Subscript(value=ast.Attribute(value=inner, attr="parents"), slice=ast.Constant(value=int(n))):
            base = _folder(inner, path, names)
            return None if base is None else join(base, "/".join([".."] * (n + 1)))
        case ast.Call(func=ast.Attribute(attr="join"), args=[first, *rest]) if all(
            isinstance(r, ast.Constant) for r in rest
        ):
            base = _folder(first, path, names)
            return (
                None
                if base is None
                else join(base, "/".join(str(r.value) for r in rest if isinstance(r, ast.Constant)))
            )
        case ast.BinOp(left=left, op=ast.Div(), right=ast.Constant(value=str(name))):
            base = _folder(left, path, names)
            return None if base is None else join(base, name)
    return None


def package_inits(tree: Overlay, target: str, roots: list[str]) -> Iterator[str]:
    """The `__init__.py` files that `target`'s folders lack, outermost first."""
    root = root_of(target, roots)
    folder, missing = folder_of(target), []
    while folder not in (root, "."):
        if not tree.exists(f"{folder}/__init__.py"):
            missing.append(f"{folder}/__init__.py")
        folder = folder_of(folder)
    yield from reversed(missing)
