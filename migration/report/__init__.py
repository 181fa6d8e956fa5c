"""What a migration did, or would do, as one structure that the terminal, `--json` and the HTML page are drawn from."""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from migration.gates import Failure, Verdict
from migration.outcome import Finding, Moved, Outcome, Status
from migration.plan import SHIPPED, Plan, RemoveDuplicate, Step
from migration.report.definitions import definitions_in
from migration.report.diff import changed_paths, hunks, line_counts
from migration.tree import Overlay

__all__ = ["FileChange", "MovedDefinition", "Report", "StepReport", "write_reports"]
HOW_TO_DECIDE = (
    ' with `adopt = ["Class.method", …]` for what must be taken over, or with `on_divergence = "keep"` or `"discard"`'
)


@dataclass(frozen=True)
class FileChange:
    """A file that differs, and by how many lines."""

    path: str
    change: str
    added: int
    removed: int

    def to_json(self) -> dict[str, Any]:
        return {"path": self.path, "change": self.change, "added": self.added, "removed": self.removed}


@dataclass(frozen=True)
class MovedDefinition:
    """A definition with both its places. `intact`: its text stands in the new file letter for letter."""

    moved: Moved
    target_lines: tuple[int, int] | None
    intact: bool

    @property
    def lines(self) -> int:
        return self.moved.source_lines[1] - self.moved.source_lines[0] + 1

    @property
    def sha(self) -> str:
        return hashlib.sha256(self.moved.text.encode("utf-8", "surrogatepass")).hexdigest()[:12]

    def to_json(self) -> dict[str, Any]:
        m = self.moved
        source, target = (
            {"path": m.source, "lines": list(m.source_lines)},
            {"path": m.target, "lines": list(self.target_lines) if self.target_lines else None},
        )
        return {
            "name": m.name,
            "source": source,
            "target": target,
            "sha256": self.sha,
            "intact": self.intact,
            "why": m.why,
        }


@dataclass(frozen=True)
class StepReport:
    """One step of the plan and what came of it."""

    step: Step
    status: Status
    summary: str
    files: list[FileChange]
    findings: list[Finding]
    moved: list[MovedDefinition]

    def to_json(self) -> dict[str, Any]:
        return {
            "id": self.step.id,
            "title": self.step.title,
            "kind": self.step.kind,
            "risk": self.step.risk,
            "status": self.status,
            "summary": self.summary,
            "files": [f.to_json() for f in self.files],
            "findings": [_finding(f) for f in self.findings],
            "moved": [m.to_json() for m in self.moved],
        }


@dataclass(frozen=True)
class Report:
    """A run of a plan over a tree: `before` and `after` are the two trees, `applied` whether `after` is on the disk."""

    plan: Plan
    before: Overlay
    after: Overlay
    steps: list[StepReport]
    verdicts: list[Verdict]
    files: list[FileChange]
    applied: bool
    seconds: float

    @classmethod
    def build(
        cls,
        plan: Plan,
        before: Overlay,
        after: Overlay,
        outcomes: dict[str, Outcome],
        verdicts: list[Verdict],
        *,
        applied: bool,
        seconds: float,
    ) -> Report:
        """Gather a run's results. Steps without an outcome (a run that stopped early) are left out."""
        here = {
            path: before.read(path) if before.exists(path) else None
            for outcome in outcomes.values()
            for path in outcome.edits
        }
        steps = [_step(step, outcomes[step.id], here, after) for step in plan.step if step.id in outcomes]
        files = [_change(path, _content(before, path), _content(after, path)) for path in changed_paths(before, after)]
        return cls(plan, before, after, steps, verdicts, files, applied, seconds)

    @property
    def repo(self) -> Path:
        return self.after.root

    @cached_property
    def decisions(self) -> list[tuple[StepReport, Finding]]:
        return list(self.findings("decision"))

    @property
    def failures(self) -> list[tuple[Verdict, Failure]]:
        """What breaks a gate."""
        return [(verdict, failure) for verdict in self.verdicts for failure in verdict.failures if failure.fatal]

    @property
    def ok(self) -> bool:
        """Whether nothing stands in the way: every gate holds and nobody has to decide anything."""
        return not self.failures and not self.decisions

    @property
    def headline(self) -> str:
        """The verdict in a few words."""
        if self.decisions:
            return "A decision is needed" if len(self.decisions) == 1 else f"{len(self.decisions)} decisions are needed"
        if self.failures:
            return "A gate does not hold" if len({v.gate for v, _ in self.failures}) == 1 else "Gates do not hold"
        if not self.files:
            return "Nothing to do"
        return "Applied" if self.applied else "Ready to apply"

    @property
    def totals(self) -> str:
        """Steps, files, lines and gates in one line."""
        done = sum(step.status == "done" for step in self.steps)
        added, removed = sum(f.added for f in self.files), sum(f.removed for f in self.files)
        change = f"{_count(len(self.files), 'file')} (+{added} -{removed} lines)" if self.files else "no file"
        parts = [
            f"{done} of {_count(len(self.steps), 'step')} {'changed' if self.applied else 'would change'} {change}"
        ]
        if self.verdicts:
            parts.append(f"{sum(v.holds for v in self.verdicts)} of {_count(len(self.verdicts), 'gate')} hold")
        return ", ".join([*parts, f"{self.seconds:.1f} s"])

    @property
    def next(self) -> list[str]:
        """What a person does now, in sentences; commands and paths stand in back-ticks."""
        return list(_next(self))

    def findings(self, *levels: str) -> Iterator[tuple[StepReport, Finding]]:
        """Findings of the given levels, in plan order."""
        return ((step, finding) for step in self.steps for finding in step.findings if finding.level in levels)

    def to_json(self) -> dict[str, Any]:
        """The whole report as one JSON object."""
        return {
            "plan": {
                "name": self.plan.name,
                "title": self.plan.title,
                "digest": self.plan.digest,
                "file": self.plan.file,
            },
            "repo": str(self.repo),
            "applied": self.applied,
            "ok": self.ok,
            "headline": self.headline,
            "steps": [step.to_json() for step in self.steps],
            "gates": [
                {"name": v.gate, "claim": v.claim, "holds": v.holds, "failures": [_failure(f) for f in v.failures]}
                for v in self.verdicts
            ],
            "decisions": [{"step": step.step.id, **_finding(finding)} for step, finding in self.decisions],
            "behaviour_changes": [
                {"step": step.step.id, **_finding(finding)} for step, finding in self.findings("behaviour")
            ],
            "files": [f.to_json() for f in self.files],
            "seconds": round(self.seconds, 3),
            "next": self.next,
        }


def write_reports(report: Report, folder: Path) -> None:
    """Write `report.json` and `report.html` into `folder`, each whole or not at all. Raises OSError."""
    from migration.report.html import render_html

    for name, text in (
        ("report.json", json.dumps(report.to_json(), indent=2) + "\n"),
        ("report.html", render_html(report)),
    ):
        partial = folder / f"{name}.partial"
        partial.write_text(text, encoding="utf-8")
        partial.replace(folder / name)


def _step(step: Step, outcome: Outcome, here: dict[str, bytes | None], after: Overlay) -> StepReport:
    """A step's report; `here` holds the files as the steps before it left them, and is brought up to date."""
    files = []
    for path, new in sorted(outcome.edits.items()):
        if here[path] != new:
            files.append(_change(path, here[path], new))
            here[path] = new
    return StepReport(
        step, outcome.status, outcome.summary, files, outcome.findings, [_moved(m, after) for m in outcome.moved]
    )


def _moved(moved: Moved, after: Overlay) -> MovedDefinition:
    found = next((d for d in definitions_in(after, moved.target) if d.name == moved.name), None)
    text = (_content(after, moved.target) or b"").decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n")
    return MovedDefinition(moved, (found.first, found.last) if found else None, moved.text.strip("\n") in text)


def _change(path: str, old: bytes | None, new: bytes | None) -> FileChange:
    added, removed = line_counts(hunks(old or b"", new or b""))
    return FileChange(path, "created" if old is None else "deleted" if new is None else "modified", added, removed)


def _content(tree: Overlay, path: str) -> bytes | None:
    return tree.read(path) if tree.exists(path) else None


def _finding(f: Finding) -> dict[str, Any]:
    return {
        "level": f.level,
        "path": f.path,
        "line": f.line,
        "message": f.message,
        "before": f.before,
        "after": f.after,
    }


def _failure(f: Failure) -> dict[str, Any]:
    return {"path": f.path, "line": f.line, "message": f.message, "fatal": f.fatal}


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _next(report: Report) -> Iterator[str]:
    repo = shlex.quote(str(report.repo))
    shipped = Path(report.plan.file).parent == SHIPPED
    plan = f"--repo {repo} --plan {shlex.quote(report.plan.name if shipped else report.plan.file)}"
    if report.decisions:
        for step in {entry.step.id: entry for entry, _ in report.decisions}.values():
            how = HOW_TO_DECIDE if isinstance(step.step, RemoveDuplicate) else ""
            yield f"Decide step {step.step.id} in `{report.plan.file}`{how}, then run the command again. The tree is unchanged."
    elif report.failures:
        yield "The tree is unchanged. Mend what the gates name, in the repository or in the plan, then run the command again."
    elif report.applied and report.files:
        yield f"Read the report with its pictures: `{report.repo / '.migration' / 'report.html'}`"
        if (report.repo / ".git").exists():
            yield f"Read the changes: `git -C {repo} diff`; new files are in `git -C {repo} status`"
        yield "Run the project's own tests and a short training run."
        yield f"Take it all back, byte for byte: `python -m migration rollback --repo {repo}`"
    elif report.files:
        yield f"Read the changes: `python -m migration diff {plan}`"
        yield f"Make them: `python -m migration apply {plan}`"
    elif idle := [entry.step.id for entry in report.steps if entry.status == "nothing to do"]:
        yield f"Nothing was changed. Steps that found nothing to do, which is not the same as done: {', '.join(idle)}. Read what is said of them."
    else:
        yield f"Every step's work is already there. Check it at any time: `python -m migration verify {plan}`"
