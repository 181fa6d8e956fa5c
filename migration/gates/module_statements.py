"""What a module did on import is still done: once, by whichever door one comes in, and before the code that needs it.

A statement that acts on an imported name (`torch.set_float32_matmul_precision(…)`, `os.environ[…] = …`) sets up the process, so
every module that the definitions went to has to run it, first. Other statements belong to the source and run through its doors.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from migration.analysis import modules
from migration.analysis.bound_names import bound_names
from migration.analysis.source import Source, statements_in
from migration.analysis.units import BUILTINS, Unit, is_main_guard, is_script, units_of
from migration.extraction.layout import acted_on
from migration.extraction.names import Scope
from migration.gates import Check, Failure, gate
from migration.plan import ExtractSymbols, MoveModule
from migration.probe import Door, DoorResult
from migration.probe.doors import doors_into
from migration.probe.importers import top_level
from migration.probe.session import Session, Side, asks, session

Place = tuple[str, int, int]
OF_THE_MODULE = frozenset({"__name__", "__file__", "__spec__", "__package__", "globals", "locals"})


@dataclass(frozen=True)
class Extraction:
    """A source as it was, where it is now, and where its definitions went."""

    before: Source
    path: str
    targets: tuple[str, ...]
    named: frozenset[str]

    @cached_property
    def scope(self) -> Scope:
        return Scope(tuple(units_of(self.before)))

    @property
    def effects(self) -> Iterator[Effect]:
        """The statements that do something, one by one, `sys.path` lines included."""
        setup = [] if self.path.endswith("__init__.py") else list(_setting_up(self.scope, self.named))
        for unit in self.scope.units:
            for node in unit.nodes if unit.sort in ("effect", "path") else ():
                if _does_something(node):
                    yield Effect(self, unit, node, unit in setup)


@dataclass(frozen=True)
class Effect:
    """A module-level statement of a source that does something. `everywhere`: whoever takes a definition out relies on it."""

    of: Extraction
    unit: Unit
    node: ast.stmt
    everywhere: bool

    @property
    def place(self) -> Place:
        return self.of.before.path, self.node.lineno, self.node.col_offset

    @cached_property
    def packages(self) -> frozenset[str]:
        """The top-level packages whose state it changes; empty where it changes no imported object."""
        found: set[str] = set()
        for root in acted_on([self.node]):
            provider = self.of.scope.provider(root, self.unit)
            if provider is None or "import" not in provider.sort:
                return frozenset()
            for node in statements_in(provider.nodes):
                if isinstance(node, ast.Import | ast.ImportFrom) and root in bound_names(node):
                    found |= _packages(node)
        return frozenset(found)

    def __str__(self) -> str:
        text = ast.unparse(self.node).partition("\n")[0]
        return f"`{text if len(text) <= 72 else text[:69] + '…'}`"


@asks
def doors(check: Check) -> Iterator[tuple[Side, Door]]:
    """The ways into each source, before and after, and into each module that its definitions went to."""
    for extraction in _extractions(check):
        for path in (extraction.path, *extraction.targets):
            for door in _doors(check, path):
                yield "after", door
                if path == extraction.before.path:
                    yield "before", door


@gate(
    "module-statements", "Module-level statements still run, once, and before the code that needs them", prepare=session
)
def module_statements(check: Check) -> Iterator[Failure]:
    asked = session(check)
    for extraction in _extractions(check):
        yield from _main_guard(check, extraction)
        for effect in extraction.effects:
            places, expected = _places(check, effect), _stood(check, effect)
            if len(places) != expected:
                yield _miscounted(effect, places, expected)
            else:
                yield from _runs(check, asked, effect, places)


# what there is


def _extractions(check: Check) -> list[Extraction]:
    """Every source that symbols are extracted from. Found once a check."""
    known: list[Extraction] | None = check.__dict__.get("_extractions")
    if known is None:
        known = check.__dict__["_extractions"] = list(_found(check))
    return known


def _found(check: Check) -> Iterator[Extraction]:
    steps = [s for s in check.plan.step if isinstance(s, ExtractSymbols)]
    came = {s.target: s.source for s in check.plan.step if isinstance(s, MoveModule)}
    went = {s.source: s.target for s in check.plan.step if isinstance(s, MoveModule)}
    for path in dict.fromkeys(s.source for s in steps):
        mine = [s for s in steps if s.source == path]
        old = path if check.before.exists(path) else came.get(path, path)
        paths = [
            p if check.after.exists(p) else went.get(p, p) for p in dict.fromkeys([path, *(s.target for s in mine)])
        ]
        there = [p for p in paths if p in check.touched_python and check.after.source(p).parses]
        if paths[0] in there and check.before.exists(old) and check.before.source(old).parses:
            named = frozenset(symbol for s in mine for symbol in s.symbols)
            yield Extraction(check.before.source(old), there[0], tuple(there[1:]), named)


def _doors(check: Check, path: str) -> list[Door]:
    """Every way into a file; by its path, too, where a package's file is written to be run so."""
    roots = check.plan.python.roots
    found = list(doors_into(check.after, path, roots))
    if is_script(check.after.source(path)):
        found.append(Door("script", "", path, tuple(dict.fromkeys((modules.folder_of(path), *roots)))))
    return list(dict.fromkeys(found))


def _setting_up(scope: Scope, gone: frozenset[str]) -> Iterator[Unit]:
    """The statements that need imports and plain constants only, down to the first that needs more: what stands below that
    one may count on what it did.
    """
    for unit in scope.units:
        if unit.sort != "effect":
            continue
        roots = acted_on(unit.nodes)
        if (
            roots
            and all(_sort_of(scope, unit, r) == "import" for r in roots)
            and _needs_no_definition(scope, unit, gone)
        ):
            yield unit
        elif unit.needs - BUILTINS:
            return


def _needs_no_definition(scope: Scope, unit: Unit, gone: frozenset[str]) -> bool:
    """Whether imports, and constants that are made of imports and are not among the `gone`, are all that it needs."""
    for name in unit.needs - unit.binds:
        sort, provider = _sort_of(scope, unit, name), scope.provider(name, unit)
        if name in OF_THE_MODULE or sort == "other":
            return False
        if sort == "assignment" and provider is not None:
            plain = len(scope.binders[name]) == 1 and name not in gone
            if not plain or not _needs_no_definition(scope, provider, gone):
                return False
    return True


def _sort_of(scope: Scope, unit: Unit, name: str) -> str:
    provider = scope.provider(name, unit)
    if provider is None:
        return "builtin"
    return "import" if "import" in provider.sort else "assignment" if provider.sort == "assignment" else "other"


def _does_something(node: ast.stmt) -> bool:
    if isinstance(node, ast.Assign):
        return any(isinstance(n, ast.Attribute | ast.Subscript) for t in node.targets for n in ast.walk(t))
    idle = isinstance(
        node,
        ast.Import | ast.ImportFrom | ast.AnnAssign | ast.Pass | ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef,
    )
    return not idle and not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))


# where it is now


def _main_guard(check: Check, extraction: Extraction) -> Iterator[Failure]:
    guard = next((n for n in extraction.before.tree.body if is_main_guard(n)), None)
    if guard is not None and not any(is_main_guard(n) for n in check.after.source(extraction.path).tree.body):
        yield Failure(
            extraction.path,
            None,
            f"the main guard of line {guard.lineno} is gone: run as a script, this does nothing now",
        )


def _stood(check: Check, effect: Effect) -> int:
    """How often the statement stood in the sources."""
    return sum(len(_occurrences(e.before, [effect.node])) for e in _extractions(check))


def _places(check: Check, effect: Effect) -> list[Place]:
    """Where the statement stands now: in the sources, and in files that it has come to."""
    found: list[Place] = []
    sources = [e.path for e in _extractions(check)]
    for path in dict.fromkeys([effect.of.path, *check.touched_python]):
        old = check.before.source(path) if check.before.exists(path) and path not in sources else None
        stood = len(_occurrences(old, [effect.node])) if old is not None else 0
        found += _occurrences(check.after.source(path), [effect.node, *_rewritten(check, effect)])[stood:]
    return found


def _occurrences(source: Source, nodes: list[ast.stmt]) -> list[Place]:
    """Module-level statements of a file that are one of `nodes`, but for how they are laid out and where imports in them lead."""
    keys, kinds = {_key(n) for n in nodes}, tuple({type(n) for n in nodes})
    same = [n for n in source.tree.body if isinstance(n, kinds) and _key(n) in keys] if source.parses else []
    return [(source.path, n.lineno, n.col_offset) for n in same]


def _key(node: ast.stmt) -> str:
    tree = ast.parse(ast.unparse(node))
    for inner in ast.walk(tree):
        if isinstance(inner, ast.Import | ast.ImportFrom):
            inner.names = [ast.alias(name) for name in sorted(bound_names(inner))]
        if isinstance(inner, ast.ImportFrom):
            inner.module, inner.level = None, 0
    return ast.dump(tree)


def _rewritten(check: Check, effect: Effect) -> list[ast.stmt]:
    """The statement with the lines in it that steps say they changed."""
    old = new = ast.get_source_segment(effect.of.before.text, effect.node) or ""
    for finding in (f for o in check.outcomes.values() for f in o.findings):
        before, after = finding.before.strip(), finding.after.strip()
        if finding.level == "change" and finding.path == effect.of.before.path and before and before in old:
            new = new.replace(before, after)
    try:
        return ast.parse(new).body if new != old else []
    except SyntaxError:
        return []


def _miscounted(effect: Effect, places: list[Place], expected: int) -> Failure:
    stood = effect.of.before.path, effect.node.lineno
    if not places:
        return Failure(*stood, f"{effect} stood here and is nowhere now; it has to run as it did")
    listed = ", ".join(f"{path}:{line}" for path, line, _ in places)
    return Failure(
        *places[-1][:2],
        f"{effect}, of {stood[0]}:{stood[1]}, stood {_times(expected)} and stands {_times(len(places))} now: {listed}",
    )


def _times(count: int) -> str:
    return {0: "not at all", 1: "once", 2: "twice"}.get(count, f"{count} times")


# when it runs


def _runs(check: Check, asked: Session, effect: Effect, places: list[Place]) -> Iterator[Failure]:
    """Through each door: as it did before, never more often, and not behind what it stood above."""
    below = _code_below(check, effect, {path for path, _, _ in places}) if effect.everywhere else set()
    for path in (effect.of.path, *effect.of.targets):
        for door in _doors(check, path):
            after, before = asked.result("after", door), asked.before(door)
            if not after.ok or (path == effect.of.path and (before is None or not before.ran.get(effect.place))):
                continue
            stayed = path == effect.of.path == places[0][0]
            yield from _judged(effect, places, after, below, effect.everywhere or stayed)


def _judged(
    effect: Effect, places: list[Place], result: DoorResult, below: set[Place], needed: bool
) -> Iterator[Failure]:
    here, home, door = places[0][:2], effect.of.path, result.door
    how = f"when {door.path} is " + ("run as a script" if door.kind == "script" else f"imported as {door.name}")
    count = sum(result.ran.get(p, 0) for p in places)
    if count > len(places):
        yield Failure(*here, f"{effect} runs {_times(count)} {how}: its file is loaded under two names")
    elif not count and needed:
        yield Failure(
            *here, f"{effect} ran with {home} and does not {how}: what runs it has to be imported there, first"
        )
    elif not count and effect.packages and door.path != home:
        told = (
            f"{effect} does not run {how}, only with {home}; it stands below statements that lean on more than imports"
        )
        yield Failure(*here, told, fatal=False)
    elif count:
        order = list(result.ran)
        first = min(order.index(p) for p in places if p in result.ran)
        if late := next((p for p in order[:first] if p in below), None):
            yield Failure(
                *here, f"{effect} runs too late {how}: {late[0]}:{late[1]}, which it stood above, runs before it"
            )


def _code_below(check: Check, effect: Effect, homes: set[str]) -> set[Place]:
    """What must not run before the statement: definitions that moved, definitions that stayed below it, and imports from
    below it that may go by what it changes (`os.environ[…]` above `import torch`).
    """
    scope, found = effect.of.scope, set[Place]()
    for path in {effect.of.path, *effect.of.targets, *homes}:
        arrived = path != effect.of.path and check.before.exists(path)
        there = top_level(check.before.source(path)) if arrived else frozenset()
        for node in check.after.source(path).tree.body:
            names = bound_names(node) - there
            if not names or not names <= scope.binders.keys() or names & effect.unit.needs:
                continue
            lower = all(u.index > effect.unit.index for n in names for u in scope.binders[n])
            if isinstance(node, ast.Import | ast.ImportFrom):
                tells = (
                    lower
                    and effect.packages <= sys.stdlib_module_names
                    and not _packages(node) <= sys.stdlib_module_names
                )
            else:
                tells = lower or path in effect.of.targets
            if tells:
                found.add((path, node.lineno, node.col_offset))
    return found


def _packages(node: ast.Import | ast.ImportFrom) -> frozenset[str]:
    """The top-level packages that an import names; "." is this one."""
    if isinstance(node, ast.ImportFrom):
        return frozenset({"." if node.level else (node.module or "").partition(".")[0]})
    return frozenset(a.name.partition(".")[0] for a in node.names)
