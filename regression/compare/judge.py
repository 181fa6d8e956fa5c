"""Two traces, value by value."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, cast

from regression.compare.alignment import aligned
from regression.compare.bits import ABSENT, MOST_ULPS, apart, equal
from regression.compare.cause import by_cause, last_turn, turn
from regression.compare.comparable import SETTINGS_OF_THE_MACHINE, incomparable, notes, too_short
from regression.compare.expected import Expected
from regression.compare.flatten import Key, values
from regression.compare.meaning import Recorded, meaning
from regression.compare.own import neutral
from regression.trace import PHASES, Record, Trace, strict


@dataclass(frozen=True)
class Divergence:
    """One quantity of one step that differs. For tensors `old` and `new` are their 2-norms, `relative` is of these; `ulps` is of scalars."""

    step: int
    epoch: int
    phase: str
    quantity: str
    name: str
    old: Any
    new: Any
    max_abs: float | None = None
    relative: float | None = None
    ulps: int | None = None
    others: int = 0
    turn: int = 1
    meaning: str = ""

    def __str__(self) -> str:
        where = f"step {self.step} (epoch {self.epoch}), {self.phase}: {self.quantity}"
        name = f" {self.name}" if self.name else ""
        more = f", and {self.others} more" if self.others else ""
        by = ""
        if self.relative is not None:
            by = f", {self.relative:.2g} relative"
        if self.ulps is not None and self.ulps <= MOST_ULPS:
            by += f", {self.ulps} ulp"
        return f"{where}{name} is {_shown(self.old)} in the old run and {_shown(self.new)} in the new one{by}{more}"


@dataclass(frozen=True)
class Comparison:
    """What was found; `incomparable` is a sentence where the two are not runs of the same thing."""

    divergences: list[Divergence] = field(default_factory=list)
    incomparable: str = ""
    compared: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    localized: dict[str, Any] | None = None
    noise: dict[str, Any] | None = None
    expected: dict[str, int] = field(default_factory=dict)

    @property
    def same(self) -> bool:
        return not self.divergences and not self.incomparable

    @property
    def first(self) -> Divergence | None:
        return self.divergences[0] if self.divergences else None

    def to_json(self) -> dict[str, Any]:
        first = {**asdict(self.first), "tensor": self.first.name, "sentence": str(self.first)} if self.first else None
        made = {"same": self.same, **asdict(self), "first": first}
        return cast(dict[str, Any], strict(made))


def compare(old: Trace, new: Trace, expected: Sequence[Expected] = ()) -> Comparison:
    """All quantities that differ, the first cause first: by step, then by phase. Bits are compared, not closeness.

    What is `expected` to differ is counted, and no divergence. Where one run goes on from a later step than the other, or ends before it,
    the steps that both made are compared; a difference among them is told, and that they agree is not said of the whole.
    """
    found: list[Divergence] = []
    recorded: dict[int, set[tuple[str, str]]] = {}
    turns: dict[int, int] = {}
    compared: Counter[str] = Counter()
    awaited = Counter({rule.name: 0 for rule in expected})
    for (kind, step), one, other in aligned(old, new):
        if one is None or other is None:
            record = one or other
            assert record is not None
            here, there = ("recorded", ABSENT) if one else (ABSENT, "recorded")
            phase = "checkpoint" if kind == "checkpoint" else "end" if kind == "last" else _last_phase(record)
            rule = next((rule for rule in expected if rule.fits(phase, kind, _label(record))), None)
            if rule:
                awaited[rule.name] += 1
                continue
            order = turn(phase, kind, turns.get(step, 1))
            found.append(Divergence(step, record["epoch"], phase, kind, _label(record), here, there, turn=order))
            continue
        left, right = values(old, one), values(new, other)
        if kind == "step":
            recorded[step] = {key[:2] for key in (*left, *right)}
            turns[step] = last_turn(recorded[step])
        compared.update(key[0] for key in left)
        for rule, key in _awaited(left, right, expected):
            awaited[rule.name] += 1
            left.pop(key, None)
            right.pop(key, None)
        found += _differences(step, one["epoch"], left, right, turns.get(step, 1))
    return concluded(old, new, found, recorded, compared=dict(compared), expected=dict(awaited))


def concluded(old: Trace, new: Trace, found: Sequence[Divergence], recorded: Recorded, **more: Any) -> Comparison:
    """In order of cause, each explained, and whether the two can be compared at all."""
    first = sorted(found, key=by_cause)
    explained = [replace(d, meaning=meaning(d, first, recorded)) for d in first]
    why, short, told = incomparable(old, new), too_short(old, new), notes(old, new)
    if short and any(d.phase != "settings" for d in found):
        told, short = sorted([*told, short]), ""
    return Comparison(explained, why or short, notes=told, **more)


def _awaited(left: dict[Key, Any], right: dict[Key, Any], expected: Sequence[Expected]) -> list[tuple[Expected, Key]]:
    """The keys whose values differ as a rule says that they do."""
    found = []
    for key in dict.fromkeys((*left, *right)) if expected else ():
        if not equal(left.get(key, ABSENT), right.get(key, ABSENT)):
            found += [(rule, key) for rule in expected if rule.fits(*key)][:1]
    return found


def _differences(
    step: int, epoch: int, left: dict[Key, Any], right: dict[Key, Any], turns: int
) -> Iterator[Divergence]:
    """One divergence a quantity, of the tensor nearest to the cause."""
    by_quantity: dict[tuple[str, str], list[tuple[str, Any, Any]]] = {}
    for key in dict.fromkeys((*left, *right)):
        phase, quantity, name = key
        one, other = left.get(key, ABSENT), right.get(key, ABSENT)
        if quantity == "flags" and name in SETTINGS_OF_THE_MACHINE:
            continue
        if not equal(one, other):
            by_quantity.setdefault((phase, quantity), []).append((name, one, other))
    for (phase, quantity), found in by_quantity.items():
        # gradients come from the last layer to the first
        name, one, other = found[-1] if phase in ("backward", "clip") else found[0]
        yield Divergence(
            step, epoch, phase, quantity, name, *apart(one, other), len(found) - 1, turn(phase, quantity, turns)
        )


def _last_phase(record: Record) -> str:
    return max(record["phases"], key=PHASES.index, default="metrics")


def _label(record: Record) -> str:
    return str(neutral("checkpoint", record["phases"].get("checkpoint", {}).get("file", "")))


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.9g}"
    text = str(value)
    return text if len(text) <= 80 else f"{text[:77]}…"
