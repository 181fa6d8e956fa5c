"""Two traces, value by value."""

from __future__ import annotations

import math
import struct
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, cast

from regression.compare.expected import Expected
from regression.compare.flatten import Key, Row, values
from regression.compare.meaning import meaning
from regression.trace import PHASES, Record, Trace

ABSENT = "absent"
# what may differ between two runs of the same training
SETTINGS_OF_THE_MACHINE = ("threads", "cublas_workspace")


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
    meaning: str = ""

    def __str__(self) -> str:
        where = f"step {self.step} (epoch {self.epoch}), {self.phase}: {self.quantity}"
        name = f" {self.name}" if self.name else ""
        more = f", and {self.others} more" if self.others else ""
        by = ""
        if self.relative is not None:
            by = f", {self.relative:.2g} relative"
        if self.ulps is not None and self.ulps < 1 << 20:
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
        return cast(dict[str, Any], _strict(made))


def _strict(value: Any) -> Any:
    """As JSON has it, which knows no NaN and no infinity: as their names."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {key: _strict(part) for key, part in value.items()}
    return [_strict(part) for part in value] if isinstance(value, list | tuple) else value


def compare(old: Trace, new: Trace, expected: Sequence[Expected] = ()) -> Comparison:
    """All quantities that differ, the first cause first: by step, then by phase. Bits are compared, not closeness.

    What is `expected` to differ is counted, and no divergence. Where one run goes on from a later step than the other, the steps that both
    made are compared.
    """
    found: list[Divergence] = []
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
            found.append(Divergence(step, record["epoch"], phase, kind, _label(record), here, there))
            continue
        left, right = values(old, one), values(new, other)
        compared.update(key[0] for key in left)
        for rule, key in _awaited(left, right, expected):
            awaited[rule.name] += 1
            left.pop(key, None)
            right.pop(key, None)
        found += _differences(step, one["epoch"], left, right)
    first = sorted(found, key=_by_cause)
    explained = [replace(d, meaning=meaning(d, first)) for d in first]
    return Comparison(explained, incomparable(old, new), dict(compared), notes(old, new), expected=dict(awaited))


def _by_cause(of: Divergence) -> tuple[bool, int, int, int]:
    """By step, turn and phase. A setting that differs comes last: it is told, but what it does is found where it does it.

    A step has several turns where several optimisers take theirs one after the other: `loss`, `loss 2`.
    """
    turn = of.quantity.rpartition(" ")[2] if of.phase in ("loss", "backward", "clip", "step") else ""
    return of.phase == "settings", of.step, int(turn) if turn.isdigit() else 1, PHASES.index(of.phase)


def aligned(old: Trace, new: Trace) -> Iterator[tuple[tuple[str, int], Record | None, Record | None]]:
    """The records of both, paired by kind, step and number; what only one has comes with None. Only steps that both reached."""
    first = max(began(old), began(new))
    resumed = began(old) != began(new)
    last = min((trace.records[-1]["step"] for trace in (old, new) if trace.records), default=0)
    whole = old.complete and new.complete and old.records[-1]["step"] == new.records[-1]["step"]

    def both_have(key: tuple[str, int, int]) -> bool:
        kind, step, _ = key
        if resumed and (step <= first or kind == "last"):
            return False  # what a whole run knows of its beginning, a resumed one does not
        return step <= last and (whole or kind != "last")

    one, other = ({key: r for key, r in keyed(trace).items() if both_have(key)} for trace in (old, new))
    for key in dict.fromkeys((*one, *other)):
        if (
            whole or key[1] < last or (key in one and key in other)
        ):  # what one run did at its end, the other may do later
            yield key[:2], one.get(key), other.get(key)


def keyed(trace: Trace) -> dict[tuple[str, int, int], Record]:
    """Records by kind, step, and how many of the kind the step has had."""
    seen: Counter[tuple[str, int]] = Counter()
    made = {}
    for record in trace.records:
        kind, step = record["record"], record["step"]
        if kind != "end":
            made[kind, step, seen[kind, step]] = record
            seen[kind, step] += 1
    return made


def began(trace: Trace) -> int:
    """Steps made before the run began: not 0 where it was resumed."""
    return int(trace.records[0]["step"]) if trace.records else 0


def incomparable(old: Trace, new: Trace) -> str:
    """Why two traces are not of the same training, or nothing."""
    for name in ("torch", "pytorch-lightning", "lightning"):
        mine, its = (trace.header["versions"].get(name) for trace in (old, new))
        if mine != its:
            return f"{name} was {mine or 'not there'} in the old run and is {its or 'not there'} in the new one: record both with the same, versions differ in bits"
    if old.header["level"] != new.header["level"]:
        return f"the old trace is of level {old.header['level']}, the new one {new.header['level']}: record both with the same --light"
    difference = _models_differ(old, new)
    if difference:
        return f"the two runs train different models: {difference}"
    steps = tuple(trace.steps[-1]["step"] if trace.steps else 0 for trace in (old, new))
    if steps[0] != steps[1]:
        return f"the old run has {steps[0]} steps and the new one {steps[1]}: record both with --steps {min(steps)}, or see why one stopped"
    return ""


def _models_differ(old: Trace, new: Trace) -> str:
    tables = [
        {k[2]: v for k, v in values(trace, trace.records[0]).items() if k[1] == "parameters"}
        for trace in (old, new)
        if trace.records
    ]
    if len(tables) < 2:
        return ""
    one, other = tables
    for name in dict.fromkeys((*one, *other)):
        if name not in one or name not in other:
            return f"only the {'old' if name in one else 'new'} one has a parameter {name}"
        mine, its = (table[name] for table in tables)
        if (mine.shape, mine.dtype) != (its.shape, its.dtype):
            return f"{name} is {mine.dtype} {list(mine.shape)} in the old one and {its.dtype} {list(its.shape)} in the new one"
    return ""


def notes(old: Trace, new: Trace) -> list[str]:
    """What differs and is no divergence: versions beside torch and Lightning, warnings, settings of the machine."""
    found = []
    mine, its = (trace.header["versions"] for trace in (old, new))
    for name in sorted({*mine, *its} - {"torch", "pytorch-lightning", "lightning"}):
        if mine.get(name) != its.get(name):
            found.append(f"{name}: {mine.get(name, ABSENT)} and {its.get(name, ABSENT)}")
    ends = [trace.records[-1].get("warnings", {}) if trace.complete else {} for trace in (old, new)]
    for text in ends[0].keys() ^ ends[1].keys():
        found.append(f"warned only in the {'old' if text in ends[0] else 'new'} run: {text}")
    for side, trace in (("old", old), ("new", new)):
        if not trace.complete:
            found.append(f"the {side} run did not come to its end")
    for setting in SETTINGS_OF_THE_MACHINE:
        pair = [values(t, t.records[0]).get(("settings", "flags", setting)) for t in (old, new) if t.records]
        if len(pair) == 2 and pair[0] != pair[1]:
            found.append(f"{setting}: {pair[0]} and {pair[1]}")
    return sorted(found)


def _awaited(left: dict[Key, Any], right: dict[Key, Any], expected: Sequence[Expected]) -> list[tuple[Expected, Key]]:
    """The keys whose values differ as a rule says that they do."""
    found = []
    for key in dict.fromkeys((*left, *right)) if expected else ():
        if not equal(left.get(key, ABSENT), right.get(key, ABSENT)):
            found += [(rule, key) for rule in expected if rule.fits(*key)][:1]
    return found


def _differences(step: int, epoch: int, left: dict[Key, Any], right: dict[Key, Any]) -> Iterator[Divergence]:
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
        yield Divergence(step, epoch, phase, quantity, name, *apart(one, other), others=len(found) - 1)


def equal(one: Any, other: Any) -> bool:
    """The same bits; NaN is NaN."""
    if isinstance(one, Row) and isinstance(other, Row):
        return (one.hash, one.shape, one.dtype) == (other.hash, other.shape, other.dtype)
    if isinstance(one, float) and isinstance(other, float):
        return (one == other and math.copysign(1, one) == math.copysign(1, other)) or (one != one and other != other)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(equal, one, other))
    return type(one) is type(other) and bool(one == other)


def apart(one: Any, other: Any) -> tuple[Any, Any, float | None, float | None, int | None]:
    """Both sides as shown, their distance, relative distance, and ulps."""
    if isinstance(one, Row) or isinstance(other, Row):
        shown = [
            value.norm if isinstance(value, Row) and value.norm is not None else _text(value) for value in (one, other)
        ]
    else:
        shown = [one, other]
    if not all(isinstance(value, int | float) and not isinstance(value, bool) for value in shown):
        return shown[0], shown[1], None, None, None
    distance = abs(shown[0] - shown[1])
    largest = max(abs(shown[0]), abs(shown[1]))
    relative = distance / largest if largest and math.isfinite(distance) else None
    scalar = isinstance(one, float) and isinstance(other, float)
    return shown[0], shown[1], distance, relative, _ulps(*shown) if scalar else None


def _text(value: Any) -> Any:
    return f"{value.dtype} {list(value.shape)} {value.hash}" if isinstance(value, Row) else value


def _ulps(one: float, other: float) -> int | None:
    """Floats between the two, counted in float32 where both are float32 numbers, else in float64."""
    if not (math.isfinite(one) and math.isfinite(other)):
        return None
    single = all(abs(v) < 3e38 and struct.unpack("f", struct.pack("f", v))[0] == v for v in (one, other))
    pack, unpack, sign = ("f", "i", 1 << 31) if single else ("d", "q", 1 << 63)
    places = [struct.unpack(unpack, struct.pack(pack, value))[0] for value in (one, other)]
    ordered = [place if place >= 0 else -(place + sign) for place in places]
    return int(abs(ordered[0] - ordered[1]))


def _last_phase(record: Record) -> str:
    return max(record["phases"], key=PHASES.index, default="metrics")


def _label(record: Record) -> str:
    return str(record["phases"].get("checkpoint", {}).get("file", ""))


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.9g}"
    text = str(value)
    return text if len(text) <= 80 else f"{text[:77]}…"
