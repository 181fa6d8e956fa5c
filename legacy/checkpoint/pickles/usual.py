"""The three dozen operations by which `torch.save` spells nearly every tensor, done in one go.

A shortcut, not another meaning: what it leaves behind (stack, memo, position) is what the operations one by one would, and what is not
to the letter of this form is left to them. A checkpoint of many tensors is read in a third of the time.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from functools import lru_cache
from typing import Final, TypeAlias

from legacy.checkpoint.pickles.machine import Machine, Meaning, Spelling
from legacy.checkpoint.pickles.plain import ORDERED_DICT, TENSOR
from legacy.checkpoint.records import Call, Global, Ordered
from legacy.checkpoint.storages import described

_NUMBER: Final = rb"(?:K.|M..|J....)"
_GET: Final = rb"(h.|j....)"
_PUT: Final = rb"r(....)"
_SIZES: Final = rb"(?:\)|(%b\x85|%b{2}\x86|%b{3}\x87|\(%b{4,16}t)%b)" % (*[_NUMBER] * 4, _PUT)
_BINUNICODE, _BINGET = 0x58, 0x68
_GETS: Final = {_BINGET: 2, 0x6A: 5}  # and how long they are
_FORM: Final = re.compile(
    # ('storage', class, key, place, size) as a persistent id
    rb"\(\(%b%bX(....)([0-9]{1,10})%b%b(%b)t%bQ" % (_GET, _GET, _PUT, _GET, _NUMBER, _PUT)
    # offset, shape, stride, gradient, no hooks; the call
    + rb"(%b)%b%b([\x88\x89])%b\)R%bt%bR%b" % (_NUMBER, _SIZES, _SIZES, _GET, _PUT, _PUT, _PUT),
    re.DOTALL,
)
_KEY: Final = 4  # the groups
_PUTS: Final = (5, 8, 11, 13, 16, 17, 18)
_NUMBERS: Final[dict[int, tuple[int, Callable[[bytes, int], tuple[int]]]]] = {
    opcode: (1 + struct.calcsize(form), struct.Struct(form).unpack_from)
    for opcode, form in ((0x4B, "<B"), (0x4D, "<H"), (0x4A, "<i"))
}
# How it is spelled, the key of its storage, where the code goes on.
_Found: TypeAlias = tuple[Spelling, bytes, int]


def usual_tensor(machine: Machine, start: int) -> bool:
    """Makes the tensor whose arguments begin with the MARK at `start`, and those of the same state dict that follow as foretold.

    False, with nothing done, where it is not certain that it is one.
    """
    stack, memo = machine.stack, machine.memo
    if not stack or stack[-1] is not TENSOR or machine.sparse or machine.storages is None:
        return False
    found = _as_foretold(machine, start, len(memo)) or _as_matched(machine, start)
    if found is None:
        return False
    stack[-1] = _made(machine, *found)
    function = machine.code[start - 2 : start]
    if function[0] == _BINGET and _got(memo, function) is TENSOR:
        _make_following(machine, function)
    return True


def _make_following(machine: Machine, function: bytes) -> None:
    """Entry after entry of a dict: a name, new or from the memo, the function from there, and what it is called with."""
    code, memo, stack = machine.code, machine.memo, machine.stack
    while True:
        at = machine.position
        name: object
        if code[at] == _BINUNICODE:
            text_end = at + 5 + int.from_bytes(code[at + 1 : at + 5], "little")
            end, put = text_end + 5, b"r" + len(memo).to_bytes(4, "little")
            if code[text_end:end] != put:
                return
            name = str(code[at + 5 : text_end], "utf-8", "surrogatepass")
            new = [name]
        elif code[at] in _GETS:
            end = at + _GETS[code[at]]
            name, new = _got(memo, code[at:end]), []
        else:
            return
        start = end + len(function)
        found = _as_foretold(machine, start, len(memo) + len(new)) if code.startswith(function, end) else None
        if found is None or name is None:
            return
        memo += new
        stack += (name, _made(machine, *found))


def _made(machine: Machine, spelling: Spelling, digits: bytes, end: int) -> Call:
    key, hooks = digits.decode(), Ordered()
    tag, kind, place, size, dtype, device, rest, remembered = spelling.meaning
    assert machine.storages is not None
    identifier = (tag, kind, key, place, size)
    args = (machine.storages.add(key, dtype, size, device), *rest, hooks)
    made = Call(TENSOR, args, looked_at=args)
    machine.memo += (key, identifier, *remembered, hooks, args, made)
    machine.position = end
    machine.last, machine.last_but_one = spelling, machine.last
    return made


def _as_foretold(machine: Machine, start: int, place: int) -> _Found | None:
    """As what came after the last two before: networks repeat themselves from layer to layer."""
    code, spelling = machine.code, machine.last and machine.last.followers.get(machine.last_but_one)
    if spelling is None or not code.startswith(spelling.before, start):
        return None
    begin, end = start + spelling.begin, start + spelling.end
    digits, after = code[start + len(spelling.before) : begin], int.from_bytes(code[begin:end], "little")
    return (spelling, digits, end) if after == spelling.after + place * spelling.ones and digits.isdigit() else None


def _as_matched(machine: Machine, start: int) -> _Found | None:
    code, memo = machine.code, machine.memo
    found = _FORM.match(code, start)
    if found is None or len(found[_KEY]) != int.from_bytes(found[_KEY - 1], "little"):
        return None
    begin, end = found.end(_KEY), found.end()
    puts = [8 * (found.start(group) - begin) for group in _PUTS if found[group] is not None]
    ones = sum(1 << put for put in puts)
    after = int.from_bytes(code[begin:end], "little") - len(memo) * ones
    spelled = (code[start : found.start(_KEY)], after, ones)
    spelling = machine.spelled.get(spelled)
    if spelling is None:
        counted = all(after >> put & 0xFFFFFFFF == index for index, put in enumerate(puts))
        meaning = _meaning(memo, found) if counted else None
        if meaning is None:
            return None
        spelling = machine.spelled[spelled] = Spelling(*spelled, begin - start, end - start, meaning)
    if machine.last is not None:
        machine.last.followers[machine.last_but_one] = spelling
    return spelling, found[_KEY], end


def _meaning(memo: list[object], found: re.Match[bytes]) -> Meaning | None:
    tag, kind, _, _, _, place, size, _, offset, shape, _, stride, _, gradient, hooks, *_ = found.groups()
    name, storage, device = _got(memo, tag), _got(memo, kind), _got(memo, place)
    if name not in ("storage", b"storage") or type(storage) is not Global or _got(memo, hooks) is not ORDERED_DICT:
        return None
    if not isinstance(device, (str, bytes)):
        return None
    count, sizes, steps = _number(size), _numbers(shape), _numbers(stride)
    if len(sizes) != len(steps):
        return None
    dtype, _, known = described(storage, device, count)
    rest = (_number(offset), sizes, steps, gradient == b"\x88")
    remembered = [made for made, written in ((sizes, shape), (steps, stride)) if written]
    return name, storage, device, count, dtype, known, rest, remembered


def _got(memo: list[object], get: bytes) -> object:
    index = int.from_bytes(get[1:], "little")
    return memo[index] if index < len(memo) else None


def _number(code: bytes) -> int:
    return _NUMBERS[code[0]][1](code, 1)[0]


@lru_cache(maxsize=4096)
def _numbers(code: bytes | None) -> tuple[int, ...]:
    """The numbers of a tuple; none for an empty one. Networks have few shapes."""
    made: list[int] = []
    at = 0 if code is None or code[0] != 0x28 else 1
    while code is not None and code[at] in _NUMBERS:
        length, unpack = _NUMBERS[code[at]]
        made += unpack(code, at + 1)
        at += length
    return tuple(made)
