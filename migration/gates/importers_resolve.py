"""Every importer found before still resolves: its import statements, as they read now, are executed in its place.

Only the statement, and the lines by which the file arranges its path, are executed: analysis scripts work at module level.
"""

from __future__ import annotations

from collections.abc import Iterator

from migration.gates import Check, Failure, gate
from migration.probe import Door, DoorResult
from migration.probe.doors import doors_to_statement
from migration.probe.importers import DottedName, Import, dotted_names, imported_files, importers, top_level
from migration.probe.session import Session, Side, asks, session

Way = tuple[str, str]


@asks
def statements(check: Check) -> Iterator[tuple[Side, Door]]:
    """The doors to each importer's statements, before and after, and to each dotted name."""
    for old, news in importers(check):
        names = _names_at_stake(check, old)
        yield from (("before", door) for door in _doors(check, old, names).values())
        for new in news:
            yield from (("after", door) for door in _doors(check, new, names).values())
    for name in dotted_names(check):
        yield "after", _dotted_door(name)
        yield "before", _dotted_door(name)


@gate("importers-resolve", "Every importer found before still resolves")
def importers_resolve(check: Check) -> Iterator[Failure]:
    asked = session(check)
    for old, news in importers(check):
        names = _names_at_stake(check, old)
        before = {way: asked.result("before", door) for way, door in _doors(check, old, names).items()}
        for new in news:
            after = {way: asked.result("after", door) for way, door in _doors(check, new, names).items()}
            yield from _judge(old, new, before, after)
    for name in dotted_names(check):
        yield from _judge_dotted(asked, name)


def _names_at_stake(check: Check, old: Import) -> frozenset[str]:
    """What the imported modules defined before; attributes of these names are asked for, too."""
    files = imported_files(check.before, old.node, old.source.path, check.plan.python.roots, [])
    return frozenset().union(*(top_level(check.before.source(file)) for file in files))


def _doors(check: Check, statement: Import, names: frozenset[str]) -> dict[Way, Door]:
    """The doors to a statement by what they are: as a module or script, with or without the roots, from which folder."""
    roots = check.plan.python.roots
    found: dict[Way, Door] = {}
    for door in doors_to_statement(statement.source, statement.node, roots, statement.uses(names)):
        rooted = all(root in door.entries for root in roots)
        kind = "module" if door.name != "__main__" else "script" if rooted else "script without the roots"
        found[kind, "top" if door.cwd == "." else "own folder"] = door
    return found


def _judge(old: Import, new: Import, before: dict[Way, DoorResult], after: dict[Way, DoorResult]) -> Iterator[Failure]:
    """What worked before works now, way by way; in a new home, the ways in are new, so the first of them has to work."""
    stayed = old.source.path == new.source.path
    worked = any(result.ok for result in before.values())
    failing = [
        result
        for way, result in after.items()
        if not result.ok and (before[way].ok if stayed and way in before else worked and not stayed)
    ]
    if not stayed:
        failing = failing[:1] if after and not next(iter(after.values())).ok else []
    path, line = new.source.path, new.node.lineno
    if failing:
        was = "" if stayed and old.text == new.text else f", as `{old.text}` in {old.source.path}:{old.node.lineno}"
        yield Failure(path, line, f"`{new.text}` worked before{was}, and does not now: {failing[0].why}")
    elif not worked and after and not any(result.ok for result in after.values()):
        yield Failure(
            path, line, f"`{new.text}` did not resolve before either: {next(iter(after.values())).why}", fatal=False
        )


def _dotted_door(name: DottedName) -> Door:
    code = f"import pkgutil\npkgutil.resolve_name({name.text!r})"
    return Door("statements", "__main__", name.path, name.folders, code)


def _judge_dotted(asked: Session, name: DottedName) -> Iterator[Failure]:
    """A name that stayed has to mean something if it did; one that was written by the migration has to."""
    after = asked.result("after", _dotted_door(name))
    if after.ok or (name.was_there and not asked.result("before", _dotted_door(name)).ok):
        return
    told = "resolved before and does not now" if name.was_there else "was put there and does not resolve"
    yield Failure(
        name.path,
        name.line,
        f"the dotted name {name.text!r} {told}: {after.why}",
        fatal=name.was_there or not after.limitation,
    )
