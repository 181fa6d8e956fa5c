"""The page: whole in one file, everything in it escaped, everything a reader needs on it."""

from __future__ import annotations

import json
import os
from html.parser import HTMLParser
from pathlib import Path

import pytest

from migration.gates import Verdict
from migration.outcome import Finding, Level, Moved, Outcome
from migration.report import write_reports
from migration.report.compare import compare, segments, visible
from migration.report.html import render_html
from tests.migration.report_example import FILES, HOLDS, example, failing, made, plan
from tests.migration.support import plan_of

LEVELS: tuple[Level, ...] = ("warning", "note", "behaviour")
VOID = {"meta", "br", "link", "img", "input", "hr"}


class Page(HTMLParser):
    """The page's tags, attributes and text; fails where a tag is closed that is not open."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def count(self, tag: str) -> int:
        return sum(t == tag for t, _ in self.tags)


def test_the_page_leans_on_nothing_outside_itself() -> None:
    page = Page(render_html(example()))
    outside = [
        (tag, value)
        for tag, attributes in page.tags
        for name, value in attributes.items()
        if name in ("src", "href", "action", "data") and not (value or "").startswith("#")
    ]
    assert outside == []
    assert (
        "url(" not in "".join(line for line in render_html(example()).splitlines() if "marker-end" not in line)
        and "@import" not in page.text
    )


def test_links_within_the_page_lead_somewhere_and_ids_are_unique() -> None:
    page = Page(render_html(example([HOLDS, failing()])))
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {(a["href"] or "")[1:] for tag, a in page.tags if tag == "a"} <= set(ids)


@pytest.mark.parametrize(
    ("applied", "verdicts", "expected"),
    [
        (True, [HOLDS], "Applied"),
        (False, [HOLDS], "Ready to apply"),
        (False, [HOLDS, failing()], "A gate does not hold"),
    ],
)
def test_the_verdict_is_the_heading(applied: bool, verdicts: list[Verdict], expected: str) -> None:
    page = render_html(example(verdicts, applied=applied))
    assert f"</svg>{expected}</h1>" in page and page.count("<h1>") == 1


def test_both_pictures_are_drawn_with_the_same_colour_for_the_same_definition() -> None:
    page = Page(render_html(example()))
    assert page.count("svg") == 3
    colours = [(a["data-definition"], (a["class"] or "").split()[-1]) for tag, a in page.tags if "data-definition" in a]
    assert {name for name, _ in colours} == {"Sampler", "Beat"} and len(set(colours)) == 2
    assert [name for name, _ in colours].count("Sampler") == 3


def test_moved_definitions_have_both_places() -> None:
    page = render_html(example())
    assert 'training/train.py<span class="at">:10–11</span>' in page
    assert 'training/samplers.py<span class="at">:1–2</span>' in page


def test_an_edited_line_has_its_changed_part_marked() -> None:
    page = render_html(example())
    assert '<td class="new">python <mark>training/</mark>train.py --n 3</td>' in page
    assert "_target_: training.<mark>samplers</mark>.Sampler" in page


def test_a_gate_that_does_not_hold_stands_before_the_pictures() -> None:
    page = render_html(example([HOLDS, failing()], applied=False))
    assert page.index('id="gates"') < page.index('id="pictures"')
    assert page.index("does not hold</span>") < page.index(">holds</span>")


def test_a_decision_names_both_files_over_their_versions() -> None:
    found = Finding("decision", "jake/train.py", 13, "`Sampler.weight` differs", "weight = 2\n", "weight = 3\n")
    page = render_html(made(FILES, plan(), {"1.1": Outcome("kept", findings=[found])}, [], applied=False))
    assert "<th>training/train.py</th>" in page and "<th>jake/train.py</th>" in page
    assert "weight = <mark>2</mark>" in page and "weight = <mark>3</mark>" in page
    assert "<code>Sampler.weight</code> differs" in page


def test_nothing_of_the_repository_is_taken_for_html() -> None:
    evil = "<script>alert(1)</script>"
    name = f"{evil.replace('/', '')}'\"&.py"
    files: dict[str, str | bytes] = {name: f"class A:\n    x = '{evil}'\n", "b.sh": f"echo '{evil}'\n"}
    step = {"id": evil, "title": evil, "kind": "entry-point", "file": name, "max_lines": 9, "symbols_left": []}
    moved = [Moved("A", name, "new.py", (1, 2), evil, evil)]
    edits: dict[str, bytes | None] = {
        name: evil.encode(),
        "new.py": f"class A:\n    x = '{evil}'\n".encode(),
        "b.sh": f"echo {evil}\n".encode(),
    }
    findings = [Finding(level, name, 1, evil + "`x`", evil, evil + "!") for level in LEVELS]
    report = made(files, plan_of(step), {evil: Outcome("done", evil, edits, {}, findings, moved)}, [HOLDS])
    page = Page(render_html(report))
    assert page.count("script") == 1
    assert evil in page.text


def test_odd_bytes_and_names_do_not_stop_the_page() -> None:
    name = os.fsdecode(b"latin\xe9 \x07.sh")
    report = made(
        {name: b"echo \xff\x00\x1b[31m \xe2\x80\xae\n"},
        plan_of({"kind": "rewrite-paths", "files": ["*"], "from": "a.py", "to": "b.py"}),
        {"1": Outcome("done", "", {name: b"echo \xfe\n"})},
        [],
    )
    page = render_html(report)
    assert page.encode() and "\x1b" not in page and "\u202e" not in page and "\x00" not in page


def test_a_run_that_found_nothing_to_do_says_so_and_has_no_empty_sections() -> None:
    page = render_html(made(FILES, plan(), {}, [HOLDS]))
    assert "Nothing to do" in page
    for section in ("pictures", "moved", "edited", "diffs", "behaviour", "decisions", "remarks"):
        assert f'id="{section}"' not in page


def test_a_huge_diff_is_cut_and_says_so() -> None:
    report = made({"a.txt": "x\n" * 4000}, plan(), {"1.1": Outcome("done", edits={"a.txt": None})}, [])
    page = render_html(report)
    assert "1000 more lines" in page and len(page) < 1_500_000


def test_an_empty_file_and_a_change_of_mode_have_words_instead_of_lines() -> None:
    page = render_html(
        made(
            {"run.sh": "x\n"},
            plan(),
            {"1.1": Outcome("done", edits={"pkg/__init__.py": b"", "run.sh": b"x\n"}, modes={"run.sh": 0o755})},
            [],
        )
    )
    assert "An empty file." in page and "Only the file's permissions." in page.replace("&#39;", "'")


def test_lines_that_were_inserted_do_not_push_their_neighbours_apart() -> None:
    (part,) = compare(
        "a\nmean = gather(vals)\nz\n", "a\nvalid = vals[ok]\nif not valid:\n    return\nmean = gather(valid)\nz\n"
    )
    assert [(row.old_line, row.new_line) for row in part] == [(1, 1), (None, 2), (None, 3), (None, 4), (2, 5), (3, 6)]


def test_only_the_changed_words_of_a_line_are_marked() -> None:
    assert segments("from a.b import C", "from a.d import C")[1] == (
        ("from a.", False),
        ("d", True),
        (" import C", False),
    )


def test_lines_with_nothing_in_common_are_not_cut_into_pieces() -> None:
    assert segments("import os", "x = {1: 2}") == ((("import os", False),), (("x = {1: 2}", False),))


def test_a_change_of_line_ends_or_of_the_last_newline_can_be_seen() -> None:
    ((row,),) = compare("a\r\n", "a\n")
    assert row.changed and "␍" in "".join(text for text, _ in row.old)
    ((row,),) = compare("a\n", "a")
    assert row.changed and "no newline" in "".join(text for text, _ in row.new)


def test_a_long_line_shows_where_it_changed() -> None:
    old, new = segments("x" * 9000 + "1" + "y" * 9000, "x" * 9000 + "2" + "y" * 9000)
    assert ("1", True) in old and ("2", True) in new and sum(len(text) for text, _ in new) < 600


def test_visible_text_keeps_letters_and_loses_control() -> None:
    assert visible("naïve 名 \x1b[0m\x07\u202e\t") == "naïve 名 ␛[0m␇�\t"


def test_both_reports_are_written_whole(tmp_path: Path) -> None:
    report = example()
    write_reports(report, tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["report.html", "report.json"]
    assert json.loads((tmp_path / "report.json").read_text()) == report.to_json()
    assert (tmp_path / "report.html").read_text("utf-8") == render_html(report)
