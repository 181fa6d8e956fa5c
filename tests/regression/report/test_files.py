from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from regression.compare.judge import Comparison, Divergence, compare
from regression.report import ReportError, to_wandb, write
from regression.trace import Trace

PNG = b"\x89PNG\r\n\x1a\n"


def test_what_is_written(report: list[Path]) -> None:
    names = "report.html report.md report.json report-losses.png report-rates.png report-gradients.png report-validation.png"
    assert [file.name for file in report] == names.split()
    assert sorted(report[0].parent.iterdir()) == sorted(report)
    assert all(file.read_bytes().startswith(PNG) for file in report if file.suffix == ".png")


def test_json_says_what_was_found(report: list[Path], old: Trace, other: Trace) -> None:
    said = json.loads(report[0].with_suffix(".json").read_text())
    assert said["comparison"] == json.loads(json.dumps(compare(old, other).to_json()))
    assert said["verdict"]["kind"] == "different" and said["phases"]["step"]["first_step"] == 1
    assert said["environments"]["new"] == other.header and said["throughput"] is None


def test_numbers_that_json_does_not_have(tmp_path: Path, plain: Trace) -> None:
    found = Comparison([Divergence(1, 0, "loss", "loss", "", float("nan"), float("inf"))])
    write(tmp_path / "report.html", plain, plain, found)
    strict = json.loads((tmp_path / "report.json").read_text(), parse_constant=lambda name: pytest.fail(name))
    assert (strict["comparison"]["first"]["old"], strict["comparison"]["first"]["new"]) == ("nan", "inf")


def test_markdown(report: list[Path]) -> None:
    text = report[0].with_suffix(".md").read_text()
    assert text.startswith("### Training regression: different from step 1 on\n") and len(text) < 6000
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert rows[0] == "| phase | values compared | differ | first at |" and {row.count("|") for row in rows} == {5}
    assert any(row.startswith("| step | ") and row.endswith(" step 1 |") for row in rows)
    assert "`a<i>&c.trace`" in text and "Setting `lr` is `0.01` and `0.02`." in text


def test_markdown_of_what_others_wrote(tmp_path: Path, plain: Trace) -> None:
    found = Comparison([Divergence(1, 0, "data", "order", "a|b`c\n", "<b>", 1)], notes=["@someone [x](y) <script> *a*"])
    write(tmp_path / "report.html", plain, plain, found)
    text = (tmp_path / "report.md").read_text()
    assert "a¦b'c" in text and "<script>" not in text and "@someone" not in text and "[x](y)" not in text


@pytest.mark.parametrize("where", ["file/report.html", "taken.html", "report.txt"])
def test_where_nothing_can_be_written_nothing_is(tmp_path: Path, plain: Trace, where: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "taken.html").mkdir()
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ReportError, match=r"cannot be written here|ends in \.html"):
        write(tmp_path / where, plain, plain, compare(plain, plain))
    assert sorted(tmp_path.rglob("*")) == before


def test_a_second_report_takes_the_place_of_the_first(tmp_path: Path, plain: Trace, plain_other: Trace) -> None:
    for new in (plain_other, plain):
        files = write(tmp_path / "report.html", plain, new, compare(plain, new))
    assert "The same" in files[0].read_text() and sorted(tmp_path.iterdir()) == sorted(files)


def test_a_loss_that_is_no_number(tmp_path: Path, old: Trace) -> None:
    records = [dict(record) for record in old.records]
    for record in records:
        if record["record"] == "step" and record["step"] > 6:
            record["phases"] = {**record["phases"], "loss": {"loss": float("nan")}}
    broken = replace(old, records=records)
    write(tmp_path / "report.html", old, broken, compare(old, broken))
    assert "the new run has no finite loss at 6 steps, the first is 7" in (tmp_path / "report.html").read_text()


def test_wandb(tmp_path: Path, report: list[Path], old: Trace, other: Trace, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    assert to_wandb(compare(old, other), "gate", report).startswith("wandb, offline: ")
    (run,) = (tmp_path / "wandb").glob("offline-run-*")
    logged = [file.name for file in run.rglob("*") if file.is_file()]
    assert sum(name.endswith(".png") for name in logged) == 4 and any(name.endswith(".html") for name in logged)


def test_without_wandb(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(ReportError, match=r"^wandb is not installed.*pip install wandb$"):
        to_wandb(Comparison(), "gate", [])


def test_without_matplotlib(tmp_path: Path, plain: Trace, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith(("matplotlib.", "regression.report."))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ReportError, match="draws with matplotlib, which is not installed: pip install matplotlib"):
        write(tmp_path / "report.html", plain, plain, compare(plain, plain))
