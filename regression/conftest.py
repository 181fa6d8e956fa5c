"""Options of the gate, the runs that its tests share, and what it says at the end."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from regression import trace
from regression.compare.judge import Comparison
from regression.pool import Pool
from regression.record import ROOT, RecordingError
from regression.recordings import Recordings
from regression.report.files import ReportError, check
from regression.scenarios import Side, Studies, scenario_of, side
from regression.throughput.pairs import Throughput

GOLDEN = Path(__file__).with_name("golden")
# what the report is made of, in the order of the tests
COMPARED = pytest.StashKey[dict[str, tuple[trace.Trace, trace.Trace, Comparison]]]()
TIMED = pytest.StashKey[list[Throughput]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("regression", "the gate between an old trainer and a new one")
    group.addoption(
        "--old", metavar="REPO-or-TRACE", help="the old trainer's tree, or a trace of it (default: legacy/monolith)"
    )
    group.addoption(
        "--new", metavar="REPO-or-TRACE", help="the new trainer's tree, or a trace of it (default: this project)"
    )
    group.addoption(
        "--device", choices=("cpu", "cuda"), help="what to train on (default: a CUDA device if there is one)"
    )
    group.addoption(
        "--report", metavar="FILE.html", help="write the report here, a summary as Markdown and JSON beside it"
    )
    group.addoption(
        "--record-golden", action="store_true", help="record the old trainer's runs into regression/golden/"
    )


def pytest_configure(config: pytest.Config) -> None:
    given: set[str] = set()
    for option in ("--old", "--new"):
        told = config.getoption(option)
        try:
            if told and Path(told).is_file():
                given.add(scenario_of(trace.read(told)))
            elif told:
                side(Path(told), "")
        except (trace.TraceError, RecordingError) as error:
            raise pytest.UsageError(f"{option}: {error}") from error
    if len(given) > 1:
        raise pytest.UsageError(f"--old and --new are traces of two trainings: {' and '.join(sorted(given))}")
    try:
        if config.getoption("--report"):
            check(Path(config.getoption("--report")))
    except ReportError as error:
        raise pytest.UsageError(f"--report: {error}") from error
    if config.getoption("--device") == "cuda" and not _has_cuda():
        raise pytest.UsageError("--device cuda: there is no CUDA device here; leave the option out, or give cpu")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    asked_for = config.option.markexpr or config.option.keyword
    for item in items:
        if item.get_closest_marker("gpu") and device(config) != "cuda":
            item.add_marker(pytest.mark.skip(reason="no CUDA device"))
        elif item.get_closest_marker("slow") and not asked_for:
            item.add_marker(pytest.mark.skip(reason="slow: ask for it with -m slow"))


def _has_cuda() -> bool:
    import torch  # not before it is asked for: a mistaken option is told in a second

    return torch.cuda.is_available()


def device(config: pytest.Config) -> str:
    told: str | None = config.getoption("--device")
    return told or ("cuda" if _has_cuda() else "cpu")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    passed = [report for report in terminalreporter.stats.get("passed", []) if "gpu" in report.keywords]
    failed = terminalreporter.stats.get("failed", []) + terminalreporter.stats.get("error", [])
    if device(config) == "cuda" and passed and not failed:
        import torch

        terminalreporter.write_line(f"The gate has been passed on {torch.cuda.get_device_name()}.", green=True)
    else:
        why = "no CUDA device" if not _has_cuda() else "failures" if failed else "its GPU tests did not run"
        terminalreporter.write_line(f"The gate has NOT been passed on a GPU: {why}.", yellow=True)
    report = config.getoption("--report")
    if report and Path(report).exists():
        terminalreporter.write_line(f"The report is {report}.")


def pytest_sessionfinish(session: pytest.Session) -> None:
    report, runs = session.config.getoption("--report"), session.config.stash.get(COMPARED, {})
    if report and runs:
        from regression.report import write_all

        timed = session.config.stash.get(TIMED, [])
        write_all(Path(report), runs, timed[0] if timed else None)


@pytest.fixture(scope="session")
def pool(pytestconfig: pytest.Config) -> Iterator[Pool]:
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    at_a_time = 1 if device(pytestconfig) == "cuda" else max(1, min(2, (os.cpu_count() or 1) // workers))
    with Pool(at_a_time) as made:
        yield made


@pytest.fixture(scope="session")
def studies(tmp_path_factory: pytest.TempPathFactory) -> Studies:
    return Studies(tmp_path_factory.mktemp("studies"))


def _side(pytestconfig: pytest.Config, option: str, default: Path, name: str, *arguments: str) -> Side | trace.Trace:
    told = Path(pytestconfig.getoption(option) or default)
    return trace.read(told) if told.is_file() else side(told, name, *arguments)


@pytest.fixture(scope="session")
def old(pytestconfig: pytest.Config) -> Side | trace.Trace:
    return _side(pytestconfig, "--old", ROOT / "legacy" / "monolith", "old")


@pytest.fixture(scope="session")
def new(pytestconfig: pytest.Config) -> Side | trace.Trace:
    """With the old one's quirks switched on, where it has such switches."""
    made = _side(pytestconfig, "--new", ROOT, "new")
    if isinstance(made, Side) and made.command[0] == "-m":
        return replace(made, arguments=(*made.arguments, "--compat", "all"))
    return made


@pytest.fixture(scope="session")
def recorded(
    pytestconfig: pytest.Config, pool: Pool, studies: Studies, tmp_path_factory: pytest.TempPathFactory
) -> Recordings:
    return Recordings(pool, studies, tmp_path_factory.mktemp, device(pytestconfig))


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Side:
    """The old tree, taken apart by the plan that ships with the project."""
    pytest.importorskip("libcst", reason="the tree is migrated with libcst: pip install libcst")
    import subprocess
    import sys

    tree = tmp_path_factory.mktemp("migrated") / "repo"
    shutil.copytree(ROOT / "legacy" / "monolith", tree)
    apply = [sys.executable, "-m", "migration", "apply", "--repo", str(tree), "--plan", "visioncore", "--yes"]
    subprocess.run(apply, cwd=ROOT, check=True, capture_output=True)
    return side(tree, "migrated")
