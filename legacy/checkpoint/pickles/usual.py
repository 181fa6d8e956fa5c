"""The three dozen operations by which `torch.save` spells nearly every tensor, done in one go.

A shortcut, not another meaning: what it leaves behind (stack, memo, position) is what the operations one by one would, and what is not
to the letter of this form is left to them. A checkpoint of many tensors is read in half the time.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from functools import lru_cache
from typing import Final

from legacy.checkpoint.pickles.machine import Machine
from legacy.checkpoint.pickles.plain import ORDERED_DICT, TENSOR
from legacy.checkpoint.records import Call, Ordered

_NUMBER: Final = rb"(?:K.|M..|J....)"
_GET: Final = rb"(h.|j....)"
_PUT: Final = rb"r(....)"
_SIZES: Final = rb"(?:\)|(%b\x85|%b{2}\x86|%b{3}\x87|\(%b{4,16}t)%b)" % (*[_NUMBER] * 4, _PUT)
_FORM: Final = re.compile(
    # ('storage', class, key, place, size) as a persistent id
    rb"\(\(%b%bX(....)([0-9]{1,10})%b%b(%b)t%bQ" % (_GET, _GET, _PUT, _GET, _NUMBER, _PUT)
    # offset, shape, stride, gradient, no hooks; the call
    + rb"(%b)%b%b([\x88\x89])%b\)R%bt%bR%b" % (_NUMBER, _SIZES, _SIZES, _GET, _PUT, _PUT, _PUT),
    re.DOTALL,
)
# Consecutive numbers from n on, 32 bits each, read as one number: n times the first plus the second. By the bytes they take.
_PUTS: Final = {
    4 * count: (sum(1 << 32 * n for n in range(count)), sum(n << 32 * n for n in range(count))) for count in (5, 6, 7)
}
_NUMBERS: Final[dict[int, tuple[int, Callable[[bytes, int], tuple[int]]]]] = {
    opcode: (1 + struct.calcsize(form), struct.Struct(form).unpack_from)
    for opcode, form in ((0x4B, "<B"), (0x4D, "<H"), (0x4A, "<i"))
}


def usual_tensor(machine: Machine, start: int) -> bool:
    """Makes the tensor whose arguments begin with the MARK at `start`; False, with nothing done, where that is not certain."""
    stack, memo = machine.stack, machine.memo
    found = _FORM.match(machine.code, start)
    if found is None or not stack or stack[-1] is not TENSOR or machine.sparse or machine.persistent is None:
        return False
    (tag, kind, length, key, p0, place, size, p1, offset, shape, p2, stride, p3, gradient, hooks, p4, p5, p6) = (
        found.groups()
    )
    puts = b"".join(filter(None, (p0, p1, p2, p3, p4, p5, p6)))
    ones, counted = _PUTS[len(puts)]
    if int.from_bytes(puts, "little") != len(memo) * ones + counted:
        return False
    if len(key) != int.from_bytes(length, "little"):
        return False
    spelled = (tag, kind, place, size, offset, shape, stride, gradient, hooks)
    meant = machine.spelled.get(spelled)
    if meant is None:
        if _got(memo, hooks) is not ORDERED_DICT:
            return False
        sizes, steps = _numbers(shape), _numbers(stride)
        remembered = [made for made, code in ((sizes, shape), (steps, stride)) if code]
        rest = (_number(offset), sizes, steps, gradient == b"\x88")
        meant = _got(memo, tag), _got(memo, kind), _got(memo, place), _number(size), rest, remembered
    name, none = key.decode(), Ordered()
    identifier = (meant[0], meant[1], name, meant[2], meant[3])
    args = (machine.persistent(identifier), *meant[4], none)
    machine.spelled[spelled] = meant  # only now: all that it takes from the memo was there
    made = Call(TENSOR, args)
    memo += [name, identifier, *meant[5], none, args, made]
    stack[-1] = made
    machine.position = found.end()
    return True


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
