"""What `python -m regression compare` does about reports."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path

from regression.compare.judge import Comparison
from regression.report.files import check as check_page
from regression.report.files import write
from regression.report.timing import Timing, read
from regression.report.tracker import check_installed, to_wandb
from regression.trace import Trace


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--report", metavar="FILE.html", help="write the report, with pictures and a summary beside it")
    parser.add_argument(
        "--throughput", metavar="FILE.json", help="a result that `throughput --save` kept, for the report"
    )
    parser.add_argument("--wandb", metavar="PROJECT", help="log the report to this project of wandb")


def check(told: argparse.Namespace) -> Timing | None:
    """
    Before anything is compared: the throughput result that is to go into the report.

    Raises:
        ReportError: the report could not be written or logged
        TraceError: the throughput result cannot be read
    """
    if told.report:
        check_page(Path(told.report))
    if told.wandb:
        check_installed()
    return read(told.throughput) if told.throughput else None


def report(told: argparse.Namespace, old: Trace, new: Trace, found: Comparison, timing: Timing | None) -> Iterator[str]:
    """Does what was asked for; a line on each thing done. Raises ReportError: the report cannot be written or logged."""
    if not (told.report or told.wandb):
        return
    with tempfile.TemporaryDirectory() as folder:
        files = write(Path(told.report or f"{folder}/report.html"), old, new, found, timing)
        if told.report:
            yield f"report: {files[0]}"
        if told.wandb:
            yield to_wandb(found, told.wandb, files, timing)
