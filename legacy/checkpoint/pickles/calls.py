"""Opcodes of names, of calls that do not happen, and of the frame around it all."""

from __future__ import annotations

from legacy.checkpoint.errors import Damaged, Refused
from legacy.checkpoint.pickles.machine import Machine, Truncated
from legacy.checkpoint.pickles.opcodes import opcode, refused


@opcode(0x63, "GLOBAL")
def _global(machine: Machine) -> None:
    module, name = machine.line(), machine.line()
    machine.push_global(module.decode("utf-8"), name.decode("utf-8"))


@opcode(0x93, "STACK_GLOBAL")
def _stack_global(machine: Machine) -> None:
    name, module = machine.stack.pop(), machine.stack.pop()
    if type(module) is not str or type(name) is not str:
        raise Damaged(f"a global's name is a {type(name).__name__} in a {type(module).__name__}, not text")
    machine.push_global(module, name)


@opcode(0x52, "REDUCE")
def _reduce(machine: Machine) -> None:
    args, function = machine.stack.pop(), machine.stack.pop()
    machine.push_call(function, args, "reduce")


@opcode(0x81, "NEWOBJ")
def _newobj(machine: Machine) -> None:
    args, function = machine.stack.pop(), machine.stack.pop()
    machine.push_call(function, args, "newobj")


@opcode(0x92, "NEWOBJ_EX")
def _newobj_ex(machine: Machine) -> None:
    kwargs, args, function = machine.stack.pop(), machine.stack.pop(), machine.stack.pop()
    machine.push_call(function, args, "newobj_ex", kwargs)


@opcode(0x69, "INST")
def _inst(machine: Machine) -> None:
    module, name = machine.line(), machine.line()
    args = tuple(machine.pop_mark())
    machine.push_global(module.decode("utf-8"), name.decode("utf-8"))
    machine.push_call(machine.stack.pop(), args, "reduce" if args else "newobj")


@opcode(0x6F, "OBJ")
def _obj(machine: Machine) -> None:
    function, *args = machine.pop_mark()
    machine.push_call(function, tuple(args), "reduce" if args else "newobj")


@opcode(0x62, "BUILD")
def _build(machine: Machine) -> None:
    machine.build()


@opcode(0x51, "BINPERSID")
def _binpersid(machine: Machine) -> None:
    machine.push_persistent(machine.stack.pop())


# Framing, and what is not to be had


@opcode(0x80, "PROTO")
def _proto(machine: Machine) -> None:
    machine.protocol = machine.little(1)
    if machine.protocol > 5:
        raise Refused(f"protocol {machine.protocol}; known are 0 to 5")


@opcode(0x95, "FRAME")
def _frame(machine: Machine) -> None:
    length = machine.little(8)
    if length > len(machine.code) - machine.position:
        raise Truncated(f"a frame of {length:,} bytes begins where {len(machine.code) - machine.position:,} are left")


refused(0x50, "PERSID", "a storage by a line of text, which torch neither writes nor reads")
refused(0x82, "EXT1", "a class by its number in a registry that is not in the file")
refused(0x83, "EXT2", "a class by its number in a registry that is not in the file")
refused(0x84, "EXT4", "a class by its number in a registry that is not in the file")
refused(0x97, "NEXT_BUFFER", "bytes that lie outside of the file")
refused(0x98, "READONLY_BUFFER", "bytes that lie outside of the file")
