"""A pickle program, interpreted into plain containers and records. Nothing is imported and nothing is called for it.

The opcodes are those of protocols 0 to 5 (CPython's Lib/pickletools.py describes each). Other than in `pickle`, a GLOBAL is its
name, a REDUCE is a record, BUILD fills that record, and what no pickler writes is turned down instead of guessed at.
"""

from __future__ import annotations

import codecs
import re
import struct
from collections.abc import Callable
from typing import Final, TypeAlias

from legacy.checkpoint.errors import Damaged, Refused
from legacy.checkpoint.machine import Machine, Truncated

MAX_OPERATIONS: Final = 1 << 24  # a checkpoint of 70,000 tensors has 3 million

Operation: TypeAlias = Callable[[Machine], None]
_STOP: Final = ord(".")
_NAMES: Final = {_STOP: "STOP"}


def run(machine: Machine) -> object:
    """The object that the program at the machine's position makes; leaves the position behind the program's end.

    Raises `Damaged` (`Truncated` where the code ends too early) or `Refused`, naming the byte and the opcode.
    """
    code, operations, at = machine.code, _OPERATIONS, machine.position
    try:
        for _ in range(MAX_OPERATIONS):
            at = machine.position
            opcode = code[at]
            machine.position = at + 1
            if opcode == _STOP:
                return machine.result()
            operations[opcode](machine)
    except Truncated:
        raise
    except (Damaged, Refused) as error:
        raise type(error)(f"{_place(code, at)}: {error}") from None
    except (IndexError, KeyError, TypeError, ValueError, OverflowError, RecursionError, struct.error) as error:
        if machine.position >= len(code):
            raise Truncated(f"the pickle ends in the middle, after {len(code):,} bytes") from None
        reason = "the stack or the memo has no such entry" if isinstance(error, LookupError) else str(error)
        raise Damaged(f"{_place(code, at)}: {reason}") from None
    raise Refused(f"the pickle has over {MAX_OPERATIONS:,} operations, which no checkpoint needs")


def _place(code: bytes, at: int) -> str:
    return f"byte {at:,} of the pickle ({_NAMES.get(code[at], f'0x{code[at]:02x}')})"


def _unknown(machine: Machine) -> None:
    raise Damaged("no such opcode in protocols 0 to 5")


_OPERATIONS: Final[list[Operation]] = [_unknown] * 256


def _opcode(code: int, name: str) -> Callable[[Operation], Operation]:
    def register(operation: Operation) -> Operation:
        _OPERATIONS[code], _NAMES[code] = operation, name
        return operation

    return register


# Constants and numbers


def _constant(code: int, name: str, value: object) -> None:
    @_opcode(code, name)
    def push(machine: Machine) -> None:
        machine.stack.append(value)


_constant(0x4E, "NONE", None)
_constant(0x88, "NEWTRUE", True)
_constant(0x89, "NEWFALSE", False)
_constant(0x29, "EMPTY_TUPLE", ())


@_opcode(0x4B, "BININT1")
def _binint1(machine: Machine) -> None:
    machine.stack.append(machine.code[machine.position])
    machine.position += 1


@_opcode(0x4D, "BININT2")
def _binint2(machine: Machine) -> None:
    machine.stack.append(machine.little(2))


@_opcode(0x4A, "BININT")
def _binint(machine: Machine) -> None:
    machine.stack.append(machine.little(4, signed=True))


@_opcode(0x8A, "LONG1")
def _long1(machine: Machine) -> None:
    machine.stack.append(machine.little(machine.little(1), signed=True))


@_opcode(0x8B, "LONG4")
def _long4(machine: Machine) -> None:
    machine.stack.append(machine.little(machine.little(4, signed=True), signed=True))


@_opcode(0x47, "BINFLOAT")
def _binfloat(machine: Machine) -> None:
    machine.stack.append(struct.unpack(">d", machine.take(8))[0])


@_opcode(0x49, "INT")
def _int(machine: Machine) -> None:
    here = machine.position
    if machine.code[here : here + 3] in (b"00\n", b"01\n"):  # protocol 0's way to write False and True
        machine.position += 3
        machine.stack.append(machine.code[here + 1] == ord("1"))
    else:
        machine.stack.append(machine.decimal())


@_opcode(0x4C, "LONG")
def _long(machine: Machine) -> None:
    machine.stack.append(machine.decimal())


@_opcode(0x46, "FLOAT")
def _float(machine: Machine) -> None:
    machine.stack.append(float(machine.line()))


# Text and bytes


def _text(code: int, name: str, width: int) -> None:
    @_opcode(code, name)
    def push(machine: Machine) -> None:
        machine.stack.append(str(machine.take(machine.little(width)), "utf-8", "surrogatepass"))


_text(0x8C, "SHORT_BINUNICODE", 1)
_text(0x58, "BINUNICODE", 4)
_text(0x8D, "BINUNICODE8", 8)


@_opcode(0x56, "UNICODE")
def _unicode(machine: Machine) -> None:
    # The codec's function, not its name: looking a codec up by name imports a module.
    machine.stack.append(codecs.raw_unicode_escape_decode(machine.line())[0])


def _bytes(code: int, name: str, width: int) -> None:
    @_opcode(code, name)
    def push(machine: Machine) -> None:
        machine.stack.append(machine.take(machine.little(width)))


_bytes(0x43, "SHORT_BINBYTES", 1)
_bytes(0x42, "BINBYTES", 4)
_bytes(0x8E, "BINBYTES8", 8)


@_opcode(0x96, "BYTEARRAY8")
def _bytearray8(machine: Machine) -> None:
    machine.stack.append(bytearray(machine.take(machine.little(8))))


def _python2_string(data: bytes) -> str | bytes:
    """Python 2's `str` was text or bytes: text where it decodes."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data


@_opcode(0x55, "SHORT_BINSTRING")
def _short_binstring(machine: Machine) -> None:
    machine.stack.append(_python2_string(machine.take(machine.little(1))))


@_opcode(0x54, "BINSTRING")
def _binstring(machine: Machine) -> None:
    machine.stack.append(_python2_string(machine.take(machine.little(4, signed=True))))


_QUOTED: Final = re.compile(
    rb"""(['"])((?:[^\\]|\\(?:[\\'"abfnrtv]|[0-3]?[0-7]{1,2}|x[0-9a-fA-F]{2}))*)\1""", re.DOTALL
)


@_opcode(0x53, "STRING")
def _string(machine: Machine) -> None:
    quoted = _QUOTED.fullmatch(machine.line())
    if quoted is None:
        raise Damaged("a string without its quotes or with an unknown escape")
    machine.stack.append(_python2_string(codecs.escape_decode(quoted[2])[0]))


# Containers


@_opcode(0x28, "MARK")
def _mark(machine: Machine) -> None:
    machine.marked.append(machine.stack)
    machine.stack = []


@_opcode(0x74, "TUPLE")
def _tuple(machine: Machine) -> None:
    members = machine.pop_mark()
    machine.stack.append(tuple(members))


@_opcode(0x85, "TUPLE1")
def _tuple1(machine: Machine) -> None:
    stack = machine.stack
    stack[-1] = (stack[-1],)


@_opcode(0x86, "TUPLE2")
def _tuple2(machine: Machine) -> None:
    last = machine.stack.pop()
    machine.stack[-1] = (machine.stack[-1], last)


@_opcode(0x87, "TUPLE3")
def _tuple3(machine: Machine) -> None:
    last, middle = machine.stack.pop(), machine.stack.pop()
    machine.stack[-1] = (machine.stack[-1], middle, last)


@_opcode(0x5D, "EMPTY_LIST")
def _empty_list(machine: Machine) -> None:
    machine.stack.append([])


@_opcode(0x6C, "LIST")
def _list(machine: Machine) -> None:
    members = machine.pop_mark()
    machine.stack.append(members)


@_opcode(0x61, "APPEND")
def _append(machine: Machine) -> None:
    machine.extend([machine.stack.pop()])


@_opcode(0x65, "APPENDS")
def _appends(machine: Machine) -> None:
    machine.extend(machine.pop_mark())


@_opcode(0x7D, "EMPTY_DICT")
def _empty_dict(machine: Machine) -> None:
    machine.stack.append({})


@_opcode(0x64, "DICT")
def _dict(machine: Machine) -> None:
    flat = machine.pop_mark()
    machine.stack.append({})
    machine.update(flat)


@_opcode(0x73, "SETITEM")
def _setitem(machine: Machine) -> None:
    value, key = machine.stack.pop(), machine.stack.pop()
    machine.update([key, value])


@_opcode(0x75, "SETITEMS")
def _setitems(machine: Machine) -> None:
    machine.update(machine.pop_mark())


@_opcode(0x8F, "EMPTY_SET")
def _empty_set(machine: Machine) -> None:
    machine.stack.append(set())


@_opcode(0x90, "ADDITEMS")
def _additems(machine: Machine) -> None:
    members = machine.pop_mark()
    target = machine.stack[-1]
    if type(target) is not set:
        raise Damaged(f"members are added to a {type(target).__name__}")
    machine.keys.check_all(members)
    target.update(members)


@_opcode(0x91, "FROZENSET")
def _frozenset(machine: Machine) -> None:
    members = machine.pop_mark()
    machine.keys.check_all(members)
    machine.stack.append(frozenset(members))


# The stack and the memo


@_opcode(0x30, "POP")
def _pop(machine: Machine) -> None:
    if machine.stack:
        machine.stack.pop()
    else:
        machine.pop_mark()


@_opcode(0x31, "POP_MARK")
def _pop_mark(machine: Machine) -> None:
    machine.pop_mark()


@_opcode(0x32, "DUP")
def _dup(machine: Machine) -> None:
    machine.stack.append(machine.stack[-1])


@_opcode(0x71, "BINPUT")
def _binput(machine: Machine) -> None:
    machine.put(machine.code[machine.position])
    machine.position += 1


@_opcode(0x72, "LONG_BINPUT")
def _long_binput(machine: Machine) -> None:
    machine.put(machine.little(4))


@_opcode(0x70, "PUT")
def _put(machine: Machine) -> None:
    machine.put(machine.decimal())


@_opcode(0x94, "MEMOIZE")
def _memoize(machine: Machine) -> None:
    machine.put(len(machine.memo) + len(machine.sparse))


@_opcode(0x68, "BINGET")
def _binget(machine: Machine) -> None:
    machine.get(machine.code[machine.position])
    machine.position += 1


@_opcode(0x6A, "LONG_BINGET")
def _long_binget(machine: Machine) -> None:
    machine.get(machine.little(4))


@_opcode(0x67, "GET")
def _get(machine: Machine) -> None:
    machine.get(machine.decimal())


# Names, and calls that do not happen


@_opcode(0x63, "GLOBAL")
def _global(machine: Machine) -> None:
    module, name = machine.line(), machine.line()
    machine.push_global(module.decode("utf-8"), name.decode("utf-8"))


@_opcode(0x93, "STACK_GLOBAL")
def _stack_global(machine: Machine) -> None:
    name, module = machine.stack.pop(), machine.stack.pop()
    if type(module) is not str or type(name) is not str:
        raise Damaged(f"a global's name is a {type(name).__name__} in a {type(module).__name__}, not text")
    machine.push_global(module, name)


@_opcode(0x52, "REDUCE")
def _reduce(machine: Machine) -> None:
    args, function = machine.stack.pop(), machine.stack.pop()
    machine.push_call(function, args, "reduce")


@_opcode(0x81, "NEWOBJ")
def _newobj(machine: Machine) -> None:
    args, function = machine.stack.pop(), machine.stack.pop()
    machine.push_call(function, args, "newobj")


@_opcode(0x92, "NEWOBJ_EX")
def _newobj_ex(machine: Machine) -> None:
    kwargs, args, function = machine.stack.pop(), machine.stack.pop(), machine.stack.pop()
    machine.push_call(function, args, "newobj_ex", kwargs)


@_opcode(0x69, "INST")
def _inst(machine: Machine) -> None:
    module, name = machine.line(), machine.line()
    args = tuple(machine.pop_mark())
    machine.push_global(module.decode("utf-8"), name.decode("utf-8"))
    machine.push_call(machine.stack.pop(), args, "reduce" if args else "newobj")


@_opcode(0x6F, "OBJ")
def _obj(machine: Machine) -> None:
    function, *args = machine.pop_mark()
    machine.push_call(function, tuple(args), "reduce" if args else "newobj")


@_opcode(0x62, "BUILD")
def _build(machine: Machine) -> None:
    machine.build()


@_opcode(0x51, "BINPERSID")
def _binpersid(machine: Machine) -> None:
    machine.push_persistent(machine.stack.pop())


# Framing, and what is not to be had


@_opcode(0x80, "PROTO")
def _proto(machine: Machine) -> None:
    machine.protocol = machine.little(1)
    if machine.protocol > 5:
        raise Refused(f"protocol {machine.protocol}; known are 0 to 5")


@_opcode(0x95, "FRAME")
def _frame(machine: Machine) -> None:
    length = machine.little(8)
    if length > len(machine.code) - machine.position:
        raise Truncated(f"a frame of {length:,} bytes begins where {len(machine.code) - machine.position:,} are left")


def _refused(code: int, name: str, reason: str) -> None:
    @_opcode(code, name)
    def refuse(machine: Machine) -> None:
        raise Refused(reason)


_refused(0x50, "PERSID", "a storage by a line of text, which torch neither writes nor reads")
_refused(0x82, "EXT1", "a class by its number in a registry that is not in the file")
_refused(0x83, "EXT2", "a class by its number in a registry that is not in the file")
_refused(0x84, "EXT4", "a class by its number in a registry that is not in the file")
_refused(0x97, "NEXT_BUFFER", "bytes that lie outside of the file")
_refused(0x98, "READONLY_BUFFER", "bytes that lie outside of the file")
