"""`verify`: two checkpoints, or two folders of them, compared. Exit status 1 where they differ."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from legacy.checkpoint import CheckpointError
from legacy.checkpoint.rules.user import Row, load
from legacy.verify import Verdict, verify


def run(arguments: argparse.Namespace) -> int:
    rows = load(arguments.rules) if arguments.rules else None
    if arguments.source.is_dir():
        return _folders(arguments, rows)
    verdict = verify(arguments.source, arguments.destination, rows)
    _run(arguments, verdict)
    print(json.dumps(verdict.as_json()) if arguments.json else told(verdict))
    return 0 if verdict.same else 1


def _folders(arguments: argparse.Namespace, rows: list[Row] | None) -> int:
    from legacy.archive import files

    if not arguments.destination.is_dir():
        raise CheckpointError(f"{arguments.destination} is no folder: {arguments.source} is one")
    found: list[dict[str, Any]] = []
    status = 0
    for name, target in files(arguments.source, arguments.destination):
        made = _translation(arguments.destination, target)
        try:
            verdict = verify(arguments.source / name, made, rows)
            _run(arguments, verdict)
            found.append(verdict.as_json())
            status = max(status, 0 if verdict.same else 1)
            print(told(verdict), file=sys.stderr if arguments.json else sys.stdout)
        except CheckpointError as error:
            found.append({"source": name, "same": False, "error": str(error), "status": error.status})
            status = max(status, error.status)
            print(f"{name}: {error}", file=sys.stderr)
    if arguments.json:
        print(json.dumps({"same": status == 0, "files": found}))
    return status


def _run(arguments: argparse.Namespace, verdict: Verdict) -> None:
    """The networks themselves, where a builder is at hand."""
    if not arguments.builder:
        return
    from legacy.running import differences

    given = {"model_config": arguments.model_config, "dataset_configs": arguments.dataset_configs}
    try:
        for what in differences(
            Path(verdict.source), Path(verdict.destination), arguments.builder, arguments.rules, **given
        ):
            verdict.differ(what)
    except (ValueError, RuntimeError, TypeError) as error:
        raise CheckpointError(f"{verdict.source} could not be run: {error}") from error
    verdict.ran = True


def _translation(folder: Path, target: str) -> Path:
    made = folder / target
    weights = [made.with_suffix(".safetensors"), folder / f"{target}.safetensors"]
    return next((path for path in [made, *weights] if path.exists()), made)


def told(verdict: Verdict) -> str:
    """The verdict for a terminal."""
    names = f"{verdict.source} and {verdict.destination}"
    if verdict.same:
        rules = f", under {len(verdict.rules)} rules ({', '.join(verdict.rules)})" if verdict.rules else ""
        return f"{names} are the same: {verdict.tensors:,} weights, hash by hash, and everything else{rules}" + (
            ", and so are their rates for random input and their weights after one more step" if verdict.ran else ""
        )
    lines = [f"{names} differ in {verdict.count:,} places", *(f"  {where}" for where in verdict.differences)]
    if verdict.count > len(verdict.differences):
        lines.append(f"  and {verdict.count - len(verdict.differences):,} more")
    return "\n".join(lines)
