"""The shortcut for usual tensors leaves behind what the operations one by one do."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from legacy.checkpoint.errors import CheckpointError
from legacy.checkpoint.pickles import Machine, containers, run
from legacy.checkpoint.pickles.usual import usual_tensor
from legacy.checkpoint.records import Call, Storage
from legacy.checkpoint.storages import StorageTable
from tests.legacy.checkpoint.support import torch_bytes

MANY = {f"layer{i}.weight": torch.zeros(i % 3 + 1, i) for i in range(80)}
ALIKE = {f"layer{i}.{name}": torch.zeros(shape) for i in range(60) for name, shape in (("weight", (2, 3)), ("bias", 2))}
TRAINED = {
    i: {"step": torch.tensor(1.0), "exp_avg": torch.zeros(1 + i % 2, 3), "exp_avg_sq": torch.zeros(1 + i % 2, 3)}
    for i in range(40)
}


def program(value: Any) -> bytes:
    with zipfile.ZipFile(io.BytesIO(torch_bytes(value))) as archive:
        return archive.read("archive/data.pkl")


def outcome(code: bytes) -> tuple[Any, ...]:
    """The result, spelled out, with what the memo holds, and how far the program went."""
    machine = Machine(code, 0, StorageTable())
    root = run(machine)
    seen: dict[int, int] = {}
    return spelled(root, seen), [spelled(each, seen) for each in machine.memo], machine.position


def spelled(value: Any, seen: dict[int, int]) -> Any:
    if isinstance(value, dict | list | Call | Storage):
        if id(value) in seen:
            return "again", seen[id(value)]
        seen[id(value)] = len(seen)
    if isinstance(value, dict):
        return type(value).__name__, [(spelled(key, seen), spelled(each, seen)) for key, each in value.items()]
    if isinstance(value, list | tuple):
        return type(value).__name__, [spelled(each, seen) for each in value]
    if isinstance(value, Call):
        return spelled(value.function, seen), spelled(value.args, seen), value.how, repr(value.state)
    if isinstance(value, Storage):
        return value.key, value.dtype, value.size, value.location
    return type(value).__name__, str(value)


def one_by_one(code: bytes, monkeypatch: pytest.MonkeyPatch) -> tuple[Any, ...]:
    with monkeypatch.context() as patch:
        patch.setattr(containers, "usual_tensor", lambda machine, start: False)
        return outcome(code)


TENSORS = st.builds(
    lambda shape, kind, gradient, turned: (
        torch.zeros(shape, dtype=kind, requires_grad=gradient and kind.is_floating_point).permute(sorted(range(len(shape)), reverse=turned))
    ),
    st.lists(st.sampled_from([0, 1, 2, 3, 300]), max_size=5).filter(lambda shape: shape.count(300) < 2),
    st.sampled_from([torch.float32, torch.bfloat16, torch.int64, torch.bool, torch.complex64]),
    st.booleans(),
    st.booleans(),
)  # fmt: skip


@given(st.lists(TENSORS, min_size=30, max_size=60), st.booleans())
def test_it_means_the_same(values: list[torch.Tensor], shared: bool) -> None:
    code = program(
        [*values, *values[:5], *([value.view(-1) for value in values if value.is_contiguous()] if shared else [])]
    )
    with pytest.MonkeyPatch.context() as patch:
        assert outcome(code) == one_by_one(code, patch)


def test_it_is_taken_once_the_memo_has_over_256_entries(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[bool] = []
    monkeypatch.setattr(containers, "usual_tensor", lambda *at: taken.append(usual_tensor(*at)) or taken[-1])
    outcome(program(MANY))
    assert taken.count(True) > 40


@pytest.mark.parametrize(("value", "asked"), [(ALIKE, 50), (TRAINED, 80)], ids=["weights", "an optimiser's state"])
def test_entries_that_are_spelled_as_those_before_them_are_made_in_one_go(
    monkeypatch: pytest.MonkeyPatch, value: Any, asked: int
) -> None:
    code, told = program(value), []
    expected = one_by_one(code, monkeypatch)
    monkeypatch.setattr(containers, "usual_tensor", lambda *at: told.append(at) or usual_tensor(*at))
    assert outcome(code) == expected and len(told) < asked, "of 120 tensors"


def altered(value: Any, pattern: bytes, replacement: bytes) -> bytes:
    code = program(value)
    made = code[:-900] + re.sub(pattern, replacement, code[-900:], count=1, flags=re.DOTALL)
    assert made != code
    return made


@pytest.mark.parametrize("value", [MANY, ALIKE], ids=["each spelled in its own way", "alike"])
@pytest.mark.parametrize(
    ("pattern", "replacement"),
    [
        (rb"tr....Q", b"tr\x01\x00\x00\x00Q"),  # put elsewhere: over what is there
        (rb"tr....Q", b"tr\xff\xff\x00\x00Q"),  # far behind the others
        (rb"(h.)X[\x02\x03]\x00\x00\x00(\d+)r", b"\\1X\x04\x00\x00\x00\\2r"),  # a length that is not the key's
        (rb"(h.X[\x02\x03]\x00\x00\x00)(?:11\d|7\d)r", b"\\1\xed\xa0\x80r"),  # a key that is no number
        (rb"X(....layer\d+\.weight)", b"B\\1"),  # a name in bytes
        (rb"(layer\d+\.weight)r..\x00\x00", b"\\1r\x02\x00\x00\x00"),  # a name put over what is there
        (rb"layer(\d+\.weight)", b"lay\xff\\1"),  # a name that is no text
        (rb"(layer\d+\.weightr....)h.", b"\\1h\x00"),  # what is called is the state dict itself
        (rb"\x89h.\)R", b"\x89h\x00)R"),  # what is called is no OrderedDict
        (rb"\x89", b"N"),
    ],
)
def test_what_differs_by_a_byte_is_left_to_the_operations(
    monkeypatch: pytest.MonkeyPatch, value: Any, pattern: bytes, replacement: bytes
) -> None:
    code = altered(value, pattern, replacement)
    assert ended(outcome, code) == ended(lambda code: one_by_one(code, monkeypatch), code)


@pytest.mark.parametrize(
    ("pattern", "replacement"),
    [
        (rb"h(.)(h.\(\()", b"j\\1\x00\x00\x00\\2"),  # the same place, in four bytes
        (rb"h.(h.\(\()", b"h\x01\\1"),  # no text, but one of the dicts
        (rb"h.(h.\(\()", b"j\xff\xff\x00\x00\\1"),  # nothing is there
        (rb"h.(h.\(\()", b"N\\1"),
        (rb"(h.)h.(\(\()", b"\\1h\x01\\2"),  # what is called is one of the dicts
    ],
)
def test_a_name_from_the_memo_is_what_the_memo_has(
    monkeypatch: pytest.MonkeyPatch, pattern: bytes, replacement: bytes
) -> None:
    code = altered(TRAINED, pattern, replacement)
    assert ended(outcome, code) == ended(lambda code: one_by_one(code, monkeypatch), code)


PROGRAMS = [program(value) for value in (MANY, ALIKE, TRAINED)]


@settings(max_examples=300)
@given(st.sampled_from(PROGRAMS), st.integers(0, 3000), st.integers(0, 3), st.binary(max_size=3))
def test_whatever_is_changed_it_means_what_the_operations_do(whole: bytes, back: int, gone: int, new: bytes) -> None:
    at = max(len(whole) - 1 - back, 0)
    code = whole[:at] + new + whole[at + gone :]
    with pytest.MonkeyPatch.context() as patch:
        assert ended(outcome, code) == ended(lambda each: one_by_one(each, patch), code)


def ended(way: Callable[[bytes], tuple[Any, ...]], code: bytes) -> Any:
    try:
        return way(code)
    except CheckpointError as error:
        return type(error)


def test_what_the_memo_held_is_not_remembered_once_it_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    same = {f"layer{i}.weight": torch.zeros(2) for i in range(80)}
    code, last = program(same), b"X\x0e\x00\x00\x00layer79.weight"
    (place,) = re.findall(rb"X\x03\x00\x00\x00cpuq(.)", code)
    code = code.replace(last, b"X\x06\x00\x00\x00cuda:0q" + place + b"0" + last)
    assert outcome(code) == one_by_one(code, monkeypatch)
    machine = Machine(code, 0, StorageTable())
    root: Any = run(machine)
    assert [root[f"layer{i}.weight"].args[0].location for i in (78, 79)] == ["cpu", "cuda:0"]
