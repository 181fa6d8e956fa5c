"""What `python -m regression compare` does about reports."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path

from regression.compare.judge import Comparison
from regression.report.files import write
from regression.report.timing import read
from regression.report.tracker import to_wandb
from regression.trace import Trace


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--report", metavar="FILE.html", help="write the report, with pictures and a summary beside it")
    parser.add_argument(
        "--throughput", metavar="FILE.json", help="a result that `throughput --save` kept, for the report"
    )
    parser.add_argument("--wandb", metavar="PROJECT", help="log the report to this project of wandb")


def report(told: argparse.Namespace, old: Trace, new: Trace, found: Comparison) -> Iterator[str]:
    """Does what was asked for; a line on each thing done.

    Raises:
        ReportError: the report cannot be written or logged
        TraceError: the throughput result cannot be read
    """
    if not (told.report or told.wandb):
        return
    timing = read(told.throughput) if told.throughput else None
    with tempfile.TemporaryDirectory() as folder:
        files = write(Path(told.report or f"{folder}/report.html"), old, new, found, timing)
        if told.report:
            yield f"report: {files[0]}"
        if told.wandb:
            yield to_wandb(found, told.wandb, files, timing)
