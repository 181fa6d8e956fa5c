from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

import pytest

from regression.compare.judge import Comparison, compare
from regression.report import write
from regression.report.timing import Timing
from regression.trace import Trace
from tests.regression.report.conftest import Record

VOID = {"meta", "br", "hr", "img", "col", "link", "input"}


class Page(HTMLParser):
    """What a page says, and whether each element that opens closes."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.open: list[str] = []
        self.names: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.text = ""
        self.source = path.read_text(encoding="utf-8")
        self.feed(self.source)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.attributes += [(name, value or "") for name, value in attributes]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def page(folder: Path, old: Trace, new: Trace, found: Comparison | None = None, timing: Timing | None = None) -> Page:
    write(folder / "report.html", old, new, found or compare(old, new), timing)
    return Page(folder / "report.html")


@pytest.fixture(scope="module")
def different(report: list[Path]) -> Page:
    return Page(report[0])


def test_alike(tmp_path: Path, old: Trace, alike: Trace) -> None:
    made = page(tmp_path, old, alike)
    assert "The same" in made.text and "equal bit for bit" in made.text and "equal everywhere" in made.text
    assert "First difference" not in made.text and "|new − old|" not in made.text


def test_different(different: Page) -> None:
    assert "Different from step 1 on" in different.text
    assert (
        "step 1, epoch 0, phase step" in different.text
        and "0.lr" in different.text
        and "0.5 relative" in different.text
    )
    assert "another option: learning rate" in different.text and "|new − old|" in different.text
    assert "Setting lr0.01 in the old run, 0.02 in the new one" in different.text.replace("\n", "")
    assert different.names.count("figure") == 4


def test_it_needs_nothing_else(different: Page) -> None:
    assert not {"script", "link", "img", "iframe"} & set(different.names)
    references = [value for name, value in different.attributes if name in ("href", "src", "xlink:href", "action")]
    assert references and all(value.startswith("#") for value in references)
    assert "http" not in different.source.replace("http-equiv", "")


def test_ids_are_of_one_element_each_and_references_have_one(different: Page) -> None:
    ids = [value for name, value in different.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    assert {value[1:] for name, value in different.attributes if name in ("href", "xlink:href")} <= set(ids)


def test_names_of_scripts_are_no_markup(different: Page) -> None:
    assert "a<i>&c.trace" in different.text and "a<i>&c.py" in different.text and "i" not in different.names


def test_what_was_not_compared_is_said(tmp_path: Path, recorded: Record, old: Trace) -> None:
    light = recorded("light", "--epochs", "1", light=True)
    text = page(tmp_path, light, light).text
    for gap in ("No tensors", "Not compared on a GPU: both ran on a processor", "No checkpoints"):
        assert gap in text


def test_incomparable_runs_have_a_report_that_says_why(tmp_path: Path, recorded: Record, old: Trace) -> None:
    short = recorded("short", steps=2)
    text = page(tmp_path, old, short).text
    assert "Not comparable" in text and "The old run has 12 steps and the new one 2" in text


def test_a_run_that_did_not_end(tmp_path: Path, old: Trace, alike: Trace) -> None:
    broken = Trace(alike.path, alike.header, alike.records[:4], alike.names)
    text = page(tmp_path, old, broken).text
    assert "The new run did not reach its end" in text


@pytest.mark.parametrize("records", [0, 1])
def test_a_run_without_a_step(tmp_path: Path, plain: Trace, records: int) -> None:
    empty = Trace(plain.path, plain.header, plain.records[:records], plain.names)
    assert "Not comparable" in page(tmp_path, empty, plain).text


def test_what_is_not_there_is_not_drawn(tmp_path: Path, plain: Trace) -> None:
    found = Comparison(compared={"loss": 3}, expected={"a meant <one>": 2, "another": 0})
    text = page(tmp_path, plain, plain, found).text
    assert "a meant <one>" in text and "but for 2 that are expected to differ" in text
    assert "“another” did not show" in text and "Where in the network" not in text and "Noise" not in text


def test_the_place_in_the_network_and_the_noise(tmp_path: Path, plain: Trace) -> None:
    place = {
        "name": "core.<conv>",
        "max_abs": 1e-7,
        "sentence": "step 3: the output of core.<conv> is the first to differ",
    }
    text = page(tmp_path, plain, plain, Comparison(localized=place, noise={"runs": 5, "floor": 2e-7})).text
    assert "Step 3: the output of core.<conv> is the first to differ." in text and "2e-07" in text
