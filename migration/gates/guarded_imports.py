"""What stands in `try: import … except ImportError:` and meant a module of the tree still finds it.

A plain import that is broken says so. A guarded one falls back in silence: regularisation is off, and nobody is told.
Guards that ask `importlib.util.find_spec` are not among these.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from migration.analysis import modules
from migration.analysis.source import Source, blocks_of, statements_in
from migration.gates import Check, Failure, gate
from migration.plan import MoveModule
from migration.probe import Door, DoorResult
from migration.probe.doors import doors_to_statement
from migration.probe.importers import Import, imported_files, python_of, touched_before
from migration.probe.session import Session, Side, asks, session

CATCHING = frozenset({"ImportError", "ModuleNotFoundError", "Exception", "BaseException"})
Way = tuple[str, tuple[str, ...], str]
Ways = dict[Way, Door]


@dataclass(frozen=True)
class Guarded:
    """An import whose failure is caught, and the imports that are tried in its place."""

    first: Import
    fallbacks: tuple[Import, ...] = ()

    def binding(self, names: frozenset[str]) -> list[Import]:
        return [i for i in (self.first, *self.fallbacks) if i.names & names]


@dataclass(frozen=True)
class Followed:
    """A guarded import as it was, the files of the tree that it meant, and one that has taken its place. `tries` are the ways to
    that one and to each of its fallbacks.
    """

    old: Import
    before: Ways
    meant: frozenset[str]
    new: Import
    tries: tuple[Ways, ...]

    @property
    def ways(self) -> list[Way]:
        """Those that have to lead somewhere; a new home has one that counts, its name from the roots."""
        every = dict.fromkeys(way for ways in self.tries for way in ways)
        return list(every) if self.old.source.path == self.new.source.path else list(every)[:1]


@asks
def guards(check: Check) -> Iterator[tuple[Side, Door]]:
    """Every way to each guarded import, before and after."""
    for followed in _followed(check):
        yield from (("before", door) for door in followed.before.values())
        yield from (("after", door) for ways in followed.tries for door in ways.values())


@gate("guarded-imports", "Guarded imports resolve from their new home", prepare=session)
def guarded_imports(check: Check) -> Iterator[Failure]:
    asked, told = session(check), set()
    for followed in _followed(check):
        new, place = followed.new, (followed.new.source.path, followed.new.node.lineno)
        if place not in told and (result := _broken(check, asked, followed)) is not None:
            told.add(place)
            yield Failure(*place, _sentence(check, followed.old, new, followed.meant, result))


def guards_of(source: Source) -> Iterator[Guarded]:
    """The imports of a file that stand in a `try` that catches their failure, or under `contextlib.suppress`."""

    def visit(body: Iterable[ast.AST], scope: tuple[str, ...], guard: list[ast.AST] | None) -> Iterator[Guarded]:
        for node in body:
            match node:
                case ast.Import() | ast.ImportFrom():
                    if guard is not None:
                        other = [n for n in statements_in(guard) if isinstance(n, ast.Import | ast.ImportFrom)]
                        yield Guarded(Import(source, node, scope), tuple(Import(source, n, scope) for n in other))
                case ast.Try(body=tried) | ast.TryStar(body=tried) if any(_catches(h.type) for h in node.handlers):
                    yield from visit(tried, scope, [s for h in node.handlers for s in h.body])
                    yield from visit([*node.handlers, *node.orelse, *node.finalbody], scope, guard)
                case ast.With(items=items, body=inner) if any(_suppresses(i.context_expr) for i in items):
                    yield from visit(inner, scope, [])
                case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                    yield from visit(node.body, (*scope, name), None)
                case ast.ClassDef(name=name):
                    yield from visit(node.body, (*scope, name), guard)
                case _:
                    yield from visit(blocks_of(node), scope, guard)

    yield from visit(source.tree.body, (), None)


def _catches(caught: ast.expr | None) -> bool:
    if isinstance(caught, ast.Tuple):
        return any(_catches(e) for e in caught.elts)
    return caught is None or _last(caught) in CATCHING


def _suppresses(context: ast.expr) -> bool:
    return (
        isinstance(context, ast.Call) and _last(context.func) == "suppress" and any(_catches(a) for a in context.args)
    )


def _last(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _followed(check: Check) -> list[Followed]:
    """The guarded imports at stake, each with what stands for it now. Found once a check."""
    known: list[Followed] | None = check.__dict__.get("_guarded")
    if known is None:
        known = check.__dict__["_guarded"] = list(_found(check))
    return known


def _found(check: Check) -> Iterator[Followed]:
    roots = check.plan.python.roots
    for path in sorted(touched_before(check)):
        source = python_of(check.before, path)
        for guarded in guards_of(source) if source is not None else ():
            old, hints = guarded.first, modules.path_hints(guarded.first.source)
            meant = frozenset(imported_files(check.before, old.node, path, roots, hints))
            for home in _homes(check, path, old.scope) if meant else ():
                after = python_of(check.after, home)
                for now in guards_of(after) if after is not None else ():
                    if now.first.scope == old.scope and now.first.names & old.names:
                        tries = tuple(_ways(check, statement) for statement in now.binding(old.names))
                        yield Followed(old, _ways(check, old), meant, now.first, tries)


def _homes(check: Check, path: str, scope: tuple[str, ...]) -> list[str]:
    """Where code of a file may stand now: there, where the file went, where its definitions went; in a function, where that went."""
    found, todo = set[str](), [path]
    while todo:
        here = todo.pop()
        if here not in found:
            found.add(here)
            todo += [s.target for s in check.plan.step if isinstance(s, MoveModule) and s.source == here]
            todo += [
                m.target for m in check.moved if m.source == here and (not scope or scope[0] in m.name.split(", "))
            ]
    return sorted(home for home in found if check.after.exists(home))


def _ways(check: Check, statement: Import) -> Ways:
    """The doors to a statement by what does not change when its text does."""
    doors = doors_to_statement(statement.source, statement.node, check.plan.python.roots)
    return {(door.name, door.entries, door.cwd): door for door in doors}


def _broken(check: Check, asked: Session, followed: Followed) -> DoorResult | None:
    """What came of a way that leads nowhere now, where a way led to the module before: the same one, or, in a new home, any."""
    staying = followed.meant - set(check.touched)
    dead: dict[Way, DoorResult] = {}
    for way in followed.ways:
        results = [asked.result("after", ways[way]) for ways in followed.tries if way in ways]
        if not any(r.ok and (not staying or staying & set(r.loaded)) for r in results):
            dead[way] = results[0]
    if not dead:
        return None
    before = {way: asked.result("before", door) for way, door in followed.before.items()}
    led = {way for way, result in before.items() if result.ok and followed.meant & set(result.loaded)}
    if followed.old.source.path != followed.new.source.path:
        return next(iter(dead.values())) if led else None
    return next((result for way, result in dead.items() if way in led), None)


def _sentence(check: Check, old: Import, new: Import, meant: frozenset[str], result: DoorResult) -> str:
    was = (
        f"; before, as `{old.text}` in {old.source.path}:{old.node.lineno}, it was"
        if old.text != new.text
        else "; before, it was"
    )
    names = [
        n for f in sorted(meant) if check.after.exists(f) and (n := modules.dotted_name(f, check.plan.python.roots))
    ]
    why = "it finds something else" if result.ok else result.why
    advice = f"; import it by its full name, {' or '.join(names)}" if names else ""
    return f"`{new.text}` does not resolve, and the fallback takes over without a word: {why}{was} {', '.join(sorted(meant))}{advice}"
