"""No import cycle that was not there: strongly connected components of what modules import while they load."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

from migration.analysis import modules
from migration.gates import Check, Failure, gate
from migration.plan import ExtractSymbols, MoveModule
from migration.probe.importers import imported_files
from migration.tree import Overlay

Graph = dict[str, dict[str, int]]  # importer → imported → line


@gate("import-cycles", "No import cycle that was not there")
def import_cycles(check: Check) -> Iterator[Failure]:
    roots = check.plan.python.roots
    after = eager_imports(check.after, check.touched_python, roots)
    new = components(after)
    if not new:
        return
    origins = _origins(check)
    was_there = {
        p for p in (*check.touched_python, *(o for of in origins.values() for o in of)) if check.before.exists(p)
    }
    old = components(eager_imports(check.before, was_there, roots))
    for component in new:
        came_from = {origin for path in component for origin in origins.get(path, {path})}
        if len(came_from) > 1 and any(came_from <= known for known in old):
            continue
        way = _cycle(after, component)
        line = after[way[0]][way[1]]
        if _harmless(check.after, after, component):
            sentence = f"{' → '.join(way)}: a cycle by imports below all definitions, so either can come first"
            yield Failure(way[0], line, sentence, fatal=False)
            continue
        yield Failure(
            way[0],
            line,
            f"new import cycle: {' → '.join(way)}; import it inside the function that needs it, or move what both need to a third module",
        )


def _harmless(tree: Overlay, graph: Graph, component: frozenset[str]) -> bool:
    """Whether all imports of a component stand below the definitions of their files, or it is none without those among them
    that take no name out of the module (`import b`): whoever comes first, what they need is there.
    """
    edges = [(p, other, line) for p in component for other, line in graph[p].items() if other in component]
    low = [(p, other, line) for p, other, line in edges if line > _last_definition(tree, p)]
    rest: Graph = {p: {} for p in component}
    for p, other, line in edges:
        whole = any(isinstance(n, ast.Import) and n.lineno == line for n in tree.source(p).imports)
        if not whole or (p, other, line) not in low:
            rest[p][other] = line
    return len(low) == len(edges) or not components(rest)


def _last_definition(tree: Overlay, path: str) -> int:
    """The last line of the last function or class of a file."""
    body = tree.source(path).tree.body
    return max(
        (n.end_lineno or 0 for n in body if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)),
        default=len(body) and 1 << 30,
    )


def _origins(check: Check) -> dict[str, set[str]]:
    """For files that a step makes out of others: what they were, so that an old cycle under a new name is not a new one."""
    found: dict[str, set[str]] = {}
    for step in check.plan.step:
        if isinstance(step, ExtractSymbols | MoveModule) and not check.before.exists(step.target):
            found.setdefault(step.target, set()).add(step.source)
    return found


def eager_imports(tree: Overlay, start: Iterable[str], roots: list[str]) -> Graph:
    """What the files in `start`, and the files they lead to, import as they load. Files that do not parse lead nowhere."""
    graph: Graph = {}
    todo = list(start)
    while todo:
        path = todo.pop()
        if path in graph:
            continue
        graph[path] = {}
        source = tree.source(path)
        if not source.parses:
            continue
        hints = modules.path_hints(source)
        for node in _loading(source.tree.body):
            for target in imported_files(tree, node, path, roots, hints):
                if target != path:
                    graph[path].setdefault(target, node.lineno)
                    todo.append(target)
    return graph


def _loading(body: Iterable[ast.AST]) -> Iterator[ast.Import | ast.ImportFrom]:
    """Import statements that run when the module is imported: not in functions, not for type checkers, not for the script."""
    for node in body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node
        elif isinstance(node, ast.If) and any(word in ast.unparse(node.test) for word in ("TYPE_CHECKING", "__main__")):
            yield from _loading(node.orelse)
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.expr):
            yield from _loading(ast.iter_child_nodes(node))


def components(graph: Graph) -> list[frozenset[str]]:
    """Strongly connected components of more than one file (Tarjan 1972), without recursion."""
    number: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    on_stack: set[str] = set()
    found: list[frozenset[str]] = []
    for root in graph:
        work = [(root, iter(graph[root]))] if root not in number else []
        while work:
            node, following = work[-1]
            if node not in number:
                number[node] = low[node] = len(number)
                stack.append(node)
                on_stack.add(node)
            for other in following:
                if other not in number:
                    work.append((other, iter(graph[other])))
                    break
                if other in on_stack:
                    low[node] = min(low[node], low[other])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == number[node]:
                    cut = stack.index(node)
                    found.append(frozenset(stack[cut:]))
                    on_stack.difference_update(stack[cut:])
                    del stack[cut:]
    return [component for component in found if len(component) > 1]


def _cycle(graph: Graph, component: frozenset[str]) -> list[str]:
    """A shortest way round within the component, from its first file back to it."""
    start = min(component)
    ways = [[start]]
    seen: set[str] = set()
    for way in ways:
        for following in sorted(graph[way[-1]].keys() & component):
            if following == start:
                return [*way, start]
            if following not in seen:
                seen.add(following)
                ways.append([*way, following])
    raise AssertionError(f"{component} is not strongly connected")
