"""A user's rules: a TOML file of rows that are added to the built-in rules.

    [[rule]]
    name = "readout became readouts.0"
    rename = { from = "model.readout.", to = "model.readouts.0." }

A row has a name and one of: `rename` (a prefix, by whole parts of the name, `{from, to}`; or a `pattern` with `to` as its replacement), `drop`
(weights under a prefix), `rename_hyper_parameter` (`{from, to}`), `set_hyper_parameter` (`{name, value}`), `drop_hyper_parameter` (a name),
`replace_global` (`{from, to}`: a class or function, or an object of it, becomes this text). `why` and `since` may stand beside it.
"""

from __future__ import annotations

import datetime
import re
import tomllib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

from legacy.checkpoint.errors import CheckpointError
from legacy.checkpoint.kinds import hyper_parameters
from legacy.checkpoint.names import LOADABLE
from legacy.checkpoint.parts import state_dicts
from legacy.checkpoint.records import ABSENT, Call, Global, Storage, name_of
from legacy.checkpoint.rules.registry import Work
from legacy.checkpoint.rules.weights import rename, rename_in_optimizers

_PAIR: Final[dict[str, type]] = {"from": str, "to": str}
_KINDS: Final[dict[str, dict[str, type] | type]] = {
    "rename": _PAIR,
    "drop": str,
    "rename_hyper_parameter": _PAIR,
    "set_hyper_parameter": {"name": str, "value": object},
    "drop_hyper_parameter": str,
    "replace_global": _PAIR,
}
_BESIDE: Final = {"name", "why", "since"}


@dataclass(frozen=True, slots=True)
class Row:
    """One rule of a file."""

    name: str
    kind: str
    value: Any
    text: Mapping[str, Any]  # as it stands in the file


def load(path: Path) -> list[Row]:
    """The rows of a rules file. Raises `CheckpointError` with the file, the row and the field for anything that is not as above."""
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise CheckpointError(f"{path} cannot be read as rules: {error}") from None
    unknown = sorted(found.keys() - {"rule", "schema"})
    if unknown:
        raise CheckpointError(f"{path} has {unknown[0]!r}, where only [[rule]] tables are expected")
    if found.get("schema", 1) != 1:
        raise CheckpointError(f"{path}: schema {found['schema']!r} is not known: 1 is expected")
    rows = found.get("rule", [])
    if type(rows) is not list or not all(type(row) is dict for row in rows):
        raise CheckpointError(f"{path}: its rules must be [[rule]] tables")
    return parse(rows, str(path))


def parse(rows: list[Any], source: str, *, patterns: bool = True) -> list[Row]:
    """Rows from what stands in a file or in a provenance record. Raises `CheckpointError`.

    patterns: whether they may be; one that somebody else has written can take for ever
    """
    made = [_row(row, f"{source}: rule {number}", patterns) for number, row in enumerate(rows, 1)]
    for name, times in Counter(row.name for row in made).items():
        if times > 1:
            raise CheckpointError(f"{source}: two rules are called {name!r}")
    return made


def _row(row: Any, where: str, patterns: bool) -> Row:
    if type(row) is not dict:
        raise CheckpointError(f"{where} is a {type(row).__name__}, where a table is expected")
    name = row.get("name")
    if type(name) is not str or not name:
        raise CheckpointError(f"{where} has no name: text is expected under `name`")
    where = f"{where} ({name:.100})"
    kinds = [key for key in row if key not in _BESIDE]
    for key in kinds:
        if key not in _KINDS:
            near = get_close_matches(key, _KINDS, 1)
            raise CheckpointError(
                f"{where} has an unknown field {key!r}"
                + (f": {near[0]!r} is meant?" if near else f": known are {', '.join(_KINDS)}")
            )
    if len(kinds) != 1:
        raise CheckpointError(f"{where} does {len(kinds)} things: one of {', '.join(_KINDS)} is expected")
    kind, value = kinds[0], row[kinds[0]]
    wanted = _KINDS[kind]
    if kind == "rename" and type(value) is dict and "pattern" in value:
        wanted = {"pattern": str, "to": str}
        if not patterns:
            raise CheckpointError(
                f"{where} is a pattern, which is only run for those who give it themselves: name the rules file with --rules"
            )
    if isinstance(wanted, dict):
        if type(value) is not dict or value.keys() != wanted.keys():
            raise CheckpointError(f"{where}: {kind} takes {{{', '.join(wanted)}}}")
        wrong = [key for key, sort in wanted.items() if not isinstance(value[key], sort)]
        if wrong:
            raise CheckpointError(f"{where}: {kind}.{wrong[0]} must be text")
        if kind == "set_hyper_parameter" and _has_time(value["value"]):
            raise CheckpointError(
                f"{where}: set_hyper_parameter.value holds a date or a time: write it as text, in quotes"
            )
    elif type(value) is not wanted or not value:
        raise CheckpointError(f"{where}: {kind} must be text")
    if kind == "rename":
        _renamer(value, where)
    if kind == "rename" and value.get("from") == "":
        raise CheckpointError(
            f"{where}: rename.from is empty: use a pattern such as '^' to put something before every name"
        )
    return Row(name, kind, value, row)


def _has_time(value: Any) -> bool:
    if isinstance(value, (dict, list)):
        return any(map(_has_time, value.values() if isinstance(value, dict) else value))
    return isinstance(value, (datetime.date, datetime.time))


def _renamer(value: Mapping[str, str], where: str) -> Callable[[str], str]:
    """What the row makes of a name. A prefix ends where a part of the name does."""
    if "pattern" in value:
        try:
            pattern = re.compile(value["pattern"])
            pattern.sub(value["to"], "")
        except (re.error, IndexError) as error:
            raise CheckpointError(f"{where}: rename.pattern or its `to` is none: {error}") from None
        return lambda name: pattern.sub(value["to"], name)
    old, new = value["from"], value["to"]

    def renamed(name: str) -> str:
        if name == old.removesuffix("."):
            return new.removesuffix(".")
        whole = name.startswith(old) and (old.endswith(".") or name[len(old) : len(old) + 1] == ".")
        done = new.startswith(old) and (name == new or name.startswith(new))  # or the second time would do it again
        return new + name[len(old) :] if whole and not done else name

    return renamed


def apply(work: Work, rows: Sequence[Row]) -> None:
    """Carries the rows out. Two that want one name, and those that match nothing, are warned of."""
    done = [row for row in rows if row.kind == "rename" and "pattern" in row.value and _was_applied(work, row)]
    if done:  # what a pattern makes of a name may match it again
        work.warn(f"not applied again, for the file's provenance has them: {', '.join(repr(row.name) for row in done)}")
        rows = [row for row in rows if row not in done]
    renames = [row for row in rows if row.kind in ("rename", "drop")]
    if renames:
        _apply_to_weights(work, renames)
    for row in rows:
        if row.kind not in ("rename", "drop"):
            work.rule = row.name
            _OTHERS[row.kind](work, row)
    for row in rows:
        if row.name not in work.applied:
            work.warn(f"rule {row.name!r} matched nothing in {work.checkpoint.path}")
    _contested(
        work,
        [row for row in rows if row.kind in ("rename_hyper_parameter", "set_hyper_parameter", "drop_hyper_parameter")],
    )


def _was_applied(work: Work, row: Row) -> bool:
    """Whether a translation that led to this file says that it followed the same rule."""
    provenance = work.checkpoint.provenance
    while isinstance(provenance, dict):
        rules = provenance.get("user_rules")
        if isinstance(rules, list) and row.text in rules:
            return True
        provenance = provenance.get("previous")
    return False


def _contested(work: Work, rows: list[Row]) -> None:
    wanted: dict[str, str] = {}
    for row in rows:
        name = row.value if type(row.value) is str else row.value.get("from") or row.value.get("name")
        first = wanted.setdefault(name, row.name)
        if first != row.name:
            work.warn(f"two rules for the hyper-parameter {name!r}: {first!r} and {row.name!r}, in this order")


def _apply_to_weights(work: Work, rows: list[Row]) -> None:
    renamers = [(row, _renamer(row.value, row.name)) for row in rows if row.kind == "rename"]
    drops = [(row, row.value.removesuffix(".")) for row in rows if row.kind == "drop"]
    contested: dict[str, list[str]] = {}

    def matching(name: str) -> list[tuple[Row, str | None]]:
        found: list[tuple[Row, str | None]] = [(row, new) for row, change in renamers if (new := change(name)) != name]
        return found + [(row, None) for row, prefix in drops if name == prefix or name.startswith(f"{prefix}.")]

    def renamed(name: str) -> str:
        found = matching(name)
        return next((new for _, new in found[:1] if new is not None), name)

    for label, state in state_dicts(work.root):
        for name in [name for name in state if type(name) is str]:
            found = matching(name)
            if len(found) > 1:
                contested[name] = [row.name for row, _ in found]
            if found:
                work.rule = found[0][0].name
                if found[0][1] is None:
                    del state[name]
                work.note(f"{label or 'weights'}: {name} " + (f"→ {found[0][1]}" if found[0][1] else "dropped"))
        rename(work, label, state, renamed)
    rename_in_optimizers(work, renamed)
    for name, names in list(contested.items())[:20]:
        work.warn(f"{len(names)} rules for one name, {name!r}: {', '.join(map(repr, names))}; the first was followed")


def _rename_parameter(work: Work, row: Row) -> None:
    found = hyper_parameters(work.root)
    old, new = row.value["from"], row.value["to"]
    if old not in found:
        return
    if new in found:
        raise CheckpointError(
            f"{work.checkpoint.path} has both hyper-parameters {old!r} and {new!r}: the rule {row.name!r} would lose one"
        )
    items = [(new if key == old else key, value) for key, value in found.items()]
    found.clear()
    found.update(items)
    work.note(f"{old} → {new}")


def _set_parameter(work: Work, row: Row) -> None:
    found = hyper_parameters(work.root)
    name, value = row.value["name"], row.value["value"]
    if isinstance(work.root, dict) and "hyper_parameters" in work.root and (name not in found or found[name] != value):
        found[name] = value
        work.note(f"{name} set")


def _drop_parameter(work: Work, row: Row) -> None:
    if row.value in hyper_parameters(work.root):
        del hyper_parameters(work.root)[row.value]
        work.note(f"{row.value} dropped")


def _replace_global(work: Work, row: Row) -> None:
    """In place, so that what was shared stays so. Not within tensors, which hold no names of the user's."""
    old, new = row.value["from"], row.value["to"]
    entered: set[int] = set()

    def replaced(value: Any) -> Any:
        if (type(value) is Global and str(value) == old) or (type(value) is Call and name_of(value.function) == old):
            work.note(f"{old} → {new!r}")
            return new
        if type(value) is tuple:
            return tuple(map(replaced, value)) if any(type(member) not in _ATOMS for member in value) else value
        if type(value) in _ATOMS or id(value) in entered:
            return value
        entered.add(id(value))
        if isinstance(value, dict):
            items = [(replaced(key), replaced(item)) for key, item in value.items()]
            value.clear()
            value.update(items)
        elif isinstance(value, list):
            value[:] = map(replaced, value)
        elif type(value) is Call and name_of(value.function) not in LOADABLE:
            value.args, value.items, value.appended, value.state = map(
                replaced, (value.args, value.items, value.appended, value.state)
            )
        return value

    work.root = replaced(work.root)


_ATOMS: Final = frozenset({str, int, float, bool, type(None), bytes, bytearray, complex, Storage, type(ABSENT)})
_OTHERS: Final[dict[str, Callable[[Work, Row], None]]] = {
    "rename_hyper_parameter": _rename_parameter,
    "set_hyper_parameter": _set_parameter,
    "drop_hyper_parameter": _drop_parameter,
    "replace_global": _replace_global,
}
