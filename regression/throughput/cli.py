"""`python -m regression throughput --old CMD --new CMD`."""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
from pathlib import Path
from typing import Any

from regression.record import RecordingError
from regression.throughput.command import parse
from regression.throughput.pairs import THRESHOLD, Pair, Throughput, measure

EXAMPLE = "example: python -m regression throughput --pairs 10 --old 'python old/train.py --epochs 2' --new 'python -m new.train --epochs 2'"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--old", required=True, metavar="CMD", help="the old trainer's command")
    parser.add_argument("--new", required=True, metavar="CMD", help="the new trainer's command")
    parser.add_argument("--pairs", type=int, default=7, help="runs of each (default: 7)")
    parser.add_argument("--warmup", type=int, default=3, help="first steps to leave out (default: 3)")
    parser.add_argument(
        "--threshold", type=float, default=THRESHOLD, help=f"throughput asked for (default: {THRESHOLD} of the old)"
    )
    parser.add_argument("--steps", type=int, help="stop after so many optimiser steps (default: as the commands say)")
    parser.add_argument(
        "--device", choices=("cpu", "cuda"), help="one device of this kind (default: as the commands say)"
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.add_argument("--save", metavar="FILE.json", help="keep the result, for compare --throughput")
    parser.set_defaults(run=run)


def run(told: argparse.Namespace) -> int:
    """0 not slower, 1 slower or undecided."""
    _check(told)
    overrides: dict[str, Any] = {} if told.steps is None else {"max_steps": told.steps}
    if told.device:
        overrides.update(accelerator=told.device, devices=1)
    progress: list[Pair] = []

    def say(pair: Pair) -> None:
        progress.append(pair)
        where = f"pair {len(progress)} of {told.pairs}, {pair.order}"
        print(f"{where}: {pair.old:.2f} ms → {pair.new:.2f} ms, × {pair.ratio:.3f}", file=sys.stderr)

    found = measure(
        parse(told.old),
        parse(told.new),
        told.pairs,
        warmup=told.warmup,
        threshold=told.threshold,
        overrides=overrides,
        told=say,
    )
    if told.save:
        Path(told.save).write_text(json.dumps(found.to_json(), indent=1) + "\n")
    if told.json:
        print(json.dumps(found.to_json()))
    else:
        show(found)
    return 0 if found.verdict == "not slower" else 1


def _check(told: argparse.Namespace) -> None:
    """Raises RecordingError for what would come to nothing after hours of timing."""
    if told.pairs < 1 or told.warmup < 0 or (told.steps is not None and told.steps < 1):
        raise RecordingError("--pairs and --steps are at least 1, --warmup at least 0")
    if not (math.isfinite(told.threshold) and told.threshold > 0):
        raise RecordingError(
            f"--threshold {told.threshold}: a multiple of the old throughput is expected, as {THRESHOLD}"
        )
    if told.save and (Path(told.save).is_dir() or not os.access(Path(told.save).resolve().parent, os.W_OK)):
        raise RecordingError(f"--save {told.save}: no file can be written there; name one in a folder that exists")


def show(found: Throughput) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("pair", "first", f"old ms/{found.unit}", f"new ms/{found.unit}", "throughput", "old MB", "new MB")
    for i, pair in enumerate(found.pairs, start=1):
        numbers = (f"{pair.old:.2f}", f"{pair.new:.2f}", f"× {pair.ratio:.3f}")
        table.add_row(
            str(i), pair.order.split()[0], *numbers, *(f"{n / 1e6:.0f}" for n in (pair.old_bytes, pair.new_bytes))
        )
    console = Console()
    console.print(table)
    memory = found.memory
    console.print(str(found), soft_wrap=True, highlight=False)
    console.print(f"peak memory: × {memory.median:.3f}, {memory.low:.3f} to {memory.high:.3f}", highlight=False)
