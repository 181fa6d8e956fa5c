"""Containers and records as a pickle of protocol 2, in the opcodes that `torch.load(weights_only=True)` reads."""

from __future__ import annotations

import struct
from collections.abc import Callable, Collection, Iterable, Iterator
from itertools import chain, islice
from typing import Any, Final

from legacy.checkpoint.errors import Refused
from legacy.checkpoint.names import ALIASES, LOADABLE
from legacy.checkpoint.pickles.machine import mapped_name
from legacy.checkpoint.pickles.plain import (
    BYTEARRAY,
    COMPLEX,
    DEFAULTDICT,
    DEQUE,
    ENCODE,
    ORDERED_DICT,
    SET,
    TENSOR,
    number,
)
from legacy.checkpoint.records import ABSENT, STORAGE_CLASSES, Call, Global, Ordered, Storage
from legacy.checkpoint.tensors import is_usual

_BATCH: Final = 2000  # values between two MARKs: readers hold one batch at a time
_SHORT: Final = 16
_LONGEST: Final = 255  # bytes of an integer; weights_only has no LONG4


_SIMPLE: Final = frozenset({type(None), bool, int, float, str})
_TUPLE: Final = (b")", b"\x85", b"\x86", b"\x87", b"t")  # by length


class _Then:
    """Code that follows the values before it, and the object that it completes."""

    __slots__ = ("code", "made")

    def __init__(self, code: bytes, made: object = ABSENT) -> None:
        self.code, self.made = code, made


_MARK: Final = _Then(b"(")
_STORAGES: Final = {
    dtype: Global("torch.storage" if dtype == "untyped" else "torch", name) for dtype, name in STORAGE_CLASSES.items()
}


class Emitter:
    """Writes one object. Afterwards `keys` has the new key of each storage by its old one, in order; `foreign` the globals
    that neither plain torch nor `allow` takes, `kept` those that only `allow` does; `replaced` how often a plainer type stands in for another."""

    def __init__(self, allow: Collection[str] = ()) -> None:
        self.keys: dict[str, str] = {}
        self.foreign: set[Global] = set()
        self.kept: set[Global] = set()
        self.replaced: dict[str, int] = {}
        self._allow = allow
        self._out = bytearray(b"\x80\x02")
        self._memo: dict[object, int] = {}  # by identity; text and globals, which are never changed, by value
        self._kept: list[object] = []  # made here, and its identity in use
        self._unfinished: set[int] = set()
        self._todo: list[Iterator[object]] = []
        self._forms: dict[tuple[object, ...], tuple[bytes, bytes]] = {}  # of tensors, around a storage's key

    def emit(self, root: object) -> bytes:
        """Raises `Refused` for what protocol 2 under weights_only cannot say."""
        self._todo.append(iter((root,)))
        while self._todo:
            depth = len(self._todo)
            for value in self._todo[-1]:
                write = _WRITERS.get(type(value))
                if write is None:
                    raise Refused(f"a {type(value).__name__} is nothing that a checkpoint can hold")
                write(self, value)
                if len(self._todo) > depth:  # what it holds comes first
                    break
            else:
                self._todo.pop()
        self._out += b"."
        made, self._out = bytes(self._out), bytearray()
        self._memo.clear()  # of many tensors it is as large as the program
        return made

    # The memo

    def _remember(self, key: object) -> None:
        index = self._memo[key] = len(self._memo)
        self._out += b"q" + index.to_bytes(1, "little") if index < 256 else b"r" + index.to_bytes(4, "little")

    def _recalled(self, key: object) -> bool:
        index = self._memo.get(key)
        if index is not None:
            self._out += b"h" + index.to_bytes(1, "little") if index < 256 else b"j" + index.to_bytes(4, "little")
        return index is not None

    def _begun(self, value: object) -> bool:
        """Whether the memo had it; if not, it counts as unfinished until its `_Then`."""
        if self._recalled(id(value)):
            return True
        if id(value) in self._unfinished:
            raise Refused(
                f"a {type(value).__name__} that contains itself cannot be written: its contents come before it"
            )
        self._unfinished.add(id(value))
        return False

    def _then(self, value: _Then) -> None:
        self._out += value.code
        if value.made is not ABSENT:
            self._unfinished.discard(id(value.made))
            self._remember(id(value.made))

    def _next(self, *values: object) -> None:
        self._todo.append(iter(values))

    def _replace(self, name: str) -> None:
        self.replaced[name] = self.replaced.get(name, 0) + 1

    # Values

    def _none(self, value: None) -> None:
        self._out += b"N"

    def _bool(self, value: bool) -> None:
        self._out += b"\x88" if value else b"\x89"

    def _int(self, value: int) -> None:
        if 0 <= value < 1 << 8:
            self._out += b"K" + value.to_bytes(1, "little")
        elif 0 <= value < 1 << 16:
            self._out += b"M" + value.to_bytes(2, "little")
        elif -(1 << 31) <= value < 1 << 31:
            self._out += b"J" + value.to_bytes(4, "little", signed=True)
        else:
            count = value.bit_length() // 8 + 1
            if count > _LONGEST:
                raise Refused(
                    f"a number of {value.bit_length():,} bits, where weights_only reads up to {_LONGEST * 8 - 1:,}"
                )
            self._out += b"\x8a" + count.to_bytes(1, "little") + value.to_bytes(count, "little", signed=True)

    def _float(self, value: float) -> None:
        self._out += b"G" + struct.pack(">d", value)

    def _text(self, value: str) -> None:
        if not self._recalled(value):
            data = value.encode("utf-8", "surrogatepass")
            self._out += b"X" + len(data).to_bytes(4, "little") + data
            self._remember(value)

    def _bytes(self, value: bytes) -> None:
        if not self._begun(value):
            self._next(ENCODE, value.decode("latin-1"), "latin1", _Then(b"\x86R", value))

    def _bytearray(self, value: bytearray) -> None:
        if not self._begun(value):
            self._next(BYTEARRAY, value.decode("latin-1"), "latin-1", _Then(b"\x86R", value))

    def _complex(self, value: complex) -> None:
        self._global(COMPLEX)
        self._float(value.real)
        self._float(value.imag)
        self._out += b"\x86R"

    def _global(self, value: Global) -> None:
        if self._recalled(value):
            return
        value = ALIASES.get(str(value), value)
        if not self._recalled(value):
            if str(value) not in LOADABLE:
                (self.kept if str(value) in self._allow else self.foreign).add(value)
            self._out += global_code(value)
            self._remember(value)

    def _storage(self, value: Storage) -> None:
        self._before_key(value)
        self._out += self._key(value)
        self._after_key(value)

    def _before_key(self, value: Storage) -> None:
        self._out += b"("
        self._text("storage")
        self._global(_STORAGES[value.dtype])

    def _key(self, value: Storage) -> bytes:
        key = self.keys.setdefault(value.key, str(len(self.keys))).encode()
        return b"X" + len(key).to_bytes(4, "little") + key  # each once, not worth remembering

    def _after_key(self, value: Storage) -> None:
        self._text(value.location)
        self._int(value.size)
        self._out += b"tQ"

    # Containers

    def _tuple(self, value: tuple[object, ...]) -> None:
        if not value:
            self._out += b")"
        elif len(value) <= _SHORT and _SIMPLE.issuperset(map(type, value)):  # such as a shape
            self._out += b"(" if len(value) > 3 else b""
            for member in value:
                _WRITERS[type(member)](self, member)
            self._out += _TUPLE[min(len(value), 4)]
        elif not self._begun(value):
            self._todo.append(self._members(value, value))

    def _members(self, value: tuple[object, ...], made: object) -> Iterator[object]:
        if len(value) > 3:
            yield _MARK
        yield from value
        yield _Then(_TUPLE[min(len(value), 4)], made)

    def _list(self, value: list[object]) -> None:
        self._container(b"]", value, _batches(value, b"e"))

    def _dict(self, value: dict[Any, Any]) -> None:
        self._container(b"}", value, _batches(_flat(value), b"u"))

    def _container(self, empty: bytes, value: object, batches: Iterator[object]) -> None:
        if not self._recalled(id(value)):
            self._out += empty
            self._remember(id(value))
            self._todo.append(batches)

    def _ordered(self, value: Ordered) -> None:
        if not self._recalled(id(value)):
            self._global(ORDERED_DICT)
            self._out += b")R"
            self._remember(id(value))
            state = () if value.attributes is None else (value.attributes, _Then(b"b"))
            if value or state:
                self._todo.append(chain(_batches(_flat(value), b"u"), state))

    def _set(self, value: set[object] | frozenset[object]) -> None:
        if type(value) is frozenset:
            self._replace("builtins.frozenset")
        if any(type(member) is not str and _holds_frozenset(member) for member in value):
            raise Refused(_NO_FROZENSET)
        if not self._begun(value):
            members = sorted(value, key=_order)  # the file is the same whatever order this process's hashes give
            self._kept.append(members)
            self._next(SET, members, _Then(b"\x85R", value))

    # Records

    def _call(self, value: Call) -> None:
        if is_usual(value):
            if not self._recalled(id(value)):
                self._tensor(value)
            return
        plain = number(value)
        if plain is not None:
            self._replace("numpy scalar")
            _WRITERS[type(plain)](self, plain)
        elif value.function == DEFAULTDICT and value.state is ABSENT:
            self._replace(str(DEFAULTDICT))
            self._container(b"}", value, _batches(_flat(value.items or {}), b"u"))
        elif value.function == DEQUE and value.state is ABSENT:
            self._replace(str(DEQUE))
            first = value.args[0] if isinstance(value.args, tuple) and value.args else None
            members = chain(first if isinstance(first, list) else (), value.appended or ())
            self._container(b"]", value, _batches(members, b"e"))
        elif not self._begun(value):
            self._todo.append(self._called(value))

    def _tensor(self, value: Call) -> None:
        """Most calls by far are of this one form: written in one go."""
        args: Any = value.args
        storage, offset, shape, stride, gradient, _ = args
        described = (storage.dtype, storage.location, storage.size, offset, shape, stride, gradient)
        form = self._forms.get(described)
        if form is None:
            known = len(self._memo)
            form = self._apart(self._tensor_before_key, storage), self._apart(self._tensor_after_key, *args)
            if len(self._memo) == known:  # every name in it was there: the next of this description has the same bytes
                self._forms[described] = form
        self._out += form[0] + self._key(storage) + form[1]
        self._remember(id(value))

    def _apart(self, write: Callable[..., None], *values: object) -> bytes:
        """What `write` would add."""
        out, self._out = self._out, bytearray()
        write(*values)
        made, self._out = bytes(self._out), out
        return made

    def _tensor_before_key(self, storage: Storage) -> None:
        self._global(TENSOR)
        self._out += b"("
        self._before_key(storage)

    def _tensor_after_key(
        self, storage: Storage, offset: int, shape: Any, stride: Any, gradient: bool, _: Ordered
    ) -> None:
        self._after_key(storage)
        self._int(offset)
        self._sizes(shape)
        self._sizes(stride)
        self._bool(gradient)
        self._global(ORDERED_DICT)
        self._out += b")RtR"  # the hooks: none, in a dict of its own

    def _sizes(self, value: tuple[int, ...]) -> None:
        self._out += b"(" if len(value) > 3 else b""
        for size in value:
            self._int(size)
        self._out += _TUPLE[min(len(value), 4)]

    def _called(self, value: Call) -> Iterator[object]:
        yield value.function
        if type(value.args) is tuple and 0 < len(value.args) <= _SHORT:  # nobody else's: not worth remembering
            yield from self._members(value.args, ABSENT)
        else:
            yield value.args
        if value.how == "newobj_ex":
            yield value.kwargs
        yield _Then({"reduce": b"R", "newobj": b"\x81", "newobj_ex": b"\x92"}[value.how], value)
        yield from _batches(value.appended or (), b"e")
        yield from _batches(_flat(value.items or {}), b"u")
        if value.state is not ABSENT:
            yield value.state
            yield _Then(b"b")


_WRITERS: Final[dict[type, Callable[[Emitter, Any], None]]] = {
    _Then: Emitter._then,
    type(None): Emitter._none,
    bool: Emitter._bool,
    int: Emitter._int,
    float: Emitter._float,
    complex: Emitter._complex,
    str: Emitter._text,
    bytes: Emitter._bytes,
    bytearray: Emitter._bytearray,
    tuple: Emitter._tuple,
    list: Emitter._list,
    dict: Emitter._dict,
    Ordered: Emitter._ordered,
    set: Emitter._set,
    frozenset: Emitter._set,
    Global: Emitter._global,
    Storage: Emitter._storage,
    Call: Emitter._call,
}


def global_code(name: Global) -> bytes:
    """The GLOBAL opcode that reads as this name. Raises `Refused` where none does."""
    module, attribute = name.module, name.name
    if "\n" in module + attribute or not module or mapped_name(module, attribute) != (module, attribute):
        raise Refused(f"{str(name)[:100]!r} cannot be written as a name in protocol 2")
    return b"c" + module.encode() + b"\n" + attribute.encode() + b"\n"


def _batches(values: Iterable[object], close: bytes) -> Iterator[object]:
    rest = iter(values)
    while batch := list(islice(rest, _BATCH)):
        yield _MARK
        yield from batch
        yield _Then(close)


_NO_FROZENSET: Final = (
    "a frozenset stands as a dictionary's key or a set's member: torch loads none with weights_only, and a set cannot stand there. "
    "Have a rule replace it"
)


def _holds_frozenset(key: object) -> bool:
    return type(key) is frozenset or (type(key) is tuple and any(map(_holds_frozenset, key)))


def _flat(items: dict[Any, Any]) -> Iterator[object]:
    """Keys and values in turn; nothing is looked at before the first is asked for, as a dict is met again wherever it is shared."""
    if any(type(key) is not str and _holds_frozenset(key) for key in items):
        raise Refused(_NO_FROZENSET)
    yield from chain.from_iterable(items.items())


def _order(member: object) -> tuple[str, str]:
    kind = type(member).__name__
    return kind, "" if isinstance(member, (Call, Storage)) else repr(member)
