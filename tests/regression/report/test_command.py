from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from regression.cli import main
from regression.trace import Trace


def test_the_command_says_where_the_report_is(
    tmp_path: Path, plain: Trace, plain_other: Trace, capsys: pytest.CaptureFixture[str]
) -> None:
    report = tmp_path / "report.html"
    asked = ["compare", str(plain.path), str(plain_other.path), "--no-replay", "--report", str(report)]
    assert main(asked) == 1 and report.is_file()
    assert capsys.readouterr().out.endswith(f"report: {report}\n")
    assert main([*asked, "--json"]) == 1
    said = capsys.readouterr()
    assert json.loads(said.out)["same"] is False and said.err == f"report: {report}\n"


def test_a_report_that_cannot_be_written_is_a_sentence(
    tmp_path: Path, plain: Trace, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", str(plain.path), str(plain.path), "--report", str(tmp_path / "report.pdf")]) == 2
    assert capsys.readouterr().err.endswith("name a file that ends in .html\n")


def test_a_throughput_result_that_is_none(tmp_path: Path, plain: Trace, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "times.json").write_text("{}")
    options = ["--report", str(tmp_path / "report.html"), "--throughput", str(tmp_path / "times.json")]
    assert main(["compare", str(plain.path), str(plain.path), *options]) == 2
    assert "times.json: no throughput result" in capsys.readouterr().err


def test_wandb_without_a_report(
    tmp_path: Path, plain: Trace, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    assert main(["compare", str(plain.path), str(plain.path), "--wandb", "gate"]) == 2
    assert "pip install wandb" in capsys.readouterr().err
