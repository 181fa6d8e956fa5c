"""`python -m regression.mutants`: every edit in a tree of its own, recorded, and compared with the tree as it is."""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Lock

from regression import trace
from regression.compare.judge import compare
from regression.mutants.catalogue import PERFORMANCE, REFACTORS, Edit, EditError, read
from regression.pool import Pool
from regression.record import ROOT, RecordingError
from regression.recorder.child import Job
from regression.scenarios import Studies, side
from regression.throughput.interval import interval, verdict
from regression.trace import Trace

EXAMPLE = "example: python -m regression.mutants --group data_and_sampler --jobs 2"
PAIRS, MOST_PAIRS = 7, 25
WARMUP = 5
THRESHOLD = 0.98


@dataclass(frozen=True)
class Result:
    """What became of an edit. `localized`: the first difference was in one of the phases that the edit names."""

    name: str
    group: str
    seen: bool
    localized: bool
    where: str

    @property
    def right(self) -> bool:
        return not self.seen if self.group in (REFACTORS, "repetitions") else self.seen and self.localized


class Workshop:
    """Trees with an edit each, and the recordings of the trees without."""

    def __init__(self, folder: Path, pool: Pool) -> None:
        self._folder, self._pool = folder, pool
        self._studies, self._lock = Studies(folder / "studies"), Lock()
        self._baselines: dict[tuple[str, tuple[str, ...], bool], Trace] = {}
        self._n = 0

    def tree(self, edit: Edit | None) -> Path:
        """A copy of what an edit may change, with the edit."""
        with self._lock:
            self._n += 1
            tree = self._folder / f"tree-{self._n}"
        for part in ("visioncore", "legacy/monolith"):
            shutil.copytree(ROOT / part, tree / part, ignore=shutil.ignore_patterns("__pycache__"))
        if edit:
            edit.apply(tree)
        return tree

    def record(self, edit: Edit, tree: Path, light: bool = False) -> Trace:
        """The scenario of `edit`, as `tree` trains it."""
        with self._lock:
            told = [*self._studies.options(edit.scenario), *edit.options]
        if edit.of_the_old_script:
            who = side(tree / "legacy" / "monolith", "old")
        else:
            who = side(tree, "new")
            told += [*who.arguments, "--device", "cpu"]
        folder = Path(tempfile.mkdtemp(dir=self._folder))
        # as many processes as the scenario says, where it says so
        device = None if edit.scenario == "two_ranks" else "cpu"
        job = Job((*who.command, *told), str(folder / f"{edit.scenario}.trace"), device=device, light=light)
        try:
            return self._pool.record(job, folder, who.environment())
        except RecordingError:
            if not Path(job.out).exists():
                raise
            return trace.read(job.out)  # what it did before it failed is compared
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def baseline(self, edit: Edit) -> Trace:
        key = edit.scenario, edit.options, edit.of_the_old_script
        if key not in self._baselines:
            self._baselines[key] = self.record(edit, self.tree(None))
        return self._baselines[key]


def judge(workshop: Workshop, edit: Edit) -> Result:
    """An edit's run against the run without it."""
    tree = workshop.tree(edit)
    try:
        made = workshop.record(edit, tree)
        found = compare(workshop.baseline(edit), made)
    except RecordingError as error:
        told = str(error).strip().splitlines()[-2:]
        return Result(edit.name, edit.group, True, "fails" in edit.phases, "the run fails: " + " ".join(told)[-160:])
    finally:
        shutil.rmtree(tree)
    if found.first:
        where = f"{found.first.phase}, step {found.first.step}: {found.first.quantity} {found.first.name}".rstrip()
        return Result(edit.name, edit.group, True, found.first.phase in edit.phases, where)
    if found.incomparable or not made.complete:
        said = found.incomparable or "the run fails after its last step"
        return Result(edit.name, edit.group, True, bool({"start", "end", "fails"} & set(edit.phases)), said)
    return Result(edit.name, edit.group, False, False, "")


def time(workshop: Workshop, edit: Edit) -> Result:
    """A fault that costs time: runs with and without it in pairs, the order alternating, and more of them while they do not decide."""
    trees = {"old": workshop.tree(None), "new": workshop.tree(edit)}
    ratios: list[float] = []
    while len(ratios) < PAIRS or (verdict(interval(ratios), THRESHOLD) == "undecided" and len(ratios) < MOST_PAIRS):
        seconds = {}
        for name in ("old", "new") if len(ratios) % 2 == 0 else ("new", "old"):
            made = workshop.record(edit, trees[name], light=True)
            seconds[name] = statistics.median(made.records[-1]["step_seconds"][WARMUP:])
        ratios.append(seconds["old"] / seconds["new"])
    found = interval(ratios)
    said = verdict(found, THRESHOLD)
    where = f"{said}: × {found.median:.2f} the throughput, {found.low:.2f} to {found.high:.2f} in {len(ratios)} pairs"
    return Result(edit.name, edit.group, said == "slower", True, where)


def run(edits: Sequence[Edit], repetitions: int, jobs: int, told: Callable[[Result], None]) -> list[Result]:
    """All of them; what is timed comes last, with nothing beside it."""
    again = [Edit(f"repetition {i + 1}", "repetitions", "", "", "", "") for i in range(repetitions)]
    results = []
    with tempfile.TemporaryDirectory() as folder, Pool(jobs) as pool, ThreadPoolExecutor(jobs) as threads:
        workshop = Workshop(Path(folder), pool)
        timed = [edit for edit in edits if edit.group == PERFORMANCE]
        compared = [edit for edit in edits if edit.group != PERFORMANCE]
        for edit in compared:
            workshop.baseline(edit)

        def one(edit: Edit) -> Result:
            return repeat(workshop, edit) if edit.group == "repetitions" else judge(workshop, edit)

        for result in threads.map(one, [*compared, *again]):
            told(result)
            results.append(result)
        for edit in timed:
            results.append(time(workshop, edit))
            told(results[-1])
    return results


def repeat(workshop: Workshop, edit: Edit) -> Result:
    """The tree as it is, once more."""
    tree = workshop.tree(None)
    found = compare(workshop.baseline(edit), workshop.record(edit, tree))
    shutil.rmtree(tree)
    return Result(edit.name, edit.group, not found.same, True, str(found.first or found.incomparable))


def main(arguments: Sequence[str] | None = None) -> int:
    """0 all faults seen where they are and nothing else, 1 not, 2 bad input."""
    parser = argparse.ArgumentParser(
        prog="python -m regression.mutants", description="Whether the comparison sees seeded faults.", epilog=EXAMPLE
    )
    parser.add_argument("--group", action="append", help="only this group; may be given again")
    parser.add_argument("--only", action="append", help="only the edit of this name; may be given again")
    parser.add_argument("--jobs", type=int, default=2, help="processes beside each other (default: 2)")
    parser.add_argument("--repetitions", type=int, default=50, help="runs of the tree as it is (default: 50)")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    told = parser.parse_args(arguments)
    try:
        edits = read()
        unknown = {*(told.group or []), *(told.only or [])} - {e.group for e in edits} - {e.name for e in edits}
        if unknown:
            raise EditError(
                f"{', '.join(sorted(unknown))}: no such group or edit; groups are {', '.join(sorted({e.group for e in edits}))}"
            )
        if told.group or told.only:
            edits = [e for e in edits if e.group in (told.group or []) or e.name in (told.only or [])]
        results = run(edits, told.repetitions, told.jobs, lambda result: print(line(result), file=sys.stderr))
    except (EditError, RecordingError) as error:
        print(error, file=sys.stderr)
        return 2
    if told.json:
        print(json.dumps({**totals(results), "results": [asdict(result) for result in results]}))
    else:
        show(results)
    return 0 if all(result.right for result in results) else 1


def line(result: Result) -> str:
    mark = (
        "ok"
        if result.right
        else "MISSED"
        if not result.seen
        else "ALARM"
        if result.group in (REFACTORS, "repetitions")
        else "ELSEWHERE"
    )
    return f"{mark:9} {result.group}: {result.name}: {result.where or 'no difference'}"


def totals(results: Sequence[Result]) -> dict[str, int]:
    faults = [r for r in results if r.group not in (REFACTORS, "repetitions")]
    harmless = [r for r in results if r not in faults]
    return {
        "mutants": len(faults),
        "caught": sum(r.seen for r in faults),
        "localized": sum(r.right for r in faults),
        "harmless": len(harmless),
        "alarms": sum(r.seen for r in harmless),
    }


def show(results: Sequence[Result]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("group", "mutant", "caught", "where", title="Mutants")
    for result in sorted(results, key=lambda r: r.group):
        if result.group in (REFACTORS, "repetitions") and result.right:
            continue
        caught = "missed" if not result.seen else "yes" if result.right else "elsewhere"
        table.add_row(result.group.replace("_", " "), result.name, caught, result.where)
    console = Console(width=None if sys.stdout.isatty() else 160)
    console.print(table)
    told = totals(results)
    console.print(
        f"{told['caught']}/{told['mutants']} mutants caught, {told['localized']} where they are; "
        f"{told['harmless']} harmless runs (refactors and repetitions), {told['alarms']} false alarms",
        highlight=False,
    )
