"""Where two structures part: every value by its place, tensors by hash, and what is shared. In one pass over both, without recursion.

Places are kept as linked steps and become text only where something is told: a file may nest deep, under long names.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from functools import partial
from itertools import count, zip_longest
from typing import Any, Final, NamedTuple, TypeAlias

from legacy.checkpoint import Checkpoint, Refused
from legacy.checkpoint.contents import digest
from legacy.checkpoint.names import ALIASES
from legacy.checkpoint.pickles.plain import DEFAULTDICT, DEQUE, number
from legacy.checkpoint.records import ABSENT, Call, Global, Storage, name_of
from legacy.checkpoint.structure import KEY, Part, Step, children, is_short, place
from legacy.checkpoint.tensors import Tensor, tensor_of

Trail: TypeAlias = "tuple[Trail, Step] | None"  # the way to a value, its last step first
Told: TypeAlias = Callable[[], str]  # a difference in words, once somebody wants them
Hashes: TypeAlias = dict[object, str]
_Parts: TypeAlias = dict[object, tuple[Step, Any]]
_ATOMS: Final = frozenset({str, int, float, bool, type(None), bytes, bytearray, complex, Global})
_BY_TEXT: Final = frozenset({float, complex})  # a NaN is itself, and 0.0 is not -0.0
_PACKED: Final = frozenset({"quint4x2", "quint2x4"})  # several elements a byte: hashed with all of their storage
_SHORT: Final = 16
_SHOWN: Final = 80


class Met(NamedTuple):
    """An object, or a block of bytes, met first in that turn of the comparison; `way` is how a tensor lies in it beside the first."""

    turn: int
    way: object
    trail: Trail


class Side:
    """One of the two files, with the hashes of its tensors and what of it has been met."""

    def __init__(self, checkpoint: Checkpoint, descriptor: int, hashes: Hashes) -> None:
        self.name = str(checkpoint.path)
        self._checkpoint, self._descriptor, self._hashes = checkpoint, descriptor, hashes
        self._met: dict[object, tuple[int, int, Trail]] = {}

    def hash(self, tensor: Tensor) -> str:
        """Equal for equal values of one type and shape, wherever and however they lie."""
        storage = tensor.storage
        if storage is None:
            return f"meta {tensor.dtype} {tensor.shape}"
        layout = tensor.dtype, tensor.offset, tensor.shape, tensor.stride, tensor.flags
        made = self._hashes.get((storage.key, layout))
        if made is None:
            packed = tensor.dtype in _PACKED
            made = digest(self._checkpoint, self._descriptor, _bytes_of(storage) if packed else tensor)
            made = self._hashes[storage.key, layout] = f"{made} {layout}" if packed else made
        return made

    def face(self, value: Any) -> tuple[object, ...]:
        """What there is to compare of a value without going into it."""
        kind = type(value)
        if kind is Tensor:
            return kind, self.hash(value), value.requires_grad, value.parameter
        if kind is Storage:
            return kind, self.hash(_bytes_of(value))
        if kind is Call:
            return kind, name_of(value.function)
        return (kind, repr(value) if kind in _BY_TEXT else value) if kind in _ATOMS else (kind,)

    def met(self, original: object, value: Any, turn: int, trail: Trail) -> Met:
        """When it was met first: now, or whatever it is shared with."""
        lies = value if type(value) is Tensor else _bytes_of(value) if type(value) is Storage else None
        if lies is not None:
            if lies.storage is None or lies.storage.size == 0:
                return Met(turn, None, trail)
            first, offset, where = self._met.setdefault(lies.storage.key, (turn, lies.offset, trail))
            return Met(first, None if first == turn else (lies.offset - offset, lies.stride), where)
        if type(value) is tuple and (is_short(value) or (len(value) <= _SHORT and _is_arguments(trail))):
            return Met(turn, None, trail)  # of plain values nobody can tell, and arguments are no one else's
        first, _, where = self._met.setdefault(id(original), (turn, 0, trail))
        return Met(first, None, where)

    def told(self, value: Any) -> str:
        kind = type(value)
        if kind is Tensor:
            more = (", a parameter" if value.parameter else "") + (", with gradient" if value.requires_grad else "")
            return f"tensor {value.dtype} {list(value.shape)}{more}, {self.hash(value)[:16]}"
        if kind is int and value.bit_length() > 256:
            return f"a number of {value.bit_length():,} bits"
        if kind in (str, bytes, bytearray):
            return repr(value[:_SHOWN]) + "…" * (len(value) > _SHOWN)
        if kind is Global:
            return f"the name {value!s:.{_SHOWN}}"
        return repr(value)[:_SHOWN] if kind in _ATOMS or kind is Call else f"a {kind.__name__}"


def differences(
    left: Side, right: Side, before: object, after: object, ordered: Collection[int] = (), trail: Trail = None
) -> Iterator[Told]:
    """Where `before` and `after` part. `ordered` has the ids of those dicts in `before` whose order matters as well.

    What is shared is entered once, where both files have it first: this takes as long as the files are large.
    """
    todo: list[tuple[Trail, Any, Any]] = [(trail, before, after)]
    for turn in count():
        if not todo:
            return
        trail, old, new = todo.pop()
        one, two = _plain(old), _plain(new)
        if left.face(one) != right.face(two):
            yield partial(_parted, left, right, trail, one, two)
            continue
        if type(one) in _ATOMS:
            continue
        met = left.met(old, one, turn, trail), right.met(new, two, turn, trail)
        if met[0][:2] != met[1][:2]:
            yield partial(_shared, left, right, trail, *met, turn)
        if type(one) is not Tensor and not met[0].turn == met[1].turn == turn:
            continue
        if id(old) in ordered:
            yield from _reordered(left, right, trail, one, two)
        below: list[tuple[Trail, Any, Any]] = []
        for step, a, b in _pairs(old, new, one, two):
            if a is ABSENT or b is ABSENT:
                yield partial(_one_sided, left, right, (trail, step), b is ABSENT)
            elif not (type(a) is type(b) and type(a) in _ATOMS and type(a) not in _BY_TEXT and a == b):
                below.append(((trail, step), a, b))
        todo += reversed(below)


def where(trail: Trail) -> str:
    """The way to a value as one would write it."""
    steps: list[Step] = []
    while trail is not None:
        trail, step = trail
        steps.append(step)
    return place(reversed(steps))


def _parted(left: Side, right: Side, trail: Trail, one: Any, two: Any) -> str:
    return f"{where(trail)} is {left.told(one)} in {left.name} and {right.told(two)} in {right.name}"


def _one_sided(left: Side, right: Side, trail: Trail, old: bool) -> str:
    return f"{where(trail)} is in {left.name if old else right.name} only"


def _shared(left: Side, right: Side, trail: Trail, one: Met, two: Met, turn: int) -> str:
    def how(met: Met) -> str:
        if met.turn == turn:
            return "stands alone"
        return f"is the same {'object' if met.way is None else 'memory'} as {where(met.trail)}"

    if one.turn == two.turn:
        return f"{where(trail)} lies elsewhere in the memory of {where(one.trail)} in {right.name} than in {left.name}"
    return f"{where(trail)} {how(one)} in {left.name} and {how(two)} in {right.name}"


def _reordered(left: Side, right: Side, trail: Trail, one: Any, two: Any) -> Iterator[Told]:
    """An optimiser finds its parameters by position: weights in another order are another network's."""
    names = zip((name for name in one if name in two), (name for name in two if name in one), strict=True)
    first = next((pair for pair in names if pair[0] != pair[1]), None)
    if first is not None:
        yield (
            lambda: (
                f"{where(trail)} is in another order: {first[0]!r} in {left.name} is where {first[1]!r} is in {right.name}"
            )
        )


def _pairs(old: Any, new: Any, one: Any, two: Any) -> Iterator[tuple[Step, Any, Any]]:
    """What two values of one kind hold, side by side; `ABSENT` where only one of them has it."""
    if type(one) is list or type(one) is tuple:
        for index, (a, b) in enumerate(zip_longest(one, two, fillvalue=ABSENT)):
            yield index, a, b
        return
    mine, theirs = _parts(old, one), _parts(new, two)
    for key, (step, a) in mine.items():
        yield step, a, theirs[key][1] if key in theirs else ABSENT
    for key, (step, b) in theirs.items():
        if key not in mine:
            yield step, ABSENT, b


def _parts(original: Any, value: Any) -> _Parts:
    """By what finds the counterpart in the other file. The order of sets is no more than an accident."""
    if type(value) is Tensor:
        return {step: (step, part) for step, part in _beside(original)}
    if type(value) is set:
        return {(text := _text(member)): (Part(f"{{{text:.{_SHOWN}}}}"), member) for member in value}
    if not isinstance(value, dict):
        return {step: (step, part) for step, part in children(value)}
    made: _Parts = {key if type(key) is str else (_text(key),): (key, item) for key, item in value.items()}
    made |= {(KEY, _text(key)): (KEY, key) for key in value if type(key) is Call}
    attributes = getattr(value, "attributes", None)
    return made if attributes is None else {**made, (): (Part(".attributes"), attributes)}


def _beside(call: Any) -> Iterator[tuple[Part, Any]]:
    """What a tensor has besides its elements: a quantiser, a class of its own, attributes set in Python."""
    match call:
        case Call(Global(_, "_rebuild_qtensor"), (_, _, _, _, quantizer, *_)):
            yield Part(".quantizer"), quantizer
        case Call(Global(_, "_rebuild_parameter" | "_rebuild_parameter_with_state"), (data, _, _, *states)):
            yield from ((Part(f".data{step}"), part) for step, part in _beside(data))
            yield from ((Part(".attributes"), state) for state in states)
        case Call(Global(_, "_rebuild_from_type_v2"), (function, kind, args, state)):
            yield from ((Part(f".data{step}"), part) for step, part in _beside(Call(function, args)))
            yield Part(".type"), kind
            yield Part(".attributes"), state
    if call.state is not ABSENT:
        yield Part(".state"), call.state


def _plain(value: Any) -> Any:
    """A tensor as what is told of it, anything else as what a translation writes in its place."""
    kind = type(value)
    if kind is frozenset:
        return set(value)
    if kind is Global:
        return ALIASES.get(str(value), value)
    if kind is not Call:
        return value
    tensor = tensor_of(value)
    if tensor is not None:
        return tensor
    if value.state is ABSENT and value.function == DEFAULTDICT:
        return value.items or {}
    if value.state is ABSENT and value.function == DEQUE:
        first = value.args[0] if isinstance(value.args, tuple) and value.args else None
        return [*(first if isinstance(first, list) else ()), *(value.appended or ())]
    plain = number(value)
    return value if plain is None else plain


def _text(member: Any) -> str:
    """Equal for equal keys and members of sets; long text is no more than its hash, since many may share it."""
    value = _plain(member)
    kind = type(value)
    if kind is tuple:
        return f"({', '.join(map(_text, value))})"
    if kind is set:
        return f"{{{', '.join(sorted(map(_text, value)))}}}"
    if kind is int and value.bit_length() > 4096:
        raise Refused(f"a number of {value.bit_length():,} bits is a dictionary's key or a set's member")
    if kind in (str, bytes) and len(value) > _SHOWN:
        return f"{value[:_SHOWN]!r}… {hash(value)}"
    if kind is Call:
        short = type(value.args) is tuple and is_short(value.args)
        return name_of(value.function) + (_text(value.args) if short else "")
    return f"a {kind.__name__}" if kind in (Tensor, Storage) else str(value) if kind is Global else repr(value)


def _bytes_of(storage: Storage) -> Tensor:
    return Tensor("uint8", (storage.nbytes,), (1,), storage)


def _is_arguments(trail: Trail) -> bool:
    return trail is not None and type(trail[1]) is Part and trail[1] == ".args"
