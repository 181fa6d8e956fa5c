"""The pickle machine: what it makes equals what `pickle` makes, and what `pickle` would call it only names."""

from __future__ import annotations

import argparse
import collections
import functools
import pathlib
import pickle
import pickletools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from legacy.checkpoint import Damaged, Refused
from legacy.checkpoint.pickles.opcodes import NAMES
from legacy.checkpoint.records import ABSENT, Call, Global, Ordered
from tests.legacy.checkpoint.support import same, unpickled

ATOMS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(1 << 300), 1 << 300)
    | st.floats()
    | st.complex_numbers()
    | st.text()
    | st.binary()
)
KEYS = st.integers() | st.text() | st.binary() | st.booleans() | st.none() | st.tuples(st.integers(), st.text())
PLAIN = st.recursive(
    ATOMS | st.binary().map(bytearray),
    lambda inner: (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.dictionaries(KEYS, inner)
        | st.dictionaries(KEYS, inner).map(collections.OrderedDict)
        | st.sets(KEYS)
        | st.frozensets(KEYS)
        | inner.map(lambda value: [value, value, {"again": value}])
    ),
    max_leaves=25,
)


@given(PLAIN, st.integers(0, 5))
@settings(max_examples=300, deadline=None)
def test_plain_structures_come_out_as_from_pickle(value: object, protocol: int) -> None:
    code = pickle.dumps(value, protocol)
    assert same(unpickled(code), pickle.loads(code))


@given(PLAIN)
@settings(max_examples=60, deadline=None)
def test_the_python_pickler_and_the_optimizer_are_understood_too(value: object) -> None:
    for code in (pickle._dumps(value, 4), pickletools.optimize(pickle.dumps(value, 4))):  # type: ignore[attr-defined]
        assert same(unpickled(code), pickle.loads(code))


@pytest.mark.parametrize("protocol", range(6))
def test_cycles_and_shared_objects_stay(protocol: int) -> None:
    shared: list[object] = []
    loop: dict[str, object] = {"shared": shared, "again": shared}
    loop["self"] = loop
    loop["pair"] = (loop, shared)
    shared.append(loop)
    made = unpickled(pickle.dumps(loop, protocol))
    assert made["self"] is made
    assert made["shared"] is made["again"] is made["pair"][1]
    assert made["shared"][0] is made["pair"][0] is made


def test_a_tuple_within_itself_stays() -> None:
    inner: list[object] = []
    inner.append((inner,))
    made = unpickled(pickle.dumps(inner[0], 2))
    assert made[0][0] is made


def test_every_opcode_of_pickletools_is_known_by_its_name() -> None:
    assert dict(sorted(NAMES.items())) == {
        ord(op.code): op.name for op in sorted(pickletools.opcodes, key=lambda op: op.code)
    }


# By hand: what today's picklers no longer write


@pytest.mark.parametrize(
    "code",
    [
        b"I01\n.",
        b"I00\n.",
        b"I-7\n.",
        b"L12345678901234567890L\n.",
        b"L5\n.",
        b"F1.5e3\n.",
        b"Vcaf\\u00e9\n.",
        b"S'it\\'s\\x41\\n'\n.",
        b'S"quoted"\n.',
        b"U\x03abc.",
        b"T\x03\x00\x00\x00abc.",
        b"(I1\nI2\nl.",
        b"(S'a'\nI1\nd.",
        b"(I1\nI2\nt.",
        b"]p3\n(g3\nI1\ne.",
        b"(I1\nI2\n1K\x05.",
        b"K\x05K\x060.",
        b"(K\x050K\x06K\x07t.",
        b"(0K\x06.",
        b"]2\x86.",
        b"\x80\x02K\x01q\x05h\x05\x86.",
        b"\x80\x04K\x01\x94h\x00\x86.",
        b"\x80\x04K\x01q\x00K\x02\x94h\x01\x87.",
        b"\x80\x02(K\x01q\x07K\x02q\x00h\x07h\x00t.",
    ],
)
def test_old_opcodes_mean_what_they_mean_to_pickle(code: bytes) -> None:
    assert same(unpickled(code), pickle.loads(code))


def test_the_bytes_of_python_2_stay_bytes() -> None:
    assert unpickled(b"U\x02\xff\xfe.") == b"\xff\xfe"
    assert unpickled(b"U\x02\xc3\xa9.") == "é"


# Names and calls


class Point:
    def __init__(self, x: int) -> None:
        self.x = x


class Keyworded:
    def __new__(cls, *, x: int) -> Keyworded:
        return super().__new__(cls)

    def __getnewargs_ex__(self) -> tuple[tuple[()], dict[str, int]]:
        return (), {"x": 1}


class ListLike(list[int]):
    pass


@pytest.mark.parametrize("protocol", range(6))
def test_an_instance_is_a_record_of_its_class_and_state(protocol: int) -> None:
    made = unpickled(pickle.dumps(Point(3), protocol))
    assert isinstance(made, Call)
    assert made.state == {"x": 3}
    named = made.args[0] if protocol < 2 else made.function  # type: ignore[index]
    assert named == Global(__name__, "Point")
    assert made.how == ("reduce" if protocol < 2 else "newobj")


@pytest.mark.parametrize("protocol", [4, 5])
def test_keyword_arguments_are_kept(protocol: int) -> None:
    made = unpickled(pickle.dumps(Keyworded(x=1), protocol))
    assert (made.how, made.function, made.kwargs) == ("newobj_ex", Global(__name__, "Keyworded"), {"x": 1})


@pytest.mark.parametrize("protocol", range(2, 6))
def test_members_items_and_partials_are_kept(protocol: int) -> None:
    factory, deque, partial, like = unpickled(
        pickle.dumps(
            (
                collections.defaultdict(int, a=1),
                collections.deque([1, 2], maxlen=5),
                functools.partial(max, 1),
                ListLike([7]),
            ),
            protocol,
        )
    )
    assert (str(factory.function), factory.items) == ("collections.defaultdict", {"a": 1})
    assert (str(deque.function), deque.appended, deque.args[-1]) == ("collections.deque", [1, 2], 5)
    assert (str(partial.function), partial.args) == ("functools.partial", (Global("builtins", "max"),))
    assert like.appended == [7]


def test_one_object_in_two_places_is_one_record() -> None:
    point = Point(1)
    first, second = unpickled(pickle.dumps([point, point], 2))
    assert first is second


def test_names_of_python_2_are_those_of_python_3() -> None:
    assert unpickled(b"c__builtin__\nset\n.") == Global("builtins", "set")
    assert unpickled(b"ccopy_reg\n_reconstructor\n.") == Global("copyreg", "_reconstructor")
    assert unpickled(b"\x80\x04c__builtin__\nset\n.") == Global("__builtin__", "set")


def test_an_ordered_dict_keeps_what_was_set_on_it() -> None:
    value = collections.OrderedDict(a=1)
    value._metadata = {"": {"version": 1}}  # type: ignore[attr-defined]
    made = unpickled(pickle.dumps(value, 2))
    assert type(made) is Ordered
    assert (made, made.attributes) == ({"a": 1}, {"_metadata": {"": {"version": 1}}})


def test_the_old_ways_to_make_an_instance_are_records() -> None:
    assert unpickled(b"(I1\niposix\nsystem\n.").function == Global("posix", "system")
    made = unpickled(b"(cposix\nsystem\nI1\no.")
    assert (made.function, made.args, made.state) == (Global("posix", "system"), (1,), ABSENT)


def test_paths_and_namespaces_stay_records() -> None:
    made = unpickled(pickle.dumps({"p": pathlib.PurePosixPath("/a/b"), "n": argparse.Namespace(lr=1)}, 2))
    assert (made["p"].function.name, made["p"].args) == ("PurePosixPath", ("/", "a", "b"))
    assert made["n"].state == {"lr": 1}


# What is turned down


@pytest.mark.parametrize(
    ("code", "word"),
    [
        (b"\x80\x02\x82\x01.", "EXT1"),
        (b"\x80\x02\x83\x01\x00.", "EXT2"),
        (b"\x80\x02\x84\x01\x00\x00\x00.", "EXT4"),
        (b"P1\n.", "PERSID"),
        (b"\x80\x05\x97.", "NEXT_BUFFER"),
        (b"\x80\x05K\x01\x98.", "READONLY_BUFFER"),
        (b"\x80\x06N.", "protocol 6"),
        (b"]N}b.", None),
        (b"cposix\nsystem\n}b.", "state of a Global"),
        (b"ccollections\nOrderedDict\n)R}b}b.", "set twice"),
    ],
)
def test_what_no_checkpoint_needs_is_refused_by_name(code: bytes, word: str | None) -> None:
    with pytest.raises((Refused, Damaged) if word is None else Refused, match=word):
        unpickled(code)


@pytest.mark.parametrize(
    "code",
    [
        b".",
        b"0.",
        b"t.",
        b"K\x01K\x02.",
        b"(K\x01.",
        b"h\x00.",
        b"g-1\n.",
        b"p-1\n.",
        b"N]s.",
        b"}(K\x01u.",
        b"}(]K\x01u.",
        b"}]K\x01s.",
        b"K\x01K\x02R.",
        b"NN\x81.",
        b"cos\nsystem\nNR.",
        b"K\x01(K\x02e.",
        b"(K\x01\x90.",
        b"]\x94(K\x01\x90.",
        b"\x8f(]\x90.",
        b"(]\x91.",
        b"I1x\n.",
        b"I0x10\n.",
        b"I1_0\n.",
        b"Fnope\n.",
        b"S'open\n.",
        b"S'\\q'\n.",
        b"X\x01\x00\x00\x00\xff.",
        b"K\x01\x93.",
        b"\x8c\x02osK\x01\x93.",
        b"K\x01Q.",
        b"(o.",
        b"\xff.",
        b"\x00.",
        b"I" + b"9" * 5000 + b"\n.",
        b"T\xff\xff\xff\xffabc.",
        b"\x8b\xff\xff\xff\xff.",
        b"ccollections\nOrderedDict\n(]K\x01\x86t\x85R.",
        b"cbuiltins\nset\n(]]atR.",
    ],
)
def test_nonsense_is_damaged(code: bytes) -> None:
    with pytest.raises(Damaged):
        unpickled(code)


@pytest.mark.parametrize(
    "opcode", [b"X", b"B", b"T", b"\x8b", b"r", b"j", b"J", b"M", b"\x8d", b"\x8e", b"\x96", b"\x95", b"G"]
)
def test_an_argument_longer_than_the_file_is_damaged(opcode: bytes) -> None:
    with pytest.raises(Damaged, match=r"left|ends"):
        unpickled(opcode + b"\xff\xff\xff\x7f"[: 1 if opcode == b"M" else 3])
    with pytest.raises(Damaged):
        unpickled(opcode + b"\xff\xff\xff\x7f\xff\xff\xff\x7f")


@given(PLAIN, st.data())
@settings(max_examples=80, deadline=None)
def test_a_truncated_pickle_is_damaged(value: object, data: st.DataObject) -> None:
    code = pickle.dumps(value, data.draw(st.integers(0, 5)))
    with pytest.raises(Damaged):
        unpickled(code[: data.draw(st.integers(0, len(code) - 1))])


def test_a_key_that_takes_for_ever_to_hash_is_refused() -> None:
    doubling = b"N" + b"2\x86" * 60  # DUP, TUPLE2: 2 ** 60 leaves in 120 bytes
    with pytest.raises(Refused, match="keys"):
        unpickled(b"}" + doubling + b"Ns.")
    deep = b")" + b"\x85" * 100_000
    with pytest.raises(Refused, match="keys"):
        unpickled(b"\x8f(" + deep + b"\x90.")


def test_numbers_chosen_to_have_one_hash_are_refused() -> None:
    modulus = (1 << 61) - 1
    keys = b"".join(b"\x8a\x0a" + (modulus * n).to_bytes(10, "little") for n in range(1, 60_000))
    with pytest.raises(Refused, match="keys"):
        unpickled(b"\x8f(" + keys + b"\x90.")


def test_ordinary_keys_are_free() -> None:
    many = {**dict.fromkeys(range(50_000)), **{str(n): n for n in range(50_000)}}
    assert unpickled(pickle.dumps(many, 2)) == many


def test_too_many_operations_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("legacy.checkpoint.pickles.MAX_OPERATIONS", 100)
    with pytest.raises(Refused, match="operations"):
        unpickled(b"N0" * 100 + b"N.")


def test_building_up_depth_takes_no_recursion() -> None:
    made: Any = unpickled(b"]" * 200_000 + b"a" * 199_999 + b".")
    for _ in range(199_999):
        made = made[0]
    assert made == []


def test_an_error_names_byte_and_opcode() -> None:
    with pytest.raises(Damaged, match=r"byte 3 of the pickle \(TUPLE2\)"):
        unpickled(b"\x80\x02N\x86.")
