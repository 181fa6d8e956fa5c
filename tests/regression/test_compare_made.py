"""What is said of traces that no run of `tiny.py` makes."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from regression import cli, trace
from regression.compare.cli import summary
from regression.compare.difference import first_difference
from regression.compare.judge import Comparison, compare
from regression.compare.localize import replay
from regression.record import RecordingError
from regression.trace import Record, TraceError
from tests.regression.made import HEADER, record, whole, written

STEP: dict[str, Any] = {"loss": {"loss": 1.0}, "step": {"options": {"0": {"lr": 0.1}}}}


def judged(folder: Path, old: list[Record], new: list[Record]) -> Comparison:
    return compare(written(folder / "old.trace", old), written(folder / "new.trace", new))


def turns(**changed: Any) -> dict[str, Any]:
    """A step in which two optimisers take their turns."""
    made = {
        "loss.loss": 1.0, "loss.loss 2": 2.0, "backward.gradients": 1.0, "backward.gradients 2": 1.0, "clip.gradients": 1.0,
        "clip.gradients 2": 1.0, "step.options": {"0": {"lr": 0.1}}, "step.options 2": {"0": {"lr": 0.1}}, "step.parameters": 1.0,
    }  # fmt: skip
    phases: dict[str, Any] = {}
    for key, value in {**made, **changed}.items():
        phase, quantity = key.split(".")
        phases.setdefault(phase, {})[quantity] = value
    return phases


def test_batches_of_four_are_no_table_of_what_was_logged(tmp_path: Path) -> None:
    run = whole({"data": {"order": [[3, 1, 0, 2]]}})
    assert judged(tmp_path, run, run).same
    first = judged(tmp_path, run, whole({"data": {"order": [[3, 1, 2, 0]]}})).first
    assert first and (first.phase, first.quantity) == ("data", "order")


@pytest.mark.parametrize("lines, word", [(-1, "cut.trace ends after step 2, before"), (1, "cut.trace has no step")])
def test_a_run_that_did_not_end_is_not_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], lines: int, word: str
) -> None:
    for name, records in (("whole", whole(STEP, STEP)), ("cut", whole(STEP, STEP)[:lines])):
        written(tmp_path / f"{name}.trace", records)
    for pair in (("whole", "cut"), ("cut", "whole"), ("cut", "cut")):
        assert cli.main(["compare", *(str(tmp_path / f"{name}.trace") for name in pair)]) == 2
        assert word in capsys.readouterr().err


def test_where_a_run_that_did_not_end_differs_before_that_is_told(tmp_path: Path) -> None:
    found = judged(tmp_path, whole(STEP, STEP, STEP), whole(STEP, {**STEP, "loss": {"loss": 2.0}})[:-1])
    assert found.first and found.first.step == 2 and not found.incomparable
    assert "new.trace ends after step 2" in summary(found, 2)[-1]


def test_another_length_is_told_with_the_first_difference(tmp_path: Path) -> None:
    found = judged(tmp_path, whole(STEP, STEP), whole({**STEP, "loss": {"loss": 2.0}}))
    assert found.first and not found.incomparable and "--steps 1" in found.notes[0]
    assert "--steps 1" in judged(tmp_path, whole(STEP, STEP), whole(STEP)).incomparable


def test_no_steps_are_not_advised(tmp_path: Path) -> None:
    told = judged(tmp_path, whole(STEP), whole()).incomparable
    assert "no step" in told and "--steps" not in told


def test_notes_are_told_of_runs_that_are_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    warned = [*whole(STEP)[:-1], record("end", 1, warnings={"UserWarning: mind": 1})]
    judged(tmp_path, whole(STEP), warned)
    assert cli.main(["compare", str(tmp_path / "old.trace"), str(tmp_path / "new.trace")]) == 0
    assert "note: warned only in the new run: UserWarning: mind" in capsys.readouterr().out


def test_the_start_is_found_behind_a_validation(tmp_path: Path) -> None:
    def run(width: int) -> list[Record]:
        names = {"record": "names", "key": "n0", "names": [["w", [width], "float32"]]}
        start = record("start", 0, {"start": {"parameters": {"of": "n0", "hash": ["0" * 16]}}})
        return [HEADER, names, record("validation", 0), start, record("step", 1, STEP), record("end", 1)]

    assert written(tmp_path / "t.trace", run(2)).start is not None
    assert "w is float32 [2]" in judged(tmp_path, run(2), run(3)).incomparable


@pytest.mark.parametrize(
    "changed, phase, word",
    [
        ({"step.options 2": {"0": {"lr": 0.1000001}}}, "step", "another option"),
        ({"clip.gradients 2": 2.0}, "clip", "clipping value"),
        ({"loss.loss 2": 9.0, "backward.gradients 2": 9.0}, "loss", "the loss"),
    ],
)
def test_what_the_second_optimiser_does_comes_before_the_weights(
    tmp_path: Path, changed: dict[str, Any], phase: str, word: str
) -> None:
    schedule = [record("schedule", 1, {"schedule": {"options of 1": {"0.lr": float(i)}}}) for i in range(2)]
    old, new = turns(), turns(**changed, **{"step.parameters": 2.0})
    first = judged(tmp_path, whole(old, after=(schedule[0],)), whole(new, after=(schedule[1],))).first
    assert first and first.phase == phase and first.quantity.endswith(" 2") and word in first.meaning


NAMES = {"record": "names", "key": "n0", "names": [["w", [2], "float32"]]}
TABLE = {"of": "n0", "hash": ["0" * 16]}


@pytest.mark.parametrize(
    "records, word",
    [
        ([{**HEADER, "versions": None}], "line 1.*versions"),
        ([{"record": "header", "format": trace.FORMAT}], "line 1.*level"),
        ([HEADER, record("start", 0), record("step", 1, {"backward": {"gradients": TABLE}})], "line 3.*n0"),
        ([HEADER, NAMES, record("start", 0, {"start": {"buffers": {**TABLE, "hash": []}}})], "line 3.*1 tensors"),
        ([HEADER, record("start", 0), {"record": "step"}], "line 3.*step"),
        ([HEADER, record("start", 0), {**record("step", 1), "phases": [1]}], "line 3"),
        ([HEADER, record("start", 0), record("step", 1, {"clip": {"gradients": {"as": "backward.gradients"}}})], "line 3"),
        ([HEADER, record("start", 0), record("step", 1, {"metrics": {"logged": [1]}})], "line 3"),
        ([HEADER, record("start", 0), record("step", 1, {"colour": {}})], "line 3.*colour"),
        ([HEADER, record("start", 0), record("step", 1), record("step", 3)], "line 4.*step 3 follows step 1"),
        ([HEADER, record("step", 1)], "line 2.*before the start"),
    ],
)  # fmt: skip
def test_damage_is_told_with_its_line(tmp_path: Path, records: list[Record], word: str) -> None:
    with pytest.raises(TraceError, match=word):
        written(tmp_path / "t.trace", records)


def test_a_hyper_parameter_may_be_called_as_a_table_is(tmp_path: Path) -> None:
    run = whole({"settings": {"hyper_parameters": {"of": 3, "as": "x"}}})
    assert judged(tmp_path, run, run).same


def kept(folder: str, name: str = "epoch=0.ckpt", seconds: float = 1.0) -> list[Record]:
    content = {"callbacks.ModelCheckpoint.best_model_path": f"{folder}/{name}", f"best_k_models.{folder}/{name}": 0.5}
    state = {"Timer": {"time_elapsed.train": seconds}, "ModelCheckpoint": {"dirpath": folder}}
    files = record("checkpoint", 1, {"checkpoint": {"file": name, "content": content}})
    return whole(STEP, after=(files, record("last", 1, {"end": {"callbacks": state}})))


@pytest.mark.parametrize(
    "one, other",
    [
        ("/tmp/tmpnxlxsok3/c", "/var/tmp/tmphjospk8q/c"),
        ("./runs/2026-11-27T08:02:10.928131", "./runs/2026-11-28T09:03:11.1"),
        ("./outputs/2026-11-27/08-02-10", "./outputs/2026-11-27/08-02-11"),
        ("./runs/20261127_080210", "./runs/20261127_080211"),
    ],
)
def test_folders_made_for_one_run_are_no_difference(tmp_path: Path, one: str, other: str) -> None:
    found = judged(tmp_path, kept(one), kept(other))
    assert found.same, str(found.first)
    assert any("new in every run" in note for note in found.notes)
    first = judged(tmp_path, kept(one), kept(other, "epoch=1.ckpt")).first
    assert first and first.phase == "checkpoint", "a file's name is compared"
    assert not judged(tmp_path, kept("./runs/a"), kept("./runs/b")).same, (
        "a folder that has another name is a difference"
    )


def test_seconds_of_a_timer_are_not_compared(tmp_path: Path) -> None:
    found = judged(tmp_path, kept("./c", seconds=1.0), kept("./c", seconds=2.0))
    assert found.same and "not compared: the seconds that Timer has counted" in found.notes


def test_a_mode_comes_before_what_it_does(tmp_path: Path) -> None:
    old = {"forward": {"outputs": 1.0, "random": "a"}}
    new = {"forward": {"evaluating": ["bn"], "outputs": 2.0, "random": "b"}}
    first = judged(tmp_path, whole({}, old), whole({}, new)).first
    assert first and first.quantity == "evaluating" and "the other mode" in first.meaning


def test_buffers_come_before_metrics(tmp_path: Path) -> None:
    runs = [whole({"metrics": {"metrics": x}, "step": {"buffers": x}}) for x in (1.0, 2.0)]
    first = judged(tmp_path, *runs).first
    assert first and first.quantity == "buffers" and "running statistics" in first.meaning


@pytest.mark.parametrize(
    "phases, word",
    [
        (("data", "forward", "loss"), "weights at the start differ"),
        (("clip", "step"), "were not recorded before"),
        (("loss", "backward"), "no output of the network was recorded"),
    ],
)
def test_what_was_not_recorded_is_not_said_to_be_equal(tmp_path: Path, phases: tuple[str, ...], word: str) -> None:
    quantities = {"data": "order", "forward": "outputs", "loss": "loss", "backward": "gradients", "clip": "gradients", "step": "parameters"}  # fmt: skip
    runs = [whole({phase: {quantities[phase]: 0.0 if phase == "data" else x} for phase in phases}) for x in (1.0, 2.0)]
    first = judged(tmp_path, *runs).first
    assert first and word in first.meaning and "equal data and weights" not in first.meaning


def test_switches_are_compared_when_training_begins_and_when_it_ends(tmp_path: Path) -> None:
    def run(first: str, last: str) -> list[Record]:
        return [
            *whole({**STEP, "settings": {"flags": {"precision": first}}})[:-1],
            record("end", 1, flags={"precision": last, "threads": len(last)}),
        ]

    for new in (run("medium", "highest"), run("highest", "medium")):
        found = judged(tmp_path, run("highest", "highest"), new)
        assert [(d.phase, d.name) for d in found.divergences] == [("settings", "precision")]
        assert found.first and "once training has begun" in found.first.meaning
    assert judged(tmp_path, run("highest", "high"), run("highest", "high")).same


def test_many_ulps_are_not_counted(tmp_path: Path) -> None:
    first = judged(tmp_path, whole(STEP), whole({**STEP, "loss": {"loss": 1.17000001}})).first
    assert first and "ulp" not in str(first) and "0.15 relative" in str(first)


def test_parameters_are_looked_at_in_the_order_of_the_model(tmp_path: Path) -> None:
    import torch
    from safetensors.torch import save_file

    for name in ("old", "new"):
        save_file({f"parameter/{p}": torch.full((2,), float(name == "new")) for p in "ab"}, tmp_path / name)
    place = first_difference(tmp_path / "old", tmp_path / "new", 1, ["b", "a"])
    assert place and place.name == "b"


def test_json_is_strict_where_a_value_is_no_number(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    judged(tmp_path, whole(STEP), whole({**STEP, "loss": {"loss": float("nan")}}))
    traces = [str(tmp_path / "old.trace"), str(tmp_path / "new.trace")]
    assert cli.main(["compare", *traces, "--json", "--no-replay"]) == 1

    def refuse(name: str) -> None:
        raise AssertionError(name)

    assert json.loads(capsys.readouterr().out, parse_constant=refuse)["first"]["new"] == "nan"


def test_a_command_is_shown_before_it_is_run_again_and_does_not_read_what_is_typed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "asks.py").write_text("import sys; sys.exit(f'read {sys.stdin.read()!r} of {len(sys.argv)}')\n")
    how = {"folder": str(tmp_path), "python_path": "", "command": ["asks.py", "a b", "\x1b[2J"]}
    header = {**HEADER, "replay": {**how, "steps": 1, "device": None, "seed": 0, "deterministic": True}}
    made = written(tmp_path / "old.trace", [header, *whole(STEP)[1:]])
    typed, typing = os.pipe()
    os.write(typing, b"yes")
    os.close(typing)
    before = os.dup(0)
    os.dup2(typed, 0)
    try:
        with pytest.raises(RecordingError, match=r"read '' of 3\n.*ended with status 1"):
            replay(made, 1, tmp_path / "again.trace")
    finally:
        os.dup2(before, 0)
        os.close(before)
        os.close(typed)
    shown = capsys.readouterr().err
    assert "old.trace is run again up to step 1" in shown and f"cd {tmp_path} && python asks.py " in shown
    assert "\\x1b[2J" in shown and "\x1b" not in shown


@pytest.mark.parametrize("how", [None, 3, {"out": "x"}, {"folder": 3}])
def test_a_trace_that_does_not_say_how_it_was_made_cannot_be_run_again(tmp_path: Path, how: object) -> None:
    made = written(tmp_path / "old.trace", [{**HEADER, "replay": how}, *whole(STEP)[1:]])
    with pytest.raises(RecordingError, match="does not say how"):
        replay(made, 1, tmp_path / "again.trace")


def test_runs_of_two_models_have_one_verdict_and_are_not_run_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, rate in (("body", 0.1), ("trunk", 0.2)):
        names = {"record": "names", "key": "n0", "names": [[f"{name}.weight", [2], "float32"]]}
        parameters = {"start": {"parameters": TABLE}, "settings": {"hyper_parameters": {"lr": rate}}}
        step = {"loss": {"loss": rate}}
        run = [HEADER, names, record("start", 0, parameters), record("step", 1, step), record("end", 1)]
        written(tmp_path / f"{name}.trace", run)
    assert cli.main(["compare", str(tmp_path / "body.trace"), str(tmp_path / "trunk.trace")]) == 2
    out, err = capsys.readouterr()
    assert err == "the two runs train different models: only the old one has a parameter body.weight\n"
    assert len(out.splitlines()) == 1 and "settings differ" in out and "lr is 0.1 in the old run" in out


def test_a_reader_that_stops_reading_is_no_error(tmp_path: Path) -> None:
    judged(tmp_path, whole(STEP), whole({**STEP, "loss": {"loss": 2.0}}))
    command = [sys.executable, "-m", "regression", "compare", "--no-replay", "old.trace", "new.trace"]
    environment = {"PYTHONPATH": str(Path(__file__).parents[2])}
    process = subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert isinstance(process.stdout, io.TextIOBase)
    process.stdout.close()
    _, errors = process.communicate(timeout=900)
    assert (process.returncode, errors) == (1, "")
