"""Every importer found before still resolves: its import statements, as they read now, are executed in its place.

Only the statement, and the lines by which the file arranges its path, are executed: analysis scripts work at module level.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from migration.analysis.source import Source
from migration.analysis.units import units_of
from migration.extraction.texts import literal_all
from migration.gates import Check, Failure, gate
from migration.probe import Door, DoorResult
from migration.probe.doors import doors_to_statement
from migration.probe.importers import DottedName, Import, dotted_names, imported_files, importers, top_level
from migration.probe.session import Session, Side, asks, session

Way = tuple[str, str]
Ways = dict[Way, Door]
ROOTLESS = "script without the roots"


@dataclass(frozen=True)
class Followed:
    """An import statement as it was, the ways to it, and those to one that has taken its place."""

    old: Import
    new: Import
    before: Ways
    after: Ways

    @property
    def stayed(self) -> bool:
        return self.old.source.path == self.new.source.path

    def questions(self) -> Iterator[tuple[Side, Door]]:
        yield from (("before", door) for door in self.before.values())
        yield from (("after", door) for door in self.after.values())


@asks
def statements(check: Check) -> Iterator[tuple[Side, Door]]:
    """The statements of each file in one go, by every way into it; and each dotted name. How it was before is asked where
    something does not open now, which is usual without the roots.
    """
    for go in _goes(_followed(check), "after"):
        yield "after", go.door
    rootless = [replace(f, before={w: d for w, d in f.before.items() if w[0] == ROOTLESS}) for f in _followed(check)]
    for go in _goes(rootless, "before"):
        yield "before", go.door
    for name in dotted_names(check):
        yield "after", _dotted_door(name)


@gate("importers-resolve", "Every importer found before still resolves", prepare=session)
def importers_resolve(check: Check) -> Iterator[Failure]:
    asked = session(check)
    now = {door for go in _goes(_followed(check), "after") for door in go.opened(asked)}
    closed = [f for f in _followed(check) if not now.issuperset(f.after.values())]
    goes = _goes(closed, "before")
    asked.ask(("before", go.door) for go in goes)
    then = {door for go in goes for door in go.opened(asked)}
    doubtful = [f for f in closed if not _plainly_resolves(f, then, now)]
    asked.ask(question for followed in doubtful for question in followed.questions())
    for followed in doubtful:
        before = {way: asked.result("before", door) for way, door in followed.before.items()}
        after = {way: asked.result("after", door) for way, door in followed.after.items()}
        yield from _judge(followed, before, after)
    for name in dotted_names(check):
        yield from _judge_dotted(asked, name)


def _followed(check: Check) -> list[Followed]:
    """The imports at stake. Found once a check."""
    known: list[Followed] | None = check.__dict__.get("_followed")
    if known is None:
        known = check.__dict__["_followed"] = []
        for old, news in importers(check):
            names = _names_at_stake(check, old)
            for new in news:
                meant = (
                    names if "*" not in new.names or new.text == old.text else frozenset()
                )  # many stars, each its own
                known.append(Followed(old, new, _doors(check, old, meant), _doors(check, new, meant)))
    return known


@dataclass(frozen=True)
class Go:
    """A door to several statements of a file, function by function, each tried after the other."""

    side: Side
    door: Door
    codes: tuple[str, ...]

    @classmethod
    def through(cls, side: Side, doors: list[Door]) -> Go:
        codes = tuple(dict.fromkeys(door.code for door in doors))
        tries = (
            f"try:\n    exec({code!r})\n    opened_{n} = True\nexcept BaseException:\n    pass"
            for n, code in enumerate(codes)
        )
        return cls(side, replace(doors[0], code="\n".join(tries)), codes)

    def opened(self, asked: Session) -> Iterator[Door]:
        """The doors to the single statements that opened."""
        names = asked.result(self.side, self.door).names
        return (replace(self.door, code=code) for n, code in enumerate(self.codes) if f"opened_{n}" in names)


def _goes(followed: list[Followed], side: Side) -> list[Go]:
    found: dict[tuple[str, Way, tuple[str, ...]], list[Door]] = {}
    for one in followed:
        statement, ways = (one.old, one.before) if side == "before" else (one.new, one.after)
        for way, door in ways.items():
            found.setdefault((door.path, way, statement.scope), []).append(door)
    return [Go.through(side, doors) for doors in found.values()]


def _plainly_resolves(followed: Followed, then: set[Door], now: set[Door]) -> bool:
    """Whether there is nothing to say about an import, going by what opened when a file's statements were tried in a row."""
    before = {way for way, door in followed.before.items() if door in then}
    after = {way for way, door in followed.after.items() if door in now}
    if not followed.stayed:
        return next(iter(followed.after), None) in after
    return before & followed.after.keys() <= after and bool(after)


def _names_at_stake(check: Check, old: Import) -> frozenset[str]:
    """What the imported modules defined before; attributes of these names are asked for, too."""
    sources = map(
        check.before.source, imported_files(check.before, old.node, old.source.path, check.plan.python.roots, [])
    )
    if "*" in old.names:
        return frozenset().union(*(_handed_out(source) for source in sources))
    return frozenset().union(*map(top_level, sources))


def _handed_out(source: Source) -> frozenset[str]:
    """What a star import brings, as far as the module defines it itself."""
    listed = literal_all(units_of(source)) if source.parses else None
    return top_level(source) if listed is None else top_level(source) & set(listed)


def _doors(check: Check, statement: Import, names: frozenset[str]) -> Ways:
    """The doors to a statement by what they are: as a module or script, with or without the roots, from which folder."""
    roots = check.plan.python.roots
    found: Ways = {}
    for door in doors_to_statement(statement.source, statement.node, roots, statement.uses(names)):
        rooted = all(root in door.entries for root in roots)
        kind = "module" if door.name != "__main__" else "script" if rooted else ROOTLESS
        found[kind, "top" if door.cwd == "." else "own folder"] = door
    return found


def _judge(followed: Followed, before: dict[Way, DoorResult], after: dict[Way, DoorResult]) -> Iterator[Failure]:
    """What worked before works now, way by way; in a new home, the ways in are new, so the first of them has to work."""
    old, new, stayed = followed.old, followed.new, followed.stayed
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
