"""The table of opcodes: what each does to a machine, and its name. The operations register themselves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

from legacy.checkpoint.errors import Damaged, Refused
from legacy.checkpoint.pickles.machine import Machine

Operation: TypeAlias = Callable[[Machine], None]
STOP: Final = ord(".")
NAMES: Final = {STOP: "STOP"}


def _unknown(machine: Machine) -> None:
    raise Damaged("no such opcode in protocols 0 to 5")


OPERATIONS: Final[list[Operation]] = [_unknown] * 256


def opcode(code: int, name: str) -> Callable[[Operation], Operation]:
    """Registers the operation of an opcode."""

    def register(operation: Operation) -> Operation:
        OPERATIONS[code], NAMES[code] = operation, name
        return operation

    return register


def refused(code: int, name: str, reason: str) -> None:
    """Registers an opcode that no checkpoint needs and that could not be interpreted from the file alone."""

    @opcode(code, name)
    def refuse(machine: Machine) -> None:
        raise Refused(reason)
