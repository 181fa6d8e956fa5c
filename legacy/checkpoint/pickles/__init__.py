"""Pickle programs, interpreted into plain containers and records. Nothing is imported and nothing is called for them.

The opcodes are those of protocols 0 to 5 (CPython's Lib/pickletools.py describes each). Other than in `pickle`, a GLOBAL is its
name, a REDUCE is a record, BUILD fills that record, and what no pickler writes is turned down instead of guessed at.
"""

from __future__ import annotations

import struct
from typing import Final

from legacy.checkpoint.errors import Damaged, Refused
from legacy.checkpoint.pickles import calls, containers, values  # noqa: F401  (they fill the table)
from legacy.checkpoint.pickles.machine import Machine, Truncated
from legacy.checkpoint.pickles.opcodes import NAMES, OPERATIONS, STOP

MAX_OPERATIONS: Final = 1 << 22  # a checkpoint of 70,000 tensors has 3 million, one of the usual form a sixth of that


def run(machine: Machine) -> object:
    """The object that the program at the machine's position makes; leaves the position behind the program's end.

    Raises `Damaged` (`Truncated` where the code ends too early) or `Refused`, naming the byte and the opcode.
    """
    code, operations, at = machine.code, OPERATIONS, machine.position
    try:
        for _ in range(MAX_OPERATIONS):
            at = machine.position
            opcode = code[at]
            machine.position = at + 1
            if opcode == STOP:
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
    return f"byte {at:,} of the pickle ({NAMES.get(code[at], f'0x{code[at]:02x}')})"
