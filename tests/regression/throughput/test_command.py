"""A command line, taken apart."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from regression.record import RecordingError
from regression.throughput.command import parse


@pytest.fixture(autouse=True)
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("train.py").touch()


def test_the_interpreter_and_variables_of_a_command() -> None:
    found = parse("A=1 B='x y' /usr/bin/python3.11 train.py --lr '1 2'")
    assert found.environment == {"A": "1", "B": "x y"} and found.python == "/usr/bin/python3.11"
    assert found.arguments == ("train.py", "--lr", "1 2")
    assert parse("python -m train --x").arguments == ("-m", "train", "--x")
    assert parse("train.py").python == sys.executable and not parse("bash run.sh").is_python


@pytest.mark.parametrize("options", ["-u", "-OO -B", "-uB", "-X dev", "-Xdev", "-W ignore -s", "-E -I"])
def test_the_interpreters_options_are_apart_from_the_scripts(options: str) -> None:
    found = parse(f"python {options} train.py -u")
    assert found.options == tuple(options.split()) and found.arguments == ("train.py", "-u")
    assert parse(f"python {options} -m train").arguments == ("-m", "train")


@pytest.mark.parametrize(
    "text", ["python -c pass", "python -i train.py", "python -m", "python -u", "python -u nowhere.py"]
)
def test_what_is_no_script_is_a_sentence(text: str) -> None:
    with pytest.raises(RecordingError, match=r"a script, or -m|there is no script"):
        parse(text)
