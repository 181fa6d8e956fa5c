"""What a module did on import is still done: once, by whichever door one comes in, and before the code that needs it.

A statement that acts on an imported name (`torch.set_float32_matmul_precision(…)`, `os.environ[…] = …`) sets up the process, so
every module that the definitions went to has to run it, first. Other statements belong to the source and run through its doors.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator
from dataclasses import dataclass

from migration.analysis import modules
from migration.analysis.bound_names import bound_names
from migration.analysis.source import Source, statements_in
from migration.analysis.units import is_main_guard, is_script
from migration.extraction.effects import Effect, effects_of
from migration.gates import Check, Failure, gate
from migration.plan import ExtractSymbols, MoveModule
from migration.probe import Door, DoorResult
from migration.probe.doors import doors_into
from migration.probe.importers import top_level
from migration.probe.session import Session, Side, asks, session

Place = tuple[str, int, int]


@dataclass(frozen=True)
class Extraction:
    """A source as it was, where it is now, and where its definitions went."""

    before: Source
    path: str
    targets: tuple[str, ...]
    effects: tuple[Effect, ...]


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
            places, expected = _places(check, extraction, effect), _stood(check, effect)
            if len(places) != expected:
                yield _miscounted(effect, places, expected)
            else:
                yield from _runs(check, asked, extraction, effect, places)


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
            source = check.before.source(old)
            yield Extraction(source, there[0], tuple(there[1:]), tuple(effects_of(source, named)))


def _doors(check: Check, path: str) -> list[Door]:
    """Every way into a file; by its path, too, where a package's file is written to be run so."""
    roots = check.plan.python.roots
    found = list(doors_into(check.after, path, roots))
    if is_script(check.after.source(path)):
        found.append(Door("script", "", path, tuple(dict.fromkeys((modules.folder_of(path), *roots)))))
    return list(dict.fromkeys(found))


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
    return sum(len(_occurrences(e.before, effect.node)) for e in _extractions(check))


def _places(check: Check, extraction: Extraction, effect: Effect) -> list[Place]:
    """Where the statement stands now: in the sources, and in files that it has come to."""
    paths = dict.fromkeys([extraction.path, *check.touched_python])
    for node in (effect.node, _rewritten(check, effect)):
        if node is not None and (found := [place for path in paths for place in _arrived(check, path, node)]):
            return found
    return []


def _arrived(check: Check, path: str, node: ast.stmt) -> list[Place]:
    sources = {e.path for e in _extractions(check)}
    old = check.before.source(path) if check.before.exists(path) and path not in sources else None
    return _occurrences(check.after.source(path), node)[len(_occurrences(old, node)) if old is not None else 0 :]


def _occurrences(source: Source, node: ast.stmt) -> list[Place]:
    """Module-level statements of a file that are `node`, but for how they are laid out and where imports in them lead."""
    same = [n for n in source.tree.body if type(n) is type(node)] if source.parses else []
    return [(source.path, n.lineno, n.col_offset) for n in same if _key(n) == _key(node)]


def _key(node: ast.stmt) -> str:
    key = ast.dump(node)
    if "Import" not in key:
        return key
    tree = copy.deepcopy(node)
    for inner in statements_in([tree]):
        if isinstance(inner, ast.Import | ast.ImportFrom):
            inner.names = [ast.alias(name) for name in sorted(bound_names(inner))]
        if isinstance(inner, ast.ImportFrom):
            inner.module, inner.level = None, 0
    return ast.dump(tree)


def _rewritten(check: Check, effect: Effect) -> ast.stmt | None:
    """The statement with the lines in it that steps say they changed."""
    source = effect.unit.source
    old = new = source.text[slice(*source.span(effect.node))]
    for finding in (f for o in check.outcomes.values() for f in o.findings):
        before, after = finding.before.strip(), finding.after.strip()
        if finding.level == "change" and finding.path == source.path and before and before in old:
            new = new.replace(before, after)
    try:
        return ast.parse(new).body[0] if new != old else None
    except (SyntaxError, IndexError):
        return None


def _miscounted(effect: Effect, places: list[Place], expected: int) -> Failure:
    stood = effect.place[:2]
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


def _runs(
    check: Check, asked: Session, extraction: Extraction, effect: Effect, places: list[Place]
) -> Iterator[Failure]:
    """Through each door: as it did before, never more often, and not behind what it stood above."""
    below = (
        _code_below(check, extraction, effect, {path for path, _, _ in places})
        if effect.everywhere
        else _prepared(check, extraction, effect)
    )
    for path in (extraction.path, *extraction.targets):
        for door in _doors(check, path):
            after, before = asked.result("after", door), asked.before(door)
            if not after.ok or (path == extraction.path and (before is None or not before.ran.get(effect.place))):
                continue
            stayed = path == extraction.path == places[0][0]
            yield from _judged(effect, extraction.path, places, after, below, effect.everywhere or stayed)


def _judged(
    effect: Effect, home: str, places: list[Place], result: DoorResult, below: set[Place], needed: bool
) -> Iterator[Failure]:
    here, door = places[0][:2], result.door
    how = f"when {door.path} is " + ("run as a script" if door.kind == "script" else f"imported as {door.name}")
    count = sum(result.ran.get(p, 0) for p in places)
    if count > len(places):
        yield Failure(*here, f"{effect} runs {_times(count)} {how}: its file is loaded under two names")
    elif not count and needed:
        yield Failure(
            *here, f"{effect} ran with {home} and does not {how}: what runs it has to be imported there, first"
        )
    elif not count and (made := next((p for p in result.ran if p in below), None)):
        told = f"{effect} stood above {made[0]}:{made[1]}, which may go by it, and does not run {how}"
        yield Failure(*here, f"{told}: leave both in {home}, or move both by hand")
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


def _prepared(check: Check, extraction: Extraction, effect: Effect) -> set[Place]:
    """Constants that moved away from below a statement that stays, and are made by calls that may go by what it sets up."""
    if not effect.packages:
        return set()
    units = [u for u in effect.scope.units if u.index > effect.unit.index and u.sort == "assignment"]
    names = {name for u in units if effect.matters_to(u) for name in u.binds}
    return {
        (path, node.lineno, node.col_offset)
        for path in extraction.targets
        for node in check.after.source(path).tree.body
        if isinstance(node, ast.Assign | ast.AnnAssign) and names & bound_names(node)
    }


def _code_below(check: Check, extraction: Extraction, effect: Effect, homes: set[str]) -> set[Place]:
    """What must not run before the statement: definitions that moved, and what stood below it and may go by what it sets up."""
    found: set[Place] = set()
    binders = effect.scope.binders
    lower = {u.index for u in effect.scope.units if u.index > effect.unit.index and effect.matters_to(u)}
    waiting = {name for name, units in binders.items() if lower.issuperset(u.index for u in units)}
    imported = {name for name, units in binders.items() if all("import" in u.sort for u in units)}
    for path in {extraction.path, *extraction.targets, *homes}:
        arrived = path != extraction.path and check.before.exists(path)
        there = top_level(check.before.source(path)) if arrived else frozenset()
        for node in check.after.source(path).tree.body:
            names = bound_names(node) - there
            if not names or not names <= binders.keys() or names & effect.unit.needs:
                continue
            if names <= waiting or (path in extraction.targets and not names <= imported):
                found.add((path, node.lineno, node.col_offset))
    for other in extraction.effects:
        if other.unit.index in lower and not other.everywhere:
            found.update(_places(check, extraction, other))
    return found
