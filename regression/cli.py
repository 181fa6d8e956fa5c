"""`python -m regression`: record, compare, throughput."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from regression import trace
from regression.compare import cli as comparing
from regression.record import RecordingError, record
from regression.recorder.child import Job
from regression.report import ReportError
from regression.throughput import cli as timing

RECORD = "example: python -m regression record --out old.trace --device cpu --steps 20 -- train.py --batch_size 8"


def main(arguments: Sequence[str] | None = None) -> int:
    """0 done, or the same; 1 different; 2 bad input."""
    parser = argparse.ArgumentParser(
        prog="python -m regression",
        description="Record a training run from outside, and compare it with another, step by step.",
        epilog=RECORD,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    _record_parser(commands)
    comparing.add_arguments(
        commands.add_parser(
            "compare", help="say where two traces part", description=comparing.ABOUT, epilog=comparing.EXAMPLE
        )
    )
    timing.add_arguments(
        commands.add_parser("throughput", help="say whether a new trainer is slower", epilog=timing.EXAMPLE)
    )
    told = parser.parse_args(arguments)
    try:
        status: int = told.run(told)
    except (RecordingError, trace.TraceError, ReportError) as error:
        print(error, file=sys.stderr)
        return 2
    except RecursionError:
        print("a record of the trace is nested too deep to be compared; is the file damaged?", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return status


def _record_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("record", help="run a Lightning script as it is, and write its trace", epilog=RECORD)
    parser.add_argument("--out", required=True, metavar="TRACE", help="the file to write")
    parser.add_argument(
        "--steps", type=_positive, help="stop after so many optimiser steps (default: as the script says)"
    )
    parser.add_argument(
        "--device", choices=("cpu", "cuda"), help="one device of this kind (default: as the script says)"
    )
    parser.add_argument(
        "--seed", type=_seed, default=0, help="of all generators, before the script starts (default: 0)"
    )
    parser.add_argument("--light", action="store_true", help="losses, options and times only")
    parser.add_argument(
        "--tensors",
        type=_range,
        metavar="FROM:TO",
        help="keep activations and gradients of these steps, in TRACE.tensors/",
    )
    parser.add_argument(
        "--as-is", action="store_true", help="leave determinism to the script; the trace is then compared within noise"
    )
    parser.add_argument("--logs-nothing", action="store_true", help="the script is known not to log anything")
    parser.add_argument("--json", action="store_true", help="print what was recorded as JSON")
    parser.add_argument("script", nargs=argparse.REMAINDER, metavar="-- SCRIPT.py ARGS… | -- -m MODULE ARGS…")
    parser.set_defaults(run=_record)


def _record(told: argparse.Namespace) -> int:
    command = told.script[1:] if told.script[:1] == ["--"] else told.script
    job = Job(
        command=tuple(command),
        out=told.out,
        steps=told.steps,
        device=told.device,
        seed=told.seed,
        light=told.light,
        deterministic=not told.as_is,
        tensors=told.tensors,
    )
    made = record(job)
    logged = sum(len(r["phases"].get("metrics", {}).get("logged", [])) for r in made.records)
    seconds = made.records[-1].get("total_seconds", 0)
    size = Path(told.out).stat().st_size
    if told.json:
        what = {"trace": told.out, "steps": len(made.steps), "logged": logged, "bytes": size, "seconds": seconds}
        told_all = {**what, "deterministic": made.deterministic, "losses": made.losses()}
        print(json.dumps(trace.strict(told_all), allow_nan=False))
    else:
        losses = made.losses()
        print(
            f"{told.out}: {len(made.steps)} steps in {seconds:.1f} s, loss {losses[0]:.6g} → {losses[-1]:.6g}, {size / 1024:.0f} KB"
        )
    if not logged and not told.logs_nothing:
        print(
            f"{told.out}: the script trained {len(made.steps)} steps and logged nothing, so that metrics cannot be compared; "
            "call self.log in it, or say --logs-nothing if that is meant",
            file=sys.stderr,
        )
        return 2
    return 0


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text}: a whole number from 1 on is expected")
    return int(text)


def _seed(text: str) -> int:
    if not text.isdecimal() or int(text) >= 2**32:
        raise argparse.ArgumentTypeError(f"{text}: a whole number from 0 to 2**32 - 1 is expected, as NumPy has it")
    return int(text)


def _range(text: str) -> tuple[int, int]:
    first, _, last = text.partition(":")
    last = last or first
    if not (first.isdecimal() and last.isdecimal() and 1 <= int(first) <= int(last)):
        raise argparse.ArgumentTypeError(f"{text}: FROM:TO is expected, steps from 1 on, as 3:5")
    return int(first), int(last)
