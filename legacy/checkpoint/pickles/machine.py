"""The machine that a pickle program runs on: a stack, marks, a memo, and containers to fill. `unpickle` has the opcodes."""

from __future__ import annotations

import contextlib
import gc
import re
import struct
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from legacy.checkpoint.errors import Damaged, Refused
from legacy.checkpoint.pickles.keys import Keys
from legacy.checkpoint.pickles.plain import PLAIN_HOMES, plain_result
from legacy.checkpoint.records import ABSENT, Call, Global, How, Ordered
from legacy.checkpoint.storages import StorageTable

UNSIGNED4: Final[Callable[[bytes, int], tuple[int]]] = struct.Struct("<I").unpack_from


_LONGEST_NAME, _MOST_NAMES = 1_000, 10_000
_MOST_MADE: Final = 600_000  # six for a tensor of an unusual form; one byte in the file is up to 200 in memory


class Truncated(Damaged):
    """The program goes on after the end of what was given: `missing` bytes at the least."""

    def __init__(self, message: str, missing: int = 1) -> None:
        super().__init__(message)
        self.missing = missing


# The parts of the persistent id but for the key, the storage's dtype and device, the other arguments, those of them that are memoised.
Meaning: TypeAlias = tuple[object, Global, str | bytes, int, str, str, tuple[object, ...], list[tuple[int, ...]]]


@dataclass(slots=True, eq=False)
class Spelling:
    """One way to spell a tensor (`usual`), but for its storage's key and for how far the memo is: its code, and what that means."""

    before: bytes  # the key, and its length at the end
    after: int  # the code after it, as one number, with the places in the memo counted from 0
    ones: int  # what one place more adds to that number
    begin: int  # of the code after the key, from the first
    end: int
    meaning: Meaning
    # Of the tensor that came next, the last time, by that of the one before: a weight's state is two tensors that are spelled alike.
    followers: dict[Spelling | None, Spelling] = field(default_factory=dict)


class Machine:
    """The state of one run. `names` has where each global is first named, whether or not the result holds it."""

    __slots__ = (
        "code",
        "copied",
        "keys",
        "last",
        "last_but_one",
        "made",
        "marked",
        "memo",
        "names",
        "position",
        "protocol",
        "sparse",
        "spelled",
        "stack",
        "storages",
    )

    def __init__(self, code: bytes, position: int = 0, storages: StorageTable | None = None) -> None:
        self.code = code
        self.position = position
        self.storages = storages
        self.names: dict[Global, int] = {}
        self.protocol = 0
        self.stack: list[object] = []
        self.marked: list[list[object]] = []
        self.memo: list[object] = []  # picklers count up from 0
        self.sparse: dict[int, object] = {}  # what was put elsewhere
        # How usual tensors were spelled, while the memo only grows; and the last two of them.
        self.spelled: dict[tuple[bytes, int, int], Spelling] = {}
        self.last: Spelling | None = None
        self.last_but_one: Spelling | None = None
        self.keys = Keys()
        self.copied = 0
        self.made = 0

    def result(self) -> object:
        if len(self.stack) != 1 or self.marked:
            raise Damaged(f"{len(self.stack)} objects are left at the end, where a pickle has one")
        return self.stack.pop()

    # Reading arguments

    def take(self, count: int) -> bytes:
        start, end = self.position, self.position + count
        if count < 0:
            raise Damaged(f"a length of {count}")
        if end > len(self.code):
            left = len(self.code) - start
            raise Truncated(f"an argument of {count:,} bytes begins where {left:,} are left", count - left)
        self.position = end
        return self.code[start:end]

    def little(self, count: int, signed: bool = False) -> int:
        return int.from_bytes(self.take(count), "little", signed=signed)

    def line(self) -> bytes:
        end = self.code.find(b"\n", self.position)
        if end < 0:
            raise Truncated("a line has no end")
        start, self.position = self.position, end + 1
        return self.code[start:end]

    def decimal(self) -> int:
        text = self.line().removesuffix(b"L")
        if not re.fullmatch(rb"-?[0-9]+", text):
            raise Damaged(f"{text[:40]!r} where a whole number should be")
        return int(text)

    # The stack and the memo

    def pop_mark(self) -> list[object]:
        above, self.stack = self.stack, self.marked.pop()
        return above

    def put(self, index: int) -> None:
        if index == len(self.memo):
            self.memo.append(self.stack[-1])
            self.sparse.pop(index, None)
        elif 0 <= index < len(self.memo):
            self.memo[index] = self.stack[-1]
            self.spelled.clear()
            self.last = self.last_but_one = None
        elif index > 0:
            self.sparse[index] = self.stack[-1]
        else:
            raise Damaged(f"a place in the memo of {index}")

    def get(self, index: int) -> None:
        if index < 0:
            raise Damaged(f"a place in the memo of {index}")
        self.stack.append(self.memo[index] if index < len(self.memo) else self.sparse[index])

    def count(self) -> None:
        """One more container, call or mark. Raises `Refused` where there are too many."""
        self.made += 1
        if self.made > _MOST_MADE:
            raise Refused(f"over {_MOST_MADE:,} containers, which no checkpoint has")

    def push_global(self, module: str, name: str) -> None:
        if len(module) + len(name) > _LONGEST_NAME:
            raise Refused(f"a name of {len(module) + len(name):,} characters, over the limit of {_LONGEST_NAME:,}")
        if len(self.names) > _MOST_NAMES:
            raise Refused(f"over {_MOST_NAMES:,} different names")
        if self.protocol < 3:
            module, name = mapped_name(module, name)
        found = Global(module, name)
        self.names.setdefault(found, self.position)
        self.stack.append(found)

    def push_call(self, function: object, args: object, how: How, kwargs: object = None) -> None:
        self.count()
        if type(args) is not tuple:
            raise Damaged(f"a {type(args).__name__} where a call's arguments should be")
        if type(function) is not Global and type(function) is not Call:
            raise Damaged(f"a {type(function).__name__} where something to call should be")
        result: object = ABSENT
        if type(function) is Global and how == "reduce" and function.module in PLAIN_HOMES:
            self._charge(args)
            result = plain_result(function, args, self.keys)
        self.stack.append(Call(function, args, how, kwargs) if result is ABSENT else result)

    def _charge(self, args: tuple[object, ...]) -> None:
        """Plain results are copies of what they are made of, which a pickler writes once for each."""
        self.copied += sum(len(each) for each in args if isinstance(each, (list, str, bytes)))
        if self.copied > 2 * len(self.code):
            raise Refused("it makes the same containers over and over, which take more than the file has bytes")

    def push_persistent(self, identifier: object) -> None:
        if self.storages is None:
            raise Damaged("a reference to a storage, of which a plain pickle has none")
        self.stack.append(self.storages.resolve(identifier))

    # Filling containers

    def extend(self, members: list[object]) -> None:
        target = self.stack[-1]
        if type(target) is list:
            target.extend(members)
        elif type(target) is Call:
            if target.appended is None:
                target.appended = members
            else:
                target.appended.extend(members)
        else:
            raise Damaged(f"members are appended to a {type(target).__name__}")

    def update(self, flat: list[object]) -> None:
        if len(flat) % 2:
            raise Damaged("a key has no value")
        target = self.stack[-1]
        if type(target) is Call:
            if target.items is None:
                target.items = {}
            target = target.items
        elif type(target) is not dict and type(target) is not Ordered:
            raise Damaged(f"items are set in a {type(target).__name__}")
        keys = flat[::2]
        self.keys.check_all(keys)
        target.update(zip(keys, flat[1::2], strict=True))

    def build(self) -> None:
        state = self.stack.pop()
        target = self.stack[-1]
        if type(target) is Ordered and type(state) is dict and target.attributes is None:
            target.attributes = state
        elif type(target) is Call and target.state is ABSENT:
            target.state = state
        elif type(target) is Call or type(target) is Ordered:
            raise Refused("an object's state is set twice or is no state, which no pickler does")
        else:
            raise Refused(f"the state of a {type(target).__name__} is set, which no pickler does")


def mapped_name(module: str, name: str) -> tuple[str, str]:
    """What protocols 0 to 2 mean by a name of Python 2."""
    return NAME_MAPPING.get((module, name)) or (IMPORT_MAPPING.get(module, module), name)


@contextlib.contextmanager
def uncollected() -> Iterator[None]:
    """Without the garbage collector, which would look through all that is being built, again and again, and find nothing."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
