"""Each module that the migration made or changed can be the first one that a fresh interpreter imports."""

from __future__ import annotations

from collections.abc import Iterator

from migration.gates import Check, Failure, gate
from migration.probe import Door, DoorResult
from migration.probe.doors import door_before, doors_into, touched_modules
from migration.probe.session import Side, asks, broke, session


@asks
def entrances(check: Check) -> Iterator[tuple[Side, Door]]:
    """The ways into every touched module, after and, where it was there, before."""
    for path in touched_modules(check):
        for door in doors_into(check.after, path, check.plan.python.roots):
            yield "after", door
            if (before := door_before(check, door)) is not None:
                yield "before", before


@gate("import-order", "Each new or changed module imports first, in a fresh process", prepare=session)
def import_order(check: Check) -> Iterator[Failure]:
    asked = session(check)
    doors = [(p, door) for p in touched_modules(check) for door in doors_into(check.after, p, check.plan.python.roots)]
    failed_before = {(r.error, r.message) for _, door in doors if (r := asked.before(door)) is not None and not r.ok}
    for path, door in doors:
        after, before = asked.result("after", door), asked.before(door)
        if not after.ok and not _never_worked(before, after):
            # What has come out of a module that could not be imported may fail for the same reason.
            inherited = before is None and (after.error, after.message) in failed_before
            fatal = broke(before, after) and not inherited
            yield Failure(path, _line(after, path), _sentence(door, before, after), fatal)


def _never_worked(before: DoorResult | None, after: DoorResult) -> bool:
    """Whether the same complaint was there before: nothing to tell anyone."""
    return before is not None and not before.ok and (before.error, before.message) == (after.error, after.message)


def _line(result: DoorResult, path: str) -> int | None:
    return next((line for file, line in result.chain if file == path), None)


def _sentence(door: Door, before: DoorResult | None, after: DoorResult) -> str:
    how = f"run as a script from {door.entries[0]}/" if door.kind == "script" else f"imported first, as {door.name!r}"
    then = "" if before is None else "; it worked before" if before.ok else f"; it failed before too, with {before.why}"
    doubt = (
        "; this may be the fault of a stand-in for a package, try it where everything is installed"
        if after.limitation
        else ""
    )
    return f"{how}: {after.why}{then}{doubt}"
