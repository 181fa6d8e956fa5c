"""Opcodes of containers, of the stack and of the memo."""

from __future__ import annotations

from legacy.checkpoint.errors import Damaged
from legacy.checkpoint.pickles.machine import UNSIGNED4, Machine
from legacy.checkpoint.pickles.opcodes import opcode
from legacy.checkpoint.pickles.usual import usual_tensor


@opcode(0x28, "MARK")
def _mark(machine: Machine) -> None:
    here = machine.position
    if machine.code[here] == 0x28 and usual_tensor(machine, here - 1):
        return
    machine.count()
    machine.marked.append(machine.stack)
    machine.stack = []


@opcode(0x74, "TUPLE")
def _tuple(machine: Machine) -> None:
    members = machine.pop_mark()
    machine.stack.append(tuple(members))


@opcode(0x85, "TUPLE1")
def _tuple1(machine: Machine) -> None:
    machine.count()
    stack = machine.stack
    stack[-1] = (stack[-1],)


@opcode(0x86, "TUPLE2")
def _tuple2(machine: Machine) -> None:
    machine.count()
    last = machine.stack.pop()
    machine.stack[-1] = (machine.stack[-1], last)


@opcode(0x87, "TUPLE3")
def _tuple3(machine: Machine) -> None:
    machine.count()
    last, middle = machine.stack.pop(), machine.stack.pop()
    machine.stack[-1] = (machine.stack[-1], middle, last)


@opcode(0x5D, "EMPTY_LIST")
def _empty_list(machine: Machine) -> None:
    machine.count()
    machine.stack.append([])


@opcode(0x6C, "LIST")
def _list(machine: Machine) -> None:
    members = machine.pop_mark()
    machine.stack.append(members)


@opcode(0x61, "APPEND")
def _append(machine: Machine) -> None:
    machine.extend([machine.stack.pop()])


@opcode(0x65, "APPENDS")
def _appends(machine: Machine) -> None:
    machine.extend(machine.pop_mark())


@opcode(0x7D, "EMPTY_DICT")
def _empty_dict(machine: Machine) -> None:
    machine.count()
    machine.stack.append({})


@opcode(0x64, "DICT")
def _dict(machine: Machine) -> None:
    flat = machine.pop_mark()
    machine.stack.append({})
    machine.update(flat)


@opcode(0x73, "SETITEM")
def _setitem(machine: Machine) -> None:
    value, key = machine.stack.pop(), machine.stack.pop()
    machine.update([key, value])


@opcode(0x75, "SETITEMS")
def _setitems(machine: Machine) -> None:
    machine.update(machine.pop_mark())


@opcode(0x8F, "EMPTY_SET")
def _empty_set(machine: Machine) -> None:
    machine.count()
    machine.stack.append(set())


@opcode(0x90, "ADDITEMS")
def _additems(machine: Machine) -> None:
    members = machine.pop_mark()
    target = machine.stack[-1]
    if type(target) is not set:
        raise Damaged(f"members are added to a {type(target).__name__}")
    machine.keys.check_all(members)
    target.update(members)


@opcode(0x91, "FROZENSET")
def _frozenset(machine: Machine) -> None:
    members = machine.pop_mark()
    machine.keys.check_all(members)
    machine.stack.append(frozenset(members))


# The stack and the memo


@opcode(0x30, "POP")
def _pop(machine: Machine) -> None:
    if machine.stack:
        machine.stack.pop()
    else:
        machine.pop_mark()


@opcode(0x31, "POP_MARK")
def _pop_mark(machine: Machine) -> None:
    machine.pop_mark()


@opcode(0x32, "DUP")
def _dup(machine: Machine) -> None:
    machine.stack.append(machine.stack[-1])


@opcode(0x71, "BINPUT")
def _binput(machine: Machine) -> None:
    machine.put(machine.code[machine.position])
    machine.position += 1


@opcode(0x72, "LONG_BINPUT")
def _long_binput(machine: Machine) -> None:  # a quarter of a large checkpoint's operations, so nothing is called for it
    start, memo = machine.position, machine.memo
    machine.position = start + 4  # first: past the end, the error that follows is one of a truncated program
    (index,) = UNSIGNED4(machine.code, start)
    if index == len(memo) and not machine.sparse:
        memo.append(machine.stack[-1])
    else:
        machine.put(index)


@opcode(0x70, "PUT")
def _put(machine: Machine) -> None:
    machine.put(machine.decimal())


@opcode(0x94, "MEMOIZE")
def _memoize(machine: Machine) -> None:
    machine.put(len(machine.memo) + len(machine.sparse))


@opcode(0x68, "BINGET")
def _binget(machine: Machine) -> None:
    index, memo = machine.code[machine.position], machine.memo
    machine.position += 1
    machine.stack.append(memo[index] if index < len(memo) else machine.sparse[index])


@opcode(0x6A, "LONG_BINGET")
def _long_binget(machine: Machine) -> None:
    start, memo = machine.position, machine.memo
    machine.position = start + 4
    (index,) = UNSIGNED4(machine.code, start)
    machine.stack.append(memo[index] if index < len(memo) else machine.sparse[index])


@opcode(0x67, "GET")
def _get(machine: Machine) -> None:
    machine.get(machine.decimal())
