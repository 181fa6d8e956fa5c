from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from regression.cli import main
from regression.compare.judge import compare
from regression.report import write
from regression.report.timing import read
from regression.trace import Trace, TraceError
from tests.regression.report.test_page import Page

RATIOS = (0.97, 0.99, 0.98, 1.01, 0.96, 0.98)
RESULT: dict[str, Any] = {
    "pairs": [{"old": 10.0, "new": 10 * ratio, "ratio": ratio, "order": "old first"} for ratio in RATIOS],
    "ratio": 0.98,
    "interval": [0.96, 1.01],
    "threshold": 1.02,
    "verdict": "not slower",
    "more_pairs": 0,
    "memory_ratio": 0.5,
}


def saved(folder: Path, **changed: Any) -> Path:
    path = folder / "times.json"
    path.write_text(json.dumps({**RESULT, **changed}))
    return path


def test_pairs_and_interval_are_drawn(tmp_path: Path, old: Trace, alike: Trace) -> None:
    files = write(tmp_path / "report.html", old, alike, compare(old, alike), read(saved(tmp_path)))
    text = Page(files[0]).text
    assert "No slower" in text and "interval 0.960 to 1.010" in text and "peak memory × 0.50" in text
    assert "median 0.980" in text and "slower above 1.020" in text
    assert files[-1].name == "report-throughput.png"
    assert "**Throughput**: No slower" in files[1].read_text()
    assert json.loads(files[2].read_text())["throughput"] == RESULT


@pytest.mark.parametrize(("verdict", "tone"), [("slower", "bad"), ("undecided", "warn")])
def test_the_verdict_has_a_colour(tmp_path: Path, old: Trace, verdict: str, tone: str) -> None:
    timing = read(saved(tmp_path, verdict=verdict, more_pairs=4, memory_ratio=None))
    page = write(tmp_path / "report.html", old, old, compare(old, old), timing)[0].read_text()
    assert f'<span class="{tone}">{verdict.capitalize()}</span>' in page and "4 more pairs would decide" in page


def test_the_command_takes_a_saved_result(tmp_path: Path, old: Trace) -> None:
    report = tmp_path / "report.html"
    asked = ["--report", str(report), "--throughput", str(saved(tmp_path))]
    assert main(["compare", str(old.path), str(old.path), *asked]) == 0
    assert "No slower" in report.read_text()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"interval": 3}'])
def test_another_file_is_no_result(tmp_path: Path, text: str) -> None:
    (tmp_path / "times.json").write_text(text)
    with pytest.raises(TraceError, match=r"times\.json: no throughput result"):
        read(tmp_path / "times.json")
