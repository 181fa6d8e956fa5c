"""Which doors lead to a file: its module name from the roots, its own folder, the script; and to one import statement inside it."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from migration.analysis import modules
from migration.analysis.source import Source
from migration.gates import Check
from migration.plan import ExtractSymbols, MoveModule
from migration.probe import Door
from migration.tree import Overlay


def touched_modules(check: Check) -> list[str]:
    """Touched files that are there to be imported: new ones, sources and targets of moves, packages. Importers are not run."""
    named = {
        p
        for step in check.plan.step
        if isinstance(step, ExtractSymbols | MoveModule)
        for p in (step.source, step.target)
    }
    return [
        p
        for p in check.touched_python
        if (p in named or p.endswith("/__init__.py") or not check.before.exists(p)) and check.after.source(p).parses
    ]


def doors_into(tree: Overlay, path: str, roots: list[str]) -> Iterator[Door]:
    """Every way in which the file at `path` may come to be executed first."""
    name, folder = modules.dotted_name(path, roots), modules.folder_of(path)
    if name:
        yield Door("module", name, path, tuple(roots))
    stem = path.rsplit("/", 1)[-1].removesuffix(".py")
    if stem == "__init__" or folder in roots or tree.exists(f"{folder}/__init__.py"):
        return
    yield Door("module", stem, path, (folder, *roots))
    if is_script(tree.source(path)):
        yield Door("script", "", path, (folder,))  # what `python file` has, and nothing else


def door_before(check: Check, door: Door) -> Door | None:
    """The same door in the tree as it was; for a script that moved, the one at its old place. None where the file is new."""
    if check.before.exists(door.path):
        return door
    moved = (s.source for s in check.plan.step if isinstance(s, MoveModule) and s.target == door.path)
    source = next(moved, None) if door.kind == "script" else None
    if source is None or not check.before.exists(source):
        return None
    return Door("script", "", source, (modules.folder_of(source),))


def is_script(source: Source) -> bool:
    """Whether the file is written to be run by path: a `#!` line, or a main guard."""
    return source.text.startswith("#!") or any(
        isinstance(n, ast.If) and _asks_for_main(n.test) for n in source.tree.body
    )


def _asks_for_main(test: ast.expr) -> bool:
    words = {
        n.id if isinstance(n, ast.Name) else n.value for n in ast.walk(test) if isinstance(n, ast.Name | ast.Constant)
    }
    return {"__name__", "__main__"} <= words


def doors_to_statement(source: Source, node: ast.stmt, roots: list[str], extra: str = "") -> Iterator[Door]:
    """The statement alone, as the file would come to it as a module, as a script, and as a script of which nobody put the roots
    on the path; behind the lines by which the file itself arranges its path. `extra` is executed after it.
    """
    path, name = source.path, modules.dotted_name(source.path, roots)
    folder = modules.folder_of(path)
    code = "\n".join(ast.unparse(n) for n in [*path_statements(source, node), node]) + ("\n" + extra if extra else "")
    if name:
        package = name if path.endswith("/__init__.py") else name.rpartition(".")[0]
        yield Door("statements", name, path, tuple(roots), code, package)
    if isinstance(node, ast.ImportFrom) and node.level:
        return
    own_path = "sys.path" in source.text or "chdir" in source.text
    for cwd in dict.fromkeys((".", folder) if own_path else (".",)):
        yield Door("statements", "__main__", path, tuple(dict.fromkeys((folder, *roots))), code, cwd=cwd)
        if folder not in roots:
            yield Door("statements", "__main__", path, (folder,), code, cwd=cwd)


def path_statements(source: Source, target: ast.stmt | None) -> list[ast.stmt]:
    """The statements that arrange `sys.path` before `target` runs, and those that bind the names they use.

    For a target inside a function these are all of the module's, and those above it in the function.
    """
    if not any(word in source.text for word in ("sys.path", "chdir", "addsitedir")):
        return []
    blocks = list(_way_to(source.tree, target))
    around = {owner for owner, _, _ in blocks}
    helpers = {f.name for f in _path_functions(source) if f not in around}
    in_function = any(isinstance(owner, ast.FunctionDef | ast.AsyncFunctionDef) for owner, _, _ in blocks)
    chosen: list[ast.stmt] = []
    earlier: list[ast.stmt] = []
    for depth, (_, block, index) in enumerate(blocks):
        visible = block if index is None or (in_function and depth == 0) else block[:index]
        holder = None if index is None else block[index]
        earlier += [n for n in visible if n is not holder]
        chosen += [
            n for n in visible if n is not holder and not isinstance(n, _DEFINITIONS) and _touches_path(n, helpers)
        ]
    needed = {n.id for c in chosen for n in ast.walk(c) if isinstance(n, ast.Name)}
    kept = set(chosen)
    for node in reversed(earlier):
        if node not in kept and isinstance(node, _BINDERS) and _binds(node) & needed:
            kept.add(node)
            needed |= {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
    return [n for n in earlier if n in kept]


def _path_functions(source: Source) -> list[ast.FunctionDef]:
    """The module's functions that change the path."""
    if "path functions" not in source.memo:
        found = [n for n in source.tree.body if isinstance(n, ast.FunctionDef) and _touches_path(n, set())]
        source.memo["path functions"] = found
    return list(source.memo["path functions"])


_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_BINDERS = (ast.Import, ast.ImportFrom, ast.Assign, ast.AnnAssign, ast.FunctionDef)


def _way_to(owner: ast.AST, target: ast.stmt | None) -> Iterator[tuple[ast.AST, list[ast.stmt], int | None]]:
    """(owner, block, index) of the blocks from the module down to the one that holds `target`."""
    if target is None:
        yield owner, getattr(owner, "body", []), None
        return
    for field in ("body", "orelse", "finalbody", "handlers", "cases"):
        for index, node in enumerate(block := getattr(owner, field, None) or []):
            if any(inner is target for inner in ast.walk(node)):
                if isinstance(node, ast.stmt):
                    yield owner, block, index
                if node is not target:
                    yield from _way_to(node, target)
                return


def _touches_path(node: ast.AST, helpers: set[str]) -> bool:
    for inner in ast.walk(node):
        match inner:
            case ast.Attribute(value=ast.Name(id="sys"), attr="path") | ast.Attribute(attr="chdir" | "addsitedir"):
                return True
            case ast.Call(func=ast.Name(id=name)) if name in helpers:
                return True
    return False


def _binds(node: ast.stmt) -> set[str]:
    if isinstance(node, ast.Import | ast.ImportFrom):
        return {a.asname or a.name.split(".")[0] for a in node.names}
    if isinstance(node, ast.FunctionDef):
        return {node.name}
    return {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
