"""The report on a terminal of any width, and as plain text where there is none."""

from __future__ import annotations

import re
from collections.abc import Iterator

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from migration.gates import Failure, Verdict
from migration.outcome import Finding, Outcome
from migration.plan import Step
from migration.report import Report, StepReport
from migration.report.compare import Row, Segment, compare, visible

RISK = {"low": "green", "medium": "yellow", "high": "red"}
STATUS = {"done": "green", "already done": "dim", "kept": "yellow", "nothing to do": "dim"}
PLACES_SHOWN = 4
ROWS_SHOWN = 24
SIDES_FROM = 72  # narrower than this, two versions stand below each other


def step_line(step: Step, outcome: Outcome) -> Text:
    """One line of progress: what a step came to."""
    files = f", {_count(len(outcome.edits), 'file')}" if outcome.edits else ""
    line = Text.assemble(
        (f"{visible(step.id):>5}  ", "bold"),
        f"{visible(step.title)}: ",
        (outcome.status, STATUS[outcome.status]),
        files,
    )
    line.no_wrap, line.overflow = True, "ellipsis"
    return line


def render_terminal(report: Report, console: Console) -> None:
    """Print the whole report: steps, gates, decisions, changes of behaviour, warnings, and what to do next."""
    for section in (
        _steps(report),
        _gates(report.verdicts),
        _two_sided(report, "decision"),
        _two_sided(report, "behaviour"),
        _warnings(report),
    ):
        if section is not None:
            console.print(section)
            console.print()
    console.print(
        Text.assemble((f"{report.headline}. ", "bold green" if report.ok else "bold red"), f"{report.totals}.")
    )
    for sentence in report.next:
        # The terminal wraps these itself, so that a command can be copied whole.
        console.print(Text("  ").append_text(_ticks(sentence)), soft_wrap=True)


def _steps(report: Report) -> Table:
    title = visible(report.plan.title) + ("" if report.applied or not report.ok else " (nothing is written yet)")
    table = Table(
        title=Text(title, "bold"),
        title_justify="left",
        box=SIMPLE_HEAD,
        expand=True,
        pad_edge=False,
        show_edge=False,
        padding=(0, 1),
    )
    table.add_column("Step", no_wrap=True)
    table.add_column("What was done" if report.applied else "What would be done", ratio=1, overflow="fold")
    table.add_column("Files", justify="right", no_wrap=True)
    table.add_column("Risk", no_wrap=True)
    table.add_column("Status", no_wrap=True)
    for entry in report.steps:
        done = Text(visible(entry.step.title), "bold")
        if entry.summary:
            done.append_text(Text("\n").append_text(_ticks(entry.summary, "not bold")))
        status = "to do" if entry.status == "done" and not report.applied else entry.status
        table.add_row(
            Text(visible(entry.step.id)),
            done,
            str(len(entry.files) or "-"),
            Text(entry.step.risk, RISK[entry.step.risk]),
            Text(status, STATUS[entry.status]),
        )
    return table


def _gates(verdicts: list[Verdict]) -> RenderableType | None:
    """The gates' names in a row where they hold; a paragraph for each that does not."""
    if not verdicts:
        return None
    holding = [v.gate for v in verdicts if v.holds]
    lines: list[RenderableType] = [
        Text.assemble(("Gates ", "bold"), f"{len(holding)} of {len(verdicts)} hold: ", (", ".join(holding), "green"))
    ]
    for verdict in verdicts:
        fatal = [failure for failure in verdict.failures if failure.fatal]
        if fatal:
            lines.append(
                Padding.indent(Text.assemble((f"{verdict.gate} does not hold: ", "bold red"), _ticks(verdict.claim)), 2)
            )
            lines += [Padding.indent(_located(f, "red"), 4) for f in fatal]
    return Group(*lines)


def _two_sided(report: Report, level: str) -> RenderableType | None:
    """Decisions or changes of behaviour, each with its two versions."""
    found = list(report.findings(level))
    if not found:
        return None
    title = "Decisions that are yours" if level == "decision" else "Changes of behaviour"
    pieces: list[RenderableType] = [Text(title, "bold red" if level == "decision" else "bold yellow")]
    for entry, finding in found:
        pieces.append(
            Padding.indent(Text.assemble((f"step {visible(entry.step.id)}  ", "dim"), _located(finding, "bold")), 2)
        )
        pieces.append(Padding.indent(_Versions(_names(entry, level), finding), 4))
    return Group(*pieces)


def _names(entry: StepReport, level: str) -> tuple[str, str]:
    if level == "behaviour":
        return "before", "after"
    return str(getattr(entry.step, "canonical", "this version")), str(getattr(entry.step, "duplicate", "other version"))


class _Versions:
    """Two versions beside each other, or below each other where the terminal is narrow."""

    def __init__(self, names: tuple[str, str], finding: Finding) -> None:
        before, after = _dedented(finding.before, finding.after)
        self.names, self.parts = names, compare(before, after)

    def __rich_console__(self, console: Console, options: object) -> Iterator[RenderableType]:
        rows = [row for part in self.parts for row in part]
        if not rows:
            return
        shown = rows[:ROWS_SHOWN]
        if console.width >= SIDES_FROM:
            table = Table(box=SIMPLE_HEAD, expand=True, pad_edge=False, show_edge=False, padding=(0, 1))
            for name in self.names:
                table.add_column(Text(visible(name), "dim"), ratio=1, overflow="fold")
            for row in shown:
                table.add_row(_side(row.old, row, "-", "red"), _side(row.new, row, "+", "green"))
            yield table
        else:
            yield Text(f"- {visible(self.names[0])}\n+ {visible(self.names[1])}", "dim")
            for row in shown:
                if row.changed:
                    yield from (t for t in (_side(row.old, row, "-", "red"), _side(row.new, row, "+", "green")) if t)
                else:
                    yield _side(row.old, row, " ", "")
        if len(rows) > len(shown):
            yield Text(f"and {len(rows) - len(shown)} more lines", "dim")


def _dedented(*texts: str) -> tuple[str, ...]:
    """The texts without the indentation that all of them share."""
    lines = [line for text in texts for line in text.splitlines() if line.strip()]
    least = min((line[: len(line) - len(line.lstrip(" \t"))] for line in lines), key=len, default="")
    shared = least if all(line.startswith(least) for line in lines) else ""
    return tuple("".join(line.removeprefix(shared) for line in text.splitlines(keepends=True)) for text in texts)


def _side(segments: tuple[Segment, ...], row: Row, sign: str, colour: str) -> Text:
    """One version of a line; the sign says what the colour says, for those who see none."""
    if not segments and row.changed:
        return Text("")
    line = Text(f"{sign if row.changed else ' '} ", colour if row.changed else "dim")
    for text, changed in segments:
        line.append(text.expandtabs(4), f"bold {colour}" if changed else "")
    return line


def _warnings(report: Report) -> RenderableType | None:
    """Warnings of steps and gates; those that say the same of many places are said once."""
    groups: dict[str, list[Finding | Failure]] = {}
    entries: list[Finding | Failure] = [finding for _, finding in report.findings("warning")]
    entries += [failure for verdict in report.verdicts for failure in verdict.failures if not failure.fatal]
    for entry in entries:
        groups.setdefault(re.sub(r"`[^`]*`|'[^']*'|\d+", "…", entry.message), []).append(entry)
    if not groups:
        return None
    lines: list[RenderableType] = [Text.assemble(("Warnings ", "bold yellow"), str(len(entries)))]
    for found in groups.values():
        text = _located(found[0], "yellow")
        if len(found) > 1:
            places = [_place(entry) for entry in found[1 : PLACES_SHOWN + 1]]
            rest = f" and {len(found) - 1 - len(places)} more" if len(found) > PLACES_SHOWN + 1 else ""
            text.append(f"\nlikewise {', '.join(places)}{rest}", "dim")
        lines.append(Padding.indent(text, 2))
    return Group(*lines)


def _place(entry: Finding | Failure) -> str:
    return visible(entry.path) + (f":{entry.line}" if entry.line else "")


def _located(entry: Finding | Failure, style: str) -> Text:
    return Text.assemble((_place(entry), style), "  ", _ticks(entry.message))


def _ticks(text: str, style: str = "") -> Text:
    """The text with its `back-ticked` words in colour instead of back-ticks; left as it is where they do not pair."""
    pieces = visible(text).split("`")
    if len(pieces) % 2 == 0:
        return Text(visible(text), style)
    return Text.assemble(*((piece, f"{style} cyan".strip() if i % 2 else style) for i, piece in enumerate(pieces)))


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
