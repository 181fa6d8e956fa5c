from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import unquote

import pytest

from regression.compare.judge import compare
from regression.report import ReportError, write_all
from regression.trace import Trace
from tests.regression.report.test_page import Page


def test_one_page_says_of_each_training_what_was_found(tmp_path: Path, plain: Trace, plain_other: Trace) -> None:
    runs = {
        "plain": (plain, plain, compare(plain, plain)),
        "a<i>": (plain, plain_other, compare(plain, plain_other)),
    }
    files = write_all(tmp_path / "all.html", runs)
    made = Page(files[0])
    assert "1 of 2 not the same" in made.text and "a<i>" in made.text and "i" not in made.names
    links = [tmp_path / unquote(value) for name, value in made.attributes if name == "href"]
    assert links == [tmp_path / "all" / "plain.html", tmp_path / "all" / "a<i>.html"]
    assert "The same" in Page(links[0]).text and "Different from step 1 on" in Page(links[1]).text
    rows = [line for line in (tmp_path / "all.md").read_text().splitlines() if line.startswith("| ")]
    assert len(rows) == 4 and rows[2].startswith("| plain | the same |")
    said = json.loads((tmp_path / "all.json").read_text())
    assert [of["verdict"]["kind"] for of in said.values()] == ["same", "different"]


def test_none(tmp_path: Path) -> None:
    assert "Nothing compared" in Page(write_all(tmp_path / "all.html", {})[0]).text


def test_all_or_none(tmp_path: Path, plain: Trace) -> None:
    (tmp_path / "all").touch()
    with pytest.raises(ReportError, match="cannot be written here"):
        write_all(tmp_path / "all.html", {"one": (plain, plain, compare(plain, plain))})
    assert [file.name for file in tmp_path.iterdir()] == ["all"]
