"""Whether two checkpoints are the same network: every tensor by its hash, everything else by value, both under the rules of translation.

Applying the rules to what is translated already changes nothing, so that both sides are put through them. What is compared then is
independent of them: the hashes of the weights on both sides, names left aside, which no rule may change.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from legacy.checkpoint import Checkpoint, read
from legacy.checkpoint.as_json import as_json
from legacy.checkpoint.contents import digest
from legacy.checkpoint.kinds import hyper_parameters
from legacy.checkpoint.names import ALIASES
from legacy.checkpoint.pickles.plain import DEFAULTDICT, DEQUE, number
from legacy.checkpoint.records import ABSENT, Call, Global, Storage, name_of
from legacy.checkpoint.rules import Work, translated
from legacy.checkpoint.rules.user import Row, parse
from legacy.checkpoint.rules.weights import main_state_dict
from legacy.checkpoint.structure import Step, is_short, place
from legacy.checkpoint.tensors import Tensor, tensor_of

SHOWN: Final = 100


@dataclass(slots=True)
class Verdict:
    """What the comparison came to. `differences` says where and how, the first hundred."""

    source: str
    destination: str
    same: bool = True
    tensors: int = 0
    renamed: int = 0
    ran: bool = False  # the networks, side by side
    rules: list[str] = field(default_factory=list)
    differences: list[str] = field(default_factory=list)
    count: int = 0
    warnings: list[str] = field(default_factory=list)

    def differ(self, what: str) -> None:
        self.same = False
        self.count += 1
        if len(self.differences) < SHOWN:
            self.differences.append(what)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def verify(source: Path, destination: Path, rows: Sequence[Row] | None = None) -> Verdict:
    """Compares two checkpoints. Without `rows` those that the destination's provenance has are used. Raises `CheckpointError`."""
    old, new = read(source), read(destination)
    record = new.provenance or {}
    found = Verdict(str(source), str(destination))
    if rows is None:
        given = record.get("user_rules") or []
        rows = parse(given, f"{destination}: its provenance") if isinstance(given, list) else []
    allowed = record.get("allowed")
    allow = frozenset(name for name in allowed if isinstance(name, str)) if isinstance(allowed, list) else frozenset()
    before = dict(_weights(old, main_state_dict(old.root)))
    left, right = translated(old, rows, allow), translated(new, (), allow)
    found.rules = list(left.applied)
    found.warnings = left.warnings
    after = dict(_weights(new, _restored(new, main_state_dict(right.root))))
    dropped = {row.value for row in rows if row.kind == "drop"}
    if not dropped:
        _compare_hashes(found, before, after)
    if new.format == "safetensors" and old.format != "safetensors":
        _compare_safetensors(found, left, new, after)
    else:
        _compare_maps(found, dict(_leaves(old, left.root)), dict(_leaves(new, right.root)))
    found.tensors = len(after)
    found.renamed = len(before.keys() - after.keys())
    return found


def _weights(checkpoint: Checkpoint, state: dict[Any, Any]) -> Iterator[tuple[str, str]]:
    with checkpoint.source.open() as descriptor:
        seen: dict[object, str] = {}
        for name, value in state.items():
            tensor = tensor_of(value)
            if tensor is not None:
                yield str(name), _digest(checkpoint, descriptor, tensor, seen)


def _digest(checkpoint: Checkpoint, descriptor: int, tensor: Tensor, seen: dict[object, str]) -> str:
    key = (
        tensor.storage and tensor.storage.key,
        tensor.dtype,
        tensor.offset,
        tensor.shape,
        tensor.stride,
        tensor.flags,
    )
    if key not in seen:
        seen[key] = digest(checkpoint, descriptor, tensor) if tensor.storage else f"meta {tensor.dtype} {tensor.shape}"
    return seen[key]


def _compare_hashes(found: Verdict, before: dict[str, str], after: dict[str, str]) -> None:
    """Names aside: none of the weights is lost, changed or new. One tensor may go from two names to one."""
    gone, more = Counter(before.values()).keys() - after.values(), after.values() - Counter(before.values()).keys()
    names = {value: name for name, value in {**after, **before}.items()}
    for value in sorted(gone):
        found.differ(f"the values of {names[value]!r} are in {found.source} only")
    for value in sorted(more):
        found.differ(f"the values of {names[value]!r} are in {found.destination} only")


def _restored(checkpoint: Checkpoint, state: dict[Any, Any]) -> dict[Any, Any]:
    """With the tied weights of a safetensors file under all of their names."""
    try:
        tied = json.loads(checkpoint.metadata.get("tied", "{}"))
    except ValueError:
        tied = {}
    more = {name: state[first] for name, first in tied.items() if first in state} if isinstance(tied, dict) else {}
    return {**state, **more}


def _compare_safetensors(found: Verdict, left: Work, new: Checkpoint, after: dict[str, str]) -> None:
    """The weights by name, the hyper-parameters as JSON has them. The format has nothing else."""
    _compare_maps(found, dict(_weights(left.checkpoint, main_state_dict(left.root))), after)
    beside = new.path.with_suffix(".json")
    try:
        config = json.loads(beside.read_bytes())
        theirs = config["checkpoint"].get("hyper_parameters", {})
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        found.differ(f"{beside} is not there or not what `translate` writes: the hyper-parameters are in it")
        return
    _compare_maps(found, dict(_flat(as_json(hyper_parameters(left.root)), [])), dict(_flat(theirs, [])))


def _compare_maps(found: Verdict, old: dict[str, str], new: dict[str, str]) -> None:
    for where in old.keys() - new.keys():
        found.differ(f"{where} is in {found.source} only")
    for where in new.keys() - old.keys():
        found.differ(f"{where} is in {found.destination} only")
    for where, value in old.items():
        if where in new and new[where] != value:
            found.differ(f"{where} is {value[:80]} in {found.source} and {new[where][:80]} in {found.destination}")
    found.differences.sort()


def _flat(value: Any, trail: list[Step]) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from _flat(item, [*trail, key])
    elif isinstance(value, list) and value:
        for index, item in enumerate(value):
            yield from _flat(item, [*trail, index])
    else:
        yield place(trail), repr(value)


def _leaves(checkpoint: Checkpoint, root: Any) -> Iterator[tuple[str, str]]:
    """Each value by its place: tensors by hash, what is written as a plainer type as that type."""
    with checkpoint.source.open() as descriptor:
        hashes: dict[object, str] = {}
        todo: list[tuple[list[Step], Any]] = [([], root)]
        entered: dict[int, str] = {}
        while todo:
            trail, value = todo.pop()
            tensor = tensor_of(value)
            if tensor is not None:
                yield place(trail), f"tensor {tensor.requires_grad} {_digest(checkpoint, descriptor, tensor, hashes)}"
                continue
            value = _plain(value)
            parts = _parts(value)
            if parts is None:
                yield place(trail), repr(value)
                continue
            where = place(trail)
            shared = not (isinstance(value, tuple) and is_short(value))  # of plain values nobody can tell
            if shared and entered.setdefault(id(value), where) != where:
                yield where, f"as {entered[id(value)]}"
                continue
            yield where, type(value).__name__ if not isinstance(value, Call) else f"a call of {name_of(value.function)}"
            todo += [([*trail, step], part) for step, part in parts]


def _plain(value: Any) -> Any:
    plain = number(value)
    if plain is not None:
        return plain
    if type(value) is Global:
        return str(ALIASES.get(str(value), value))
    if type(value) is Storage:
        return f"storage of {value.size} {value.dtype}"
    if type(value) is Call and value.state is ABSENT:
        if value.function == DEFAULTDICT:
            return value.items or {}
        if value.function == DEQUE:
            first = value.args[0] if isinstance(value.args, tuple) and value.args else None
            return [*(first if isinstance(first, list) else ()), *(value.appended or ())]
    return set(value) if type(value) is frozenset else value


def _parts(value: Any) -> list[tuple[Step, Any]] | None:
    if isinstance(value, dict):
        attributes = getattr(value, "attributes", None)
        return [*value.items(), *([("attributes", attributes)] if attributes is not None else [])]
    if isinstance(value, (list, tuple)):
        return list(enumerate(value)) if len(value) else None
    if isinstance(value, Call):
        found: list[tuple[Step, Any]] = [
            ("args", value.args),
            ("kwargs", value.kwargs),
            ("appended", value.appended),
            ("items", value.items),
        ]
        return found + ([("state", value.state)] if value.state is not ABSENT else [])
    return None
