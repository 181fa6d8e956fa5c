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


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--report", "report.pdf"), "report.pdf: the report is a page, name a file that ends in .html"),
        (("--report", "file/report.html"), "cannot be written here ({here}/file is no folder); name another file"),
        (("--report", "taken.html"), "cannot be written here (it is a folder); name another file"),
        (("--report", "report.html", "--throughput", "file"), "file: no throughput result"),
        (("--wandb", "gate"), "wandb is not installed, so nothing is logged: pip install wandb"),
    ],
)
def test_a_report_that_cannot_be_is_a_sentence_before_anything_is_compared(
    tmp_path: Path,
    plain: Trace,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    options: tuple[str, ...],
    told: str,
) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("{}")
    (tmp_path / "taken.html").mkdir()
    assert main(["compare", str(plain.path), str(plain.path), *options]) == 2
    said = capsys.readouterr()
    assert said.out == "" and told.format(here=tmp_path) in said.err and said.err.count("\n") == 1
