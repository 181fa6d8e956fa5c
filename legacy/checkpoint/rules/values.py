"""Objects that stand for plain values: written as those values."""

from __future__ import annotations

from pathlib import PurePosixPath, PureWindowsPath
from typing import Any, Final

from legacy.checkpoint.errors import Refused
from legacy.checkpoint.names import (
    ALIASES,
    ARRAYS,
    ATTRIBUTE_DICTS,
    ENUMS,
    LOADABLE,
    NAMESPACES,
    OMEGACONF,
    PARTIAL,
    PATHS,
    REPLACED,
    verdict,
)
from legacy.checkpoint.pickles.plain import number
from legacy.checkpoint.records import ABSENT, Call, Global, Ordered, Storage, name_of
from legacy.checkpoint.rules.moved import new_name
from legacy.checkpoint.rules.numpy_values import array, text
from legacy.checkpoint.rules.registry import Work, rule
from legacy.checkpoint.structure import Step, place

_MAX_DEPTH: Final = 200
_DROPPED: Final = object()
_ATOMS: Final = frozenset({str, int, float, bool, type(None), bytes, bytearray, complex, Storage})
_KEEP: Final = LOADABLE | ALIASES.keys()  # tensors, dtypes, sizes: torch loads them as they are


@rule("plain-values", since="torch 2.6 (weights_only by default)")
def make_plain(work: Work) -> None:
    """`weights_only` refuses paths, numpy's scalars and arrays, enums, functions, namespaces, `AttributeDict` and OmegaConf: they become
    text, numbers, lists and dicts. Functions and classes become their names. An object of a class that a rule answers
    for becomes the dict of its attributes or, where it is a module, goes with a note. Anything else stays, for the writer to refuse."""
    uses = work.checkpoint.globals
    if uses.shimmed or uses.refused or REPLACED & uses.allowed.keys():
        work.root = _Plain(work).convert(work.root, [])


class _Plain:
    def __init__(self, work: Work) -> None:
        self._work = work
        self._made: dict[int, Any] = {}
        self._kept: list[Any] = []  # made on the way: their identities must not be another's

    def convert(self, value: Any, trail: list[Step]) -> Any:
        kind = type(value)
        if kind in _ATOMS:
            return value
        if id(value) in self._made:
            return self._made[id(value)]
        if len(trail) > _MAX_DEPTH:
            raise Refused(f"{self._work.checkpoint.path}: {place(trail[:3])} is nested over {_MAX_DEPTH} deep")
        if kind is Global:
            return self._named(value, trail)
        if kind is Call:
            made = self._call(value, trail)
        elif kind is dict or kind is Ordered:
            return self._dict(value, trail)
        elif kind is list:
            made = self._made[id(value)] = []
            made += self._members(value, trail)
        else:
            made = kind(self._members(value, trail))
        self._made[id(value)] = made
        return made

    def _dict(self, value: dict[Any, Any], trail: list[Step]) -> dict[Any, Any]:
        made = self._made[id(value)] = type(value)()
        for key, item in value.items():
            new = self.convert(item, [*trail, key])
            if new is not _DROPPED:
                made[key if type(key) is str else self._key(key, trail, made)] = new
        if isinstance(value, Ordered) and isinstance(made, Ordered):
            made.attributes = self.convert(value.attributes, trail)
        return made

    def _key(self, key: Any, trail: list[Step], made: dict[Any, Any]) -> Any:
        new = self.convert(key, [*trail, key])
        return str(key) if new is _DROPPED or new in made else new

    def _members(self, values: Any, trail: list[Step]) -> list[Any]:
        made = [self.convert(member, [*trail, index]) for index, member in enumerate(values)]
        return [member for member in made if member is not _DROPPED]

    def _named(self, name: Global, trail: list[Step]) -> Any:
        full = str(name)
        if full in _KEEP or full in self._work.allow:
            return name
        if full in REPLACED:
            text = name.name
        elif self._answered(name, trail):
            text = new_name(name) if new_name(name) != f"{name.module}:{name.name}" else full
        else:
            return name
        self._work.note(f"{place(trail)}: the class or function {full}, by its name")
        return text

    def _answered(self, name: Global, trail: list[Step]) -> bool:
        return verdict(name, trail) == "shimmed"

    def _call(self, call: Call, trail: list[Step]) -> Any:
        function = call.function
        plain = number(call)
        if plain is not None:
            self._work.note(f"{place(trail)}: a numpy scalar as a number")
            return plain
        told = text(call)
        if told is not None:
            self._work.note(f"{place(trail)}: {name_of(function)} as text")
            return told
        if type(function) is not Global or str(function) in _KEEP or str(function) in self._work.allow:
            return call
        full = str(function)
        if full in REPLACED:  # defaultdict, deque: the writer makes them plain
            self._within(call, trail)
            return call
        made = self._value(function, call, trail)
        if made is ABSENT:
            return call
        if made is _DROPPED:
            self._work.note(f"{place(trail)}: an object of {full}, left out")
        else:
            self._work.note(f"{place(trail)}: {name_of(function)} as {_kind(made)}")
        return made

    def _within(self, call: Call, trail: list[Step]) -> None:
        self._made[id(call)] = call
        if call.items is not None:
            call.items = self._dict(call.items, trail)
        if call.appended is not None:
            call.appended = self._members(call.appended, trail)
        if type(call.args) is tuple:
            call.args = tuple(member if type(member) is Global else self.convert(member, trail) for member in call.args)

    def _value(self, function: Global, call: Call, trail: list[Step]) -> Any:
        """What the object stands for; `ABSENT` for what nothing here knows, `_DROPPED` for what only its code could use."""
        full, args, state = str(function), call.args, call.state
        if full in PATHS and type(args) is tuple and all(type(part) is str for part in args):
            return str((PureWindowsPath if "Windows" in full else PurePosixPath)(*args))
        if full in ATTRIBUTE_DICTS:
            return self._attributes(call.items, trail)
        if full in NAMESPACES:
            return self._attributes(state, trail)
        if full in OMEGACONF:
            return self._omegaconf(state, trail)
        if full in ARRAYS:
            return array(state, lambda members: self._members(members, trail))
        if full.startswith(ENUMS) and type(args) is tuple and len(args) == 1:
            return self.convert(args[0], trail)
        if full == PARTIAL and type(state) is tuple and len(state) == 4 and self._answered(function, trail):
            names = ("function", "args", "keywords")
            return {name: self.convert(part, [*trail, name]) for name, part in zip(names, state[:3], strict=True)}
        if not self._answered(function, trail):
            return ABSENT
        if type(state) is dict and "_modules" not in state and call.how != "reduce":
            return self._attributes(state, trail)
        return _DROPPED

    def _attributes(self, found: Any, trail: list[Step]) -> Any:
        self._kept.append(dict(found) if type(found) is dict else {})
        return self._dict(self._kept[-1], trail)

    def _omegaconf(self, state: Any, trail: list[Step]) -> Any:
        if type(state) is not dict:
            return _DROPPED
        if "_val" in state:
            return self.convert(state["_val"], trail)
        return self.convert(state.get("_content"), trail)


def _kind(value: Any) -> str:
    return (
        "text"
        if type(value) is str
        else "a dict"
        if type(value) is dict
        else "a list"
        if type(value) is list
        else "a number"
    )
