from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from regression.cli import main
from regression.compare.judge import compare
from regression.report import write
from regression.report.timing import measured, read
from regression.throughput.pairs import Pair, Throughput
from regression.trace import Trace, TraceError
from tests.regression.report.test_page import Page

TIMES = ((10.0, 9.7), (10.2, 9.9), (10.1, 9.9), (10.0, 10.1), (10.3, 9.9), (10.2, 9.9))
RESULT = Throughput([Pair("old then new", old, new, 200, 100) for old, new in TIMES], 0.98, "step", 3)


def saved(folder: Path, **changed: Any) -> Path:
    path = folder / "times.json"
    path.write_text(json.dumps({**RESULT.to_json(), **changed}))
    return path


def test_pairs_and_interval_are_drawn(tmp_path: Path, plain: Trace) -> None:
    files = write(tmp_path / "report.html", plain, plain, compare(plain, plain), RESULT)
    text = Page(files[0]).text
    assert "Not slower" in text and "1.030 × the old throughput, interval 0.990 to 1.040" in text
    assert "median 1.030" in text and "asked for 0.980" in text and "peak memory 0.500 × the old" in text
    assert files[-1].name == "report-throughput.png"
    assert "**Throughput**: Not slower" in files[1].read_text()
    assert json.loads(files[2].read_text())["throughput"] == RESULT.to_json()


def test_a_saved_result_is_the_same(tmp_path: Path) -> None:
    assert read(saved(tmp_path)) == measured(RESULT)


@pytest.mark.parametrize(("verdict", "tone"), [("slower", "bad"), ("undecided", "warn")])
def test_the_verdict_has_a_colour(tmp_path: Path, plain: Trace, verdict: str, tone: str) -> None:
    timing = read(saved(tmp_path, verdict=verdict, more_pairs=4))
    page = write(tmp_path / "report.html", plain, plain, compare(plain, plain), timing)[0].read_text()
    assert f'<span class="{tone}">{verdict.capitalize()}</span>' in page and "4 more pairs would decide" in page


def test_what_no_pairs_would_decide_says_so(tmp_path: Path) -> None:
    assert str(read(saved(tmp_path, verdict="undecided", more_pairs=0))).endswith(
        "too close to be decided by more pairs"
    )


def test_the_command_takes_a_saved_result(tmp_path: Path, plain: Trace) -> None:
    report = tmp_path / "report.html"
    asked = ["--report", str(report), "--throughput", str(saved(tmp_path))]
    assert main(["compare", str(plain.path), str(plain.path), *asked]) == 0
    assert "Not slower" in report.read_text()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"interval": 3}'])
def test_another_file_is_no_result(tmp_path: Path, text: str) -> None:
    (tmp_path / "times.json").write_text(text)
    with pytest.raises(TraceError, match=r"times\.json: no throughput result"):
        read(tmp_path / "times.json")
