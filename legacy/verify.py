"""Whether two checkpoints are the same network: every tensor by its hash, everything else by value, both under the rules of translation.

Applying the rules to what is translated already changes nothing, so that both sides are put through them. What is compared then is
independent of them: the hashes of the weights on both sides, names left aside, which no rule may change. Rules that only the new file
names are followed as well, but what would differ without them is told: a file proves nothing about itself.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, TypeAlias

from legacy.checkpoint import Checkpoint, CheckpointError, Refused, read
from legacy.checkpoint.as_json import as_json
from legacy.checkpoint.beside import Beside, beside
from legacy.checkpoint.parts import main_state_dict, state_dicts
from legacy.checkpoint.pickles.machine import uncollected
from legacy.checkpoint.rules import Work, translated
from legacy.checkpoint.rules.prefixes import unwrapped
from legacy.checkpoint.rules.user import Row, parse
from legacy.checkpoint.safetensors_writer import checked_parts, left_out
from legacy.checkpoint.tensors import tensor_of
from legacy.comparison import Hashes, Side, Told, differences
from legacy.translate import refuse

SHOWN: Final = 100
_BothHashes: TypeAlias = tuple[Hashes, Hashes]  # taken once, however often the two are compared
_MOST_ROWS: Final = 1000  # of a provenance: each is held against every name


@dataclass(slots=True)
class Verdict:
    """What the comparison came to. `differences` says where and how, the first hundred; `claims` the same of what would differ if the
    new file did not name the rules itself."""

    source: str
    destination: str
    same: bool = True
    tensors: int = 0
    renamed: int = 0
    ran: bool = False  # the networks, side by side
    stepped: bool = False  # and a step of training of each
    uncompared: str | None = None  # what safetensors have no place for
    rules: list[str] = field(default_factory=list)
    differences: list[str] = field(default_factory=list)
    count: int = 0
    claims: list[str] = field(default_factory=list)
    claim_count: int = 0
    warnings: list[str] = field(default_factory=list)

    def differ(self, what: str | Told) -> None:
        self.same = False
        self.count += 1
        if len(self.differences) < SHOWN:
            self.differences.append(what if isinstance(what, str) else what())

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def verify(source: Path, destination: Path, rows: Sequence[Row] | None = None) -> Verdict:
    """Compares two checkpoints. Without `rows` those that the destination's provenance has are used. Raises `CheckpointError`."""
    try:
        with uncollected():
            return _verified(source, destination, rows)
    except RecursionError:
        raise Refused(f"{source} and {destination}: one of them is nested too deep to be compared") from None


def _verified(source: Path, destination: Path, rows: Sequence[Row] | None) -> Verdict:
    new = read(destination)
    claimed = _claimed(new) if rows is None else []
    allowed = (new.provenance or {}).get("allowed")
    allow = frozenset(name for name in allowed if isinstance(name, str)) if isinstance(allowed, list) else frozenset()
    refuse(new, allow)
    hashes: _BothHashes = {}, {}
    right = translated(new, (), allow)
    found = _compared(source, right, claimed if rows is None else rows, allow, hashes)
    if claimed:
        _tell_claims(found, source, right, claimed, allow, hashes)
    if kept := sorted(new.globals.refused.keys() & allow):
        found.claims.insert(0, f"names are let through: {', '.join(kept)}")
        found.claim_count += 1
    return found


def _tell_claims(
    found: Verdict, source: Path, right: Work, claimed: Sequence[Row], allow: Collection[str], hashes: _BothHashes
) -> None:
    """What would differ without the rules; renames of weights as such, since they alone would make every name a difference."""
    renames = [row for row in claimed if row.kind == "rename"]
    applied = [row.value for row in renames if row.name in found.rules]
    told = [f"weights are renamed, {value['from']!r} → {value['to']!r}" for value in applied]
    try:
        without = _compared(source, right, renames, allow, hashes)
    except CheckpointError as error:
        without = Verdict(found.source, found.destination, differences=[str(error)], count=1)
    found.claims = [*told, *without.differences][:SHOWN]
    found.claim_count = len(told) + without.count


def _claimed(new: Checkpoint) -> list[Row]:
    """The rules of a provenance, which is somebody else's word. Raises `CheckpointError` for what could take for ever."""
    given, where = (new.provenance or {}).get("user_rules"), f"{new.path}: its provenance"
    if not isinstance(given, list):
        return []
    if len(given) > _MOST_ROWS:
        raise CheckpointError(f"{where} has over {_MOST_ROWS:,} rules: name the rules file with --rules")
    return parse(given, where, patterns=False)


def _compared(source: Path, right: Work, rows: Sequence[Row], allow: Collection[str], hashes: _BothHashes) -> Verdict:
    old, new = read(source), right.checkpoint
    found = Verdict(str(source), str(new.path))
    with old.source.open() as ours, new.source.open() as theirs:
        one, two = Side(old, ours, hashes[0]), Side(new, theirs, hashes[1])
        before = _weights(one, main_state_dict(old.root))
        left = translated(old, rows, allow)
        found.rules = list(left.applied)
        found.warnings = left.warnings
        after = _weights(two, main_state_dict(right.root))
        _compare_hashes(found, before, after, [row.value.removesuffix(".") for row in rows if row.kind == "drop"])
        if new.format == "safetensors" and old.format != "safetensors":
            _compare_safetensors(found, left, one, two, after, new.beside)
        else:
            ordered = {id(state) for _, state in state_dicts(left.root)} if new.format != "safetensors" else ()
            for what in differences(one, two, left.root, right.root, ordered):
                found.differ(what)
            if old.beside and new.beside and old.beside.words() != new.beside.words():
                found.differ("the JSON beside them describes other parts, or describes them otherwise")
    found.differences.sort()
    found.tensors = len(after)
    found.renamed = len(before.keys() - after.keys())
    return found


def _weights(side: Side, state: dict[Any, Any]) -> dict[str, str]:
    tensors = ((str(name), tensor_of(value)) for name, value in state.items())
    return {name: side.hash(tensor) for name, tensor in tensors if tensor is not None}


def _compare_hashes(found: Verdict, before: dict[str, str], after: dict[str, str], dropped: Sequence[str]) -> None:
    """Names aside: none of the weights is lost, changed or new, but for those that a rule drops. One tensor may go from two names to one."""
    there, known = set(after.values()), set(before.values())
    below = tuple(f"{prefix}." for prefix in dropped)
    for name, value in before.items():
        if value not in there and not (f"{name}.".startswith(below) or f"{unwrapped(name)}.".startswith(below)):
            found.differ(f"the values of {name!r} are in {found.source} only")
    for name, value in after.items():
        if value not in known:
            found.differ(f"the values of {name!r} are in {found.destination} only")


def _compare_safetensors(
    found: Verdict, left: Work, one: Side, two: Side, after: dict[str, str], other: Beside | None
) -> None:
    """The weights by name, everything else as the JSON beside them has it. The format has nothing else."""
    try:
        weights, extra, rest = checked_parts(left.root)
        expected = as_json({**rest, **({"state_dict": extra} if extra else {})})
    except Refused as error:
        found.differ(f"{found.source} cannot be what {found.destination} was made from: {error}")
        return
    found.uncompared = left_out(extra, rest)
    before = {name: one.hash(tensor) for name, tensor in weights.items()}
    for what in differences(one, two, before, after, trail=(None, "state_dict")):
        found.differ(what)
    if other is None:
        found.differ(
            f"{beside(Path(found.destination))} is not there or not what `translate` writes: the hyper-parameters are in it"
        )
        return
    for what in differences(one, two, expected, other.checkpoint):
        found.differ(what)
