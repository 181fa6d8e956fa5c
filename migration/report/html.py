"""The report as one HTML file that needs nothing else: styles, script and pictures are inside, every text is escaped."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup

from migration.outcome import Finding
from migration.report import FileChange, Report, StepReport
from migration.report.compare import Row, compare, rows, visible
from migration.report.diff import hunks
from migration.report.graph import draw, picture
from migration.report.imports import imports_of
from migration.tree import Overlay

TEMPLATES = Path(__file__).parent / "templates"
LONGEST_DIFF = 3000  # rows of one file's diff, or of one file's edited lines, that the page shows


@dataclass(frozen=True)
class FileDiff:
    """A file's whole change: (hunk header, rows), and how many rows were too many."""

    file: FileChange
    parts: list[tuple[str, list[Row]]]
    left_out: int


@dataclass(frozen=True)
class Shown:
    """A finding with its two versions side by side."""

    step: StepReport
    finding: Finding
    parts: list[list[Row]]


def render_html(report: Report) -> str:
    """The page as text that encodes to UTF-8 whatever the repository's files and names hold."""
    colours = {
        name: i for i, name in enumerate(dict.fromkeys(m.moved.name for step in report.steps for m in step.moved))
    }
    before, after = _pictures(report, colours)
    diffs = [_file_diff(report, file) for file in report.files]
    page = _template().render(
        report=report,
        verdict="stop" if not report.ok else "same" if not report.files else "done" if report.applied else "ready",
        gates_hold=sum(v.holds for v in report.verdicts),
        steps_done=sum(step.status == "done" for step in report.steps),
        added=sum(f.added for f in report.files),
        removed=sum(f.removed for f in report.files),
        before=before,
        after=after,
        colours=colours,
        moved=[(step, m) for step in report.steps for m in step.moved],
        edited=list(_edited_lines(report, diffs)),
        decisions=[_shown(*entry) for entry in report.decisions],
        behaviour=[_shown(*entry) for entry in report.findings("behaviour")],
        remarks=list(report.findings("warning", "note")),
        diffs=diffs,
    )
    return page.encode("utf-8", "replace").decode()


@lru_cache(maxsize=1)
def _template() -> Template:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "visible": visible,
        "ticks": _ticks,
        "slug": lambda text: re.sub(r"\W+", "-", text).strip("-").lower(),
    }
    return environment.get_template("report.html.j2")


def _pictures(report: Report, colours: dict[str, int]) -> tuple[Markup, Markup] | tuple[None, None]:
    """The modules at stake and who leans on them, before and after; none where no module is at stake."""
    python = [file for file in report.files if file.path.endswith(".py")]
    moved = [path for step in report.steps for m in step.moved for path in (m.moved.source, m.moved.target)]
    modules = list(dict.fromkeys([*moved, *(f.path for f in python if f.change != "modified")])) or [
        f.path for f in python
    ]
    if not modules:
        return None, None
    tags = {
        "before": {f.path: "goes" for f in python if f.change == "deleted"},
        "after": {f.path: {"created": "new", "modified": "edited"}.get(f.change, "") for f in report.files},
    }

    def drawn(tree: Overlay, when: str) -> Markup:
        edges = imports_of(tree, modules, report.plan.python.roots)
        return draw(
            picture(tree, modules, edges, colours, tags[when]),
            f"Modules and who imports them, {when} the migration",
            when,
        )

    return drawn(report.before, "before"), drawn(report.after, "after")


def _file_diff(report: Report, file: FileChange) -> FileDiff:
    old, new = (tree.read(file.path) if tree.exists(file.path) else b"" for tree in (report.before, report.after))
    parts: list[tuple[str, list[Row]]] = []
    room, left_out = LONGEST_DIFF, 0
    for hunk in hunks(old, new):
        found = rows(hunk)
        if room:
            parts.append((hunk.header, found[:room]))
        left_out += max(0, len(found) - room)
        room = max(0, room - len(found))
    return FileDiff(file, parts, left_out)


def _edited_lines(report: Report, diffs: list[FileDiff]) -> Iterator[tuple[FileChange, list[Row]]]:
    """The lines that changed in files that were edited in place: scripts, configs, notebooks, importers."""
    rebuilt = {path for step in report.steps for m in step.moved for path in (m.moved.source, m.moved.target)}
    for diff in diffs:
        if diff.file.change == "modified" and diff.file.path not in rebuilt:
            yield diff.file, [row for _, part in diff.parts for row in part if row.changed]


def _shown(step: StepReport, finding: Finding) -> Shown:
    return Shown(step, finding, compare(finding.before, finding.after))


def _ticks(text: str) -> Markup:
    """Escaped text with its `back-ticked` words as code."""
    pieces = visible(text).split("`")
    if len(pieces) % 2 == 0:
        return Markup.escape(visible(text))
    return Markup("").join(
        Markup("<code>{}</code>").format(piece) if i % 2 else Markup.escape(piece) for i, piece in enumerate(pieces)
    )
