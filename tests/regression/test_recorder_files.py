"""What `record` does to files that are there already, and to those that it cannot write."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from regression import cli, trace
from regression.pool import Pool
from regression.record import RecordingError, check
from regression.recorder.child import Job

TINY = Path(__file__).with_name("tiny.py")


def record(pool: Pool, folder: Path, *command: str, **job: object) -> trace.Trace:
    told = Job(command, str(folder / "run.trace"), device="cpu", **job)  # type: ignore[arg-type]
    return pool.record(told, folder, {"PATH": os.environ["PATH"]})


def test_a_trace_gives_way_to_a_whole_one_alone(pool: Pool, tmp_path: Path) -> None:
    record(pool, tmp_path, str(TINY), steps=1)
    before = (tmp_path / "run.trace").read_bytes()
    for fault, kept in (("never fits", False), ("fits twice", False), ("exits", True)):
        with pytest.raises(RecordingError):
            record(pool, tmp_path, str(TINY), "--fault", fault)
        assert (tmp_path / "run.trace").read_bytes() == before
        assert (tmp_path / "run.trace.part").exists() == kept
    assert len(trace.read(tmp_path / "run.trace.part").steps) == 16
    record(pool, tmp_path, str(TINY), steps=2)
    assert len(trace.read(tmp_path / "run.trace").steps) == 2 and not (tmp_path / "run.trace.part").exists()


def test_a_script_that_leaves_python_is_no_whole_run(pool: Pool, tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match=r"left Python before its end .* has the 16 steps before that"):
        record(pool, tmp_path, str(TINY), "--fault", "exits")
    assert len(trace.read(tmp_path / "run.trace").steps) == 16


@pytest.mark.parametrize("end", ["killed", "0"])
def test_a_run_that_is_told_to_end_in_the_middle_of_training_is_no_whole_run(
    pool: Pool, tmp_path: Path, end: str
) -> None:
    record(pool, tmp_path, str(TINY), steps=7)
    before = (tmp_path / "run.trace").read_bytes()
    with pytest.raises(
        RecordingError, match=r"tiny\.py was told to end in the middle .*\.part has the [56] steps before"
    ):
        record(pool, tmp_path, str(TINY), "--fault", f"in the middle {end}")
    assert (tmp_path / "run.trace").read_bytes() == before
    assert not trace.read(tmp_path / "run.trace.part").complete


@pytest.mark.parametrize("status", [120, 121, 124])
def test_every_exit_status_may_be_the_scripts_own(pool: Pool, tmp_path: Path, status: int) -> None:
    with pytest.raises(RecordingError, match=rf"tiny\.py ended with status {status}; .*run\.trace has the 5 steps"):
        record(pool, tmp_path, str(TINY), "--fault", f"in the middle {status}")


def test_a_script_that_catches_an_error_of_its_training_and_goes_on_is_told(pool: Pool, tmp_path: Path) -> None:
    fit = "\ntrainer.fit(net, *loaders)\n"
    script = TINY.read_text().replace(fit, f"\ntry: {fit.strip()}\nexcept RuntimeError: pass\n")
    (tmp_path / "goes_on.py").write_text(script)
    made = record(pool, tmp_path, "goes_on.py", "--fault", "in the middle raises")
    assert len(made.steps) == 5 and made.complete
    told = "goes_on.py went on after Trainer.fit had failed (RuntimeError: no such batch)"
    assert told in (tmp_path / "run.trace.log").read_text()


def test_a_second_training_whose_error_is_caught_is_told(pool: Pool, tmp_path: Path) -> None:
    script = TINY.read_text().replace(
        "    trainer.fit(net, *loaders)\n", "    try: trainer.fit(net, *loaders)\n    except BaseException: pass\n"
    )
    (tmp_path / "swallows.py").write_text(script)
    with pytest.raises(RecordingError, match=r"calls Trainer\.fit twice"):
        record(pool, tmp_path, "swallows.py", "--fault", "fits twice")


def test_a_module_of_the_scripts_called_regression_is_the_scripts(pool: Pool, tmp_path: Path) -> None:
    (tmp_path / "regression.py").write_text("RATE = 0.3\n")
    (tmp_path / "train.py").write_text(TINY.read_text().replace("default=0.1", "default=__import__('regression').RATE"))
    made = record(pool, tmp_path, "train.py", steps=1)
    assert made.start and made.start["phases"]["settings"]["hyper_parameters"]["lr"] == 0.3


def test_a_module_that_is_not_there_is_told_without_a_traceback(pool: Pool, tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match=r"^there is no module json\.nowhere to run"):
        record(pool, tmp_path, "-m", "json.nowhere")


@pytest.mark.parametrize(
    "out, sentence",
    [(".", "is a folder"), ("train.py", "is no trace"), ("/proc/x.trace", "cannot be written"), ("/dev/null", "is no trace")],
)  # fmt: skip
def test_nothing_is_written_over_what_is_no_trace(tmp_path: Path, out: str, sentence: str) -> None:
    (tmp_path / "train.py").write_text("pass\n")
    with pytest.raises(RecordingError, match=sentence):
        check(Job((str(tmp_path / "train.py"),), str(tmp_path / out)), tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["train.py"]


def test_a_device_that_is_not_there_is_told_before_anything_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(RecordingError, match="no CUDA device"):
        check(Job((str(TINY),), str(tmp_path / "run.trace"), device="cuda"), tmp_path)


@pytest.mark.parametrize(
    "option", [("--steps", "abc"), ("--seed", str(10**20)), ("--tensors", "5:3"), ("--tensors", "0:3")]
)
def test_options_are_told_what_they_should_be(option: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main(["record", "--out", "run.trace", *option, "--", str(TINY)])
    told = capsys.readouterr().err.splitlines()[-1]
    assert end.value.code == 2 and f"{option[1]}: " in told and "expected" in told


def test_json_is_strict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    step = {"record": "step", "step": 1, "epoch": 0, "phases": {"loss": {"loss": float("nan")}}}
    made = trace.Trace(tmp_path / "run.trace", {"deterministic": True}, [step])
    (tmp_path / "run.trace").touch()
    monkeypatch.setattr(cli, "record", lambda job: made)
    cli.main(["record", "--out", str(made.path), "--json", "--logs-nothing", "--", str(TINY)])
    assert json.loads(capsys.readouterr().out, parse_constant=pytest.fail)["losses"] == ["nan"]
