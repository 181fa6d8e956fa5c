"""Opcodes of plain values: constants, numbers, text, bytes."""

from __future__ import annotations

import codecs
import re
import struct
from typing import Final

from legacy.checkpoint.errors import Damaged
from legacy.checkpoint.pickles.machine import UNSIGNED4, Machine
from legacy.checkpoint.pickles.opcodes import opcode

_UNSIGNED2: Final = struct.Struct("<H").unpack_from


def _constant(code: int, name: str, value: object) -> None:
    @opcode(code, name)
    def push(machine: Machine) -> None:
        machine.stack.append(value)


_constant(0x4E, "NONE", None)
_constant(0x88, "NEWTRUE", True)
_constant(0x89, "NEWFALSE", False)
_constant(0x29, "EMPTY_TUPLE", ())


@opcode(0x4B, "BININT1")
def _binint1(machine: Machine) -> None:
    machine.stack.append(machine.code[machine.position])
    machine.position += 1


@opcode(0x4D, "BININT2")
def _binint2(machine: Machine) -> None:
    start = machine.position
    machine.position = start + 2
    machine.stack.append(_UNSIGNED2(machine.code, start)[0])


@opcode(0x4A, "BININT")
def _binint(machine: Machine) -> None:
    machine.stack.append(machine.little(4, signed=True))


@opcode(0x8A, "LONG1")
def _long1(machine: Machine) -> None:
    machine.stack.append(machine.little(machine.little(1), signed=True))


@opcode(0x8B, "LONG4")
def _long4(machine: Machine) -> None:
    machine.stack.append(machine.little(machine.little(4, signed=True), signed=True))


@opcode(0x47, "BINFLOAT")
def _binfloat(machine: Machine) -> None:
    machine.stack.append(struct.unpack(">d", machine.take(8))[0])


@opcode(0x49, "INT")
def _int(machine: Machine) -> None:
    here = machine.position
    if machine.code[here : here + 3] in (b"00\n", b"01\n"):  # protocol 0's way to write False and True
        machine.position += 3
        machine.stack.append(machine.code[here + 1] == ord("1"))
    else:
        machine.stack.append(machine.decimal())


@opcode(0x4C, "LONG")
def _long(machine: Machine) -> None:
    machine.stack.append(machine.decimal())


@opcode(0x46, "FLOAT")
def _float(machine: Machine) -> None:
    machine.stack.append(float(machine.line()))


# Text and bytes


def _text(code: int, name: str, width: int) -> None:
    @opcode(code, name)
    def push(machine: Machine) -> None:
        machine.stack.append(str(machine.take(machine.little(width)), "utf-8", "surrogatepass"))


_text(0x8C, "SHORT_BINUNICODE", 1)


@opcode(0x58, "BINUNICODE")
def _binunicode(machine: Machine) -> None:
    start = machine.position + 4
    machine.position = start
    (length,) = UNSIGNED4(machine.code, start - 4)
    machine.stack.append(str(machine.take(length), "utf-8", "surrogatepass"))


_text(0x8D, "BINUNICODE8", 8)


@opcode(0x56, "UNICODE")
def _unicode(machine: Machine) -> None:
    # The codec's function, not its name: looking a codec up by name imports a module.
    machine.stack.append(codecs.raw_unicode_escape_decode(machine.line())[0])


def _bytes(code: int, name: str, width: int) -> None:
    @opcode(code, name)
    def push(machine: Machine) -> None:
        machine.stack.append(machine.take(machine.little(width)))


_bytes(0x43, "SHORT_BINBYTES", 1)
_bytes(0x42, "BINBYTES", 4)
_bytes(0x8E, "BINBYTES8", 8)


@opcode(0x96, "BYTEARRAY8")
def _bytearray8(machine: Machine) -> None:
    machine.stack.append(bytearray(machine.take(machine.little(8))))


def _python2_string(data: bytes) -> str | bytes:
    """Python 2's `str` was text or bytes: text where it decodes."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data


@opcode(0x55, "SHORT_BINSTRING")
def _short_binstring(machine: Machine) -> None:
    machine.stack.append(_python2_string(machine.take(machine.little(1))))


@opcode(0x54, "BINSTRING")
def _binstring(machine: Machine) -> None:
    machine.stack.append(_python2_string(machine.take(machine.little(4, signed=True))))


_ESCAPED: Final = re.compile(  # possessive (`*+`): what can be read in two ways is not tried in all of them
    rb"""(?:[^\\]|\\(?:[\\'"abfnrtv]|[0-3]?[0-7]{1,2}|x[0-9a-fA-F]{2}))*+""", re.DOTALL
)


@opcode(0x53, "STRING")
def _string(machine: Machine) -> None:
    line = machine.line()
    quoted = len(line) > 1 and line[:1] == line[-1:] and line[:1] in (b"'", b'"')
    if not quoted or not _ESCAPED.fullmatch(line, 1, len(line) - 1):
        raise Damaged("a string without its quotes or with an unknown escape")
    machine.stack.append(_python2_string(codecs.escape_decode(line[1:-1])[0]))
