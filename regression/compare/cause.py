"""
The order of cause: by step, in a step by the turns of its optimisers, in a turn by phase, in a phase by quantity.

A step has several turns where several optimisers step one after the other; what they record is told apart by its number, `loss` and
`loss 2`. What is recorded once at the end of the step comes with the last of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from regression.trace import PHASES

if TYPE_CHECKING:
    from regression.compare.judge import Divergence

IN_TURNS = ("loss", "backward", "clip", "step")
# of a phase, in the order in which one makes the next differ; others behind them
QUANTITIES = (
    "order", "position", "evaluating", "frozen", "outputs", "options", "optimizer_state", "parameters", "buffers",
)  # fmt: skip


def base(quantity: str) -> str:
    """`options` of `options 2`."""
    name, _, number = quantity.rpartition(" ")
    return name if name and number.isdigit() else quantity


def _number(quantity: str) -> int:
    number = quantity.rpartition(" ")[2]
    return int(number) if number.isdigit() else 1


def last_turn(recorded: Iterable[tuple[str, str]]) -> int:
    """How many turns a step has, by the phases and quantities that it recorded."""
    return max((_number(quantity) for phase, quantity in recorded if phase in IN_TURNS), default=1)


def turn(phase: str, quantity: str, last: int) -> int:
    once = (phase, quantity) in (("step", "parameters"), ("step", "buffers"))
    if phase in IN_TURNS and not once:
        return _number(quantity)
    return last if once or PHASES.index(phase) > PHASES.index("step") else 1


def by_cause(of: Divergence) -> tuple[bool, int, int, int, int]:
    """A setting that differs comes last: it is told, but what it does is found where it does it."""
    quantity = base(of.quantity)
    rank = QUANTITIES.index(quantity) if quantity in QUANTITIES else len(QUANTITIES)
    return of.phase == "settings", of.step, of.turn, PHASES.index(of.phase), rank
