"""What a person sees on a terminal, in a log, and at eighty columns."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from migration.outcome import Finding, Outcome
from migration.report import Report
from migration.report.terminal import render_terminal, step_line
from tests.migration.report_example import FILES, HOLDS, example, failing, made, outcomes, plan
from tests.migration.support import plan_of


def printed(report: Report, width: int = 120, terminal: bool = False) -> str:
    stream = io.StringIO()
    render_terminal(
        report,
        Console(file=stream, width=width, force_terminal=terminal, color_system="standard" if terminal else None),
    )
    return stream.getvalue()


def with_findings(*findings: Finding, step: dict[str, object] | None = None) -> Report:
    kind = step or {"kind": "remove-duplicate", "duplicate": "jake/train.py", "canonical": "training/train.py"}
    return made(FILES, plan_of(kind), {"1": Outcome("kept", "", findings=list(findings))}, [], applied=False)


def test_a_log_has_no_escape_codes() -> None:
    assert "\x1b" not in printed(example())
    assert "\x1b[" in printed(example(), terminal=True)


@pytest.mark.parametrize("width", [40, 80, 120])
def test_no_line_is_wider_than_the_terminal_but_the_commands(width: int) -> None:
    lines = printed(example([HOLDS, failing()], applied=False), width).splitlines()
    assert [line for line in lines if len(line) > width and "The tree is unchanged" not in line] == []


def test_every_step_is_in_the_table_with_its_summary_and_risk() -> None:
    text = printed(example())
    for expected in ("1.1", "Extract the sampler", "medium", "pointed 3 files at training/train.py"):
        assert expected in text


def test_what_has_not_been_applied_is_not_called_done() -> None:
    text = printed(example(applied=False))
    assert "would be done" in text and "to do" in text and " done " not in text.replace("would be done", "")


def test_a_gate_that_does_not_hold_says_why_and_where() -> None:
    text = printed(example([HOLDS, failing()], applied=False))
    assert "1 of 2 hold" in text and "cycles does not hold: No import cycle" in text
    assert "training/callbacks.py:3  imports training.train, which imports it" in text


def test_a_decision_shows_both_versions_side_by_side_under_their_files() -> None:
    text = printed(
        with_findings(
            Finding("decision", "jake/train.py", 13, "`Sampler.weight` differs", "    weight = 2\n", "    weight = 3\n")
        ),
        80,
    )
    header = next(line for line in text.splitlines() if "training/train.py" in line and "jake/train.py" in line)
    assert header.index("training/train.py") < header.index("jake/train.py")
    assert any("- weight = 2" in line and "+ weight = 3" in line for line in text.splitlines())


def test_a_narrow_terminal_shows_the_versions_below_each_other() -> None:
    text = printed(with_findings(Finding("decision", "a", 1, "differs", "weight = 2\n", "weight = 3\n")), 50)
    assert [line.strip() for line in text.splitlines() if "weight" in line] == ["- weight = 2", "+ weight = 3"]


def test_a_change_of_behaviour_shows_its_lines() -> None:
    assert any("- weight = 2" in line and "+ weight = 3" in line for line in printed(example()).splitlines())


def test_warnings_that_say_the_same_are_said_once() -> None:
    text = printed(with_findings(*(Finding("warning", f"run{i}.sh", i, f"names '{i}' workers") for i in range(1, 9))))
    assert text.count("names '") == 1 and "likewise run2.sh:2" in text and "and 3 more" in text and "Warnings 8" in text


def test_a_log_keeps_a_command_on_one_line() -> None:
    report = example()
    assert f"python -m migration rollback --repo {report.repo}" in printed(report, 40)


def test_text_of_the_repository_cannot_steer_the_terminal_or_the_markup() -> None:
    hostile = Finding("warning", "\x1b[31mred.py", 1, "[bold]says[/bold] \x1b]0;title\x07 :smile: \u202e")
    text = printed(with_findings(hostile), terminal=True)
    assert "\x1b[31mred" not in text and "\x1b]0" not in text and "\u202e" not in text
    assert "[bold]says[/bold]" in text and ":smile:" in text
    step = {
        "id": "[red]",
        "title": "[/x]",
        "kind": "entry-point",
        "file": "training/train.py",
        "max_lines": 9,
        "symbols_left": [],
    }
    assert "[red]" in printed(made(FILES, plan_of(step), {"[red]": Outcome()}, []))


def test_the_progress_line_names_the_step_and_what_came_of_it() -> None:
    step = plan().step[0]
    assert step_line(step, outcomes()["1.1"]).plain == "  1.1  Remove the copy: done, 4 files"
    assert step_line(step, Outcome("already done")).plain == "  1.1  Remove the copy: already done"
