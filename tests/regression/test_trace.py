"""The file: what is written is read, whole lines only, and damage is told."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regression import cli, trace
from regression.compare.flatten import values

NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | NAMES,
    lambda part: st.lists(part) | st.dictionaries(NAMES, part),
)
HEADER = {
    "record": "header", "format": trace.FORMAT, "level": "default", "command": ["train.py"], "seed": 0, "versions": {}, "deterministic": True,
}  # fmt: skip
START = {"record": "start", "step": 0, "epoch": 0, "phases": {}}


def write(path: Path, *records: trace.Record) -> bytes:
    writer = trace.Writer(path)
    for record in records:
        writer.write(record)
    writer.close()
    return path.read_bytes()


@given(JSON, st.data())
def test_any_prefix_is_readable(tmp_path_factory: pytest.TempPathFactory, value: object, data: st.DataObject) -> None:
    path = tmp_path_factory.mktemp("t") / "run.trace"
    step = {"record": "step", "step": 1, "epoch": 0, "phases": {"loss": {"loss": value}}}
    whole = write(path, HEADER, START, step)
    assert repr(trace.read(path).records) == repr([START, step]), "floats to the last bit, NaN too"
    begun = whole.index(b"\n") + 1
    path.write_bytes(whole[: data.draw(st.integers(begun, len(whole)))])
    try:
        found = trace.read(path)
    except trace.TraceError as error:  # cut within a character
        assert "no trace can be read" in str(error)
    else:
        assert not found.complete and repr(found.records) in (repr([]), repr([START]), repr([START, step]))


def test_names_are_written_once(tmp_path: Path) -> None:
    writer = trace.Writer(tmp_path / "run.trace")
    writer.write(HEADER)
    writer.write(START)
    keys = [writer.names([("weight", (2, 3), "float32")]) for _ in range(3)]
    table = {"of": keys[0], "hash": ["0" * 16], "norm": [1.5]}
    writer.write(
        {
            "record": "step",
            "step": 1,
            "epoch": 0,
            "phases": {"backward": {"g": table}, "clip": {"g": {"as": "backward.g"}}},
        }
    )
    writer.close()
    made = trace.read(tmp_path / "run.trace")
    assert len(set(keys)) == 1 and len(made.names) == 1
    found = values(made, made.records[1])
    assert found["backward", "g", "weight"] == found["clip", "g", "weight"]
    assert found["clip", "g", "weight"].shape == (2, 3)


@pytest.mark.parametrize("value, word", [("[" * 200_000, "old, line 3: not a record"), ("[" * 600 + "{}" + "]" * 600, "nested too deep")])  # fmt: skip
def test_what_is_nested_too_deep_is_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], value: str, word: str
) -> None:
    for name, number in (("old", "0"), ("new", "1")):
        write(tmp_path / name, HEADER, START)
        with (tmp_path / name).open("a") as file:
            phases = f'{{"loss":{{"loss":{value.format(number)}}}}}'
            file.write(f'{{"record":"step","step":1,"epoch":0,"phases":{phases}}}\n')
    assert cli.main(["compare", "--no-replay", str(tmp_path / "old"), str(tmp_path / "new")]) == 2
    assert word in capsys.readouterr().err


@pytest.mark.parametrize(
    "content, word",
    [("", "first line"), ("{}\n", "line 1"), ('{"record":"step"}\n', "first line"), ('{"record":"header","format":99}\n', "format 99"), ("\x00\x01\n{}\n", "line 1")],
)  # fmt: skip
def test_what_is_no_trace(tmp_path: Path, content: str, word: str) -> None:
    (tmp_path / "bad").write_text(content)
    with pytest.raises(trace.TraceError, match=word):
        trace.read(tmp_path / "bad")
