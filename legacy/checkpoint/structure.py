"""Walking what a file holds: without recursion, every object entered once, and told where it sits."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any, Final, TypeAlias, cast

from legacy.checkpoint.errors import Refused
from legacy.checkpoint.records import ABSENT, Call, Global, Ordered, Storage

MAX_DEPTH: Final = 500  # a model of nested modules is some fifty deep; below Python's own limit for whoever recurses


class Part(str):
    """A step into a record, as against a key: `.args`, `.state`."""

    __slots__ = ()


Step: TypeAlias = object  # a dictionary's key, a position, or a Part
KEY, _MEMBER, _ATTRIBUTES = Part(".key"), Part(".member"), Part(".attributes")
FUNCTION, _ARGS, _KWARGS = Part(".function"), Part(".args"), Part(".kwargs")
_STATE, _APPENDED, _ITEMS = Part(".state"), Part(".appended"), Part(".items")
_ATOMS: Final = frozenset({str, int, float, bool, type(None), bytes, bytearray, complex})
_RECORDS: Final = frozenset({Global, Call, Storage})
_LEAVES: Final = frozenset({Global, Storage})


def walk(root: object, entered: set[int] | None = None) -> Iterator[tuple[list[Step], Any]]:
    """Every record under `root`, at each of its places; what it holds follows its first place.

    The way to it is one list, the same all along: copy what is to be kept. A record at its first place is not yet among those
    `entered`, by identity; whoever adds it will not see what it holds. Raises `Refused` for a structure deeper than `MAX_DEPTH`.
    """
    entered = set() if entered is None else entered
    trail: list[Step] = []
    if type(root) in _RECORDS:
        yield trail, root
    entered.add(id(root))
    below: list[Iterator[tuple[Step, Any]]] = [iter(children(root))]
    while below:
        for step, child in below[-1]:
            kind = type(child)
            if kind in _ATOMS or (kind is tuple and is_short(child)):
                continue
            trail.append(step)
            if kind in _RECORDS:
                yield trail, child
            if kind not in _LEAVES and id(child) not in entered:
                entered.add(id(child))
                below.append(iter(children(child)))
                if len(below) > MAX_DEPTH:
                    raise Refused(f"it is nested over {MAX_DEPTH} deep, from {place(trail[:3])} on")
                break
            trail.pop()
        else:
            below.pop()
            if trail:
                trail.pop()


def is_short(members: tuple[object, ...]) -> bool:
    """Whether a tuple is a few plain values, such as a shape: not worth entering, nor remembering that one has been there."""
    return len(members) <= 16 and _ATOMS.issuperset(map(type, members))


def children(node: Any) -> Iterable[tuple[Step, object]]:
    """What `node` holds directly, with the step that leads there. Keys that are no plain values are held, too."""
    kind = type(node)
    if kind is list or kind is tuple:
        return enumerate(node)
    if kind is Call:
        return _parts(node)
    if kind is set or kind is frozenset:
        return ((_MEMBER, member) for member in node)
    if kind is not dict and kind is not Ordered:
        return ()
    if _ATOMS.issuperset(map(type, node)) and (kind is dict or node.attributes is None):
        return cast("Iterable[tuple[Step, object]]", node.items())
    keys = ((KEY, key) for key in node)
    return chain(node.items(), keys, ((_ATTRIBUTES, node.attributes) for _ in range(kind is Ordered)))


def _parts(call: Call) -> Iterator[tuple[Step, object]]:
    yield FUNCTION, call.function
    yield _ARGS, call.args
    if call.kwargs is not None:
        yield _KWARGS, call.kwargs
    if call.state is not ABSENT:
        yield _STATE, call.state
    if call.appended is not None:
        yield _APPENDED, call.appended
    if call.items is not None:
        yield _ITEMS, call.items


def place(trail: Iterable[Step]) -> str:
    """A trail as one would write it: `checkpoint["hyper_parameters"]["model_class"].args[0]`."""
    return "checkpoint" + "".join(step if type(step) is Part else f"[{_shown(step)}]" for step in trail)


def _shown(key: object) -> str:
    if type(key) is str:
        return repr(key) if len(key) <= 200 else repr(key[:200]) + "…"
    if type(key) is int and key.bit_length() > 64:
        return "<a large int>"
    return repr(key) if type(key) in (int, float, bool, type(None)) else f"<a {type(key).__name__}>"
