"""Walking what a file holds: without recursion, every object entered once, and told where it sits."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, TypeAlias

from legacy.checkpoint.errors import Refused
from legacy.checkpoint.records import ABSENT, Call, Ordered

MAX_DEPTH: Final = 500  # a model of nested modules is some fifty deep; below Python's own limit for whoever recurses


class Part(str):
    """A step into a record, as against a key: `.args`, `.state`."""

    __slots__ = ()


Step: TypeAlias = object  # a dictionary's key, a position, or a Part
Trail: TypeAlias = "list[Step]"

_ATOMS: Final = frozenset({str, int, float, bool, type(None), bytes, bytearray, complex})


def walk(root: object) -> Iterator[tuple[Trail, object]]:
    """Everything under `root` but plain values, at each of its places; what it holds follows its first place.

    The trail is the walk's own list: copy it to keep it. Raises `Refused` for a structure deeper than `MAX_DEPTH`.
    """
    trail: Trail = []
    if type(root) in _ATOMS:
        return
    yield trail, root
    entered = {id(root)}
    below = [iter(children(root))]
    while below:
        for step, child in below[-1]:
            if type(child) in _ATOMS:
                continue
            trail.append(step)
            yield trail, child
            if id(child) not in entered:
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


def children(node: object) -> Iterable[tuple[Step, object]]:
    """What `node` holds directly, with the step that leads there. Keys that are no plain values are held, too."""
    if isinstance(node, dict):
        yield from node.items()
        for key in node:
            if type(key) is not str and type(key) not in _ATOMS:
                yield Part(".key"), key
        if type(node) is Ordered and node.attributes is not None:
            yield Part(".attributes"), node.attributes
    elif isinstance(node, (list, tuple)):
        yield from enumerate(node)
    elif isinstance(node, (set, frozenset)):
        for member in node:
            yield Part(".member"), member
    elif type(node) is Call:
        yield Part(".function"), node.function
        yield Part(".args"), node.args
        yield Part(".kwargs"), node.kwargs
        if node.state is not ABSENT:
            yield Part(".state"), node.state
        yield Part(".appended"), node.appended
        yield Part(".items"), node.items


def place(trail: Iterable[Step]) -> str:
    """A trail as one would write it: `checkpoint["hyper_parameters"]["model_class"].args[0]`."""
    return "checkpoint" + "".join(step if type(step) is Part else f"[{_shown(step)}]" for step in trail)


def _shown(key: object) -> str:
    if type(key) is str:
        return repr(key) if len(key) <= 200 else repr(key[:200]) + "…"
    if type(key) is int and key.bit_length() > 64:
        return "<a large int>"
    return repr(key) if type(key) in (int, float, bool, type(None)) else f"<a {type(key).__name__}>"
