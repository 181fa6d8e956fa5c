"""`verify`: two checkpoints, or two folders of them, compared. Exit status 1 where they differ."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from legacy.checkpoint import CheckpointError
from legacy.checkpoint.rules.user import Row, load
from legacy.terminal import counted, failure, visible
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
    from legacy.layout import found as walked
    from legacy.layout import targets

    if not arguments.destination.is_dir():
        raise CheckpointError(f"{arguments.destination} is no folder: {arguments.source} is one")
    found: list[dict[str, Any]] = []
    status = 0
    names = walked(arguments.source, arguments.destination).names
    as_safetensors = targets(names, "safetensors")
    for name, target in targets(names).items():
        either = [arguments.destination / target, arguments.destination / as_safetensors[name]]
        made = next((path for path in either if path.exists()), either[0])
        try:
            verdict = verify(arguments.source / name, made, rows)
            _run(arguments, verdict)
        except Exception as error:  # one file never stops the rest
            text, failed = failure(arguments.source / name, error)
            found.append({"source": name, "same": False, "error": text, "status": failed})
            status = max(status, failed)
            print(f"{name}: {visible(text)}", file=sys.stderr)
        else:
            found.append(verdict.as_json())
            status = max(status, 0 if verdict.same else 1)
            print(told(verdict), file=sys.stderr if arguments.json else sys.stdout)
    if arguments.json:
        print(json.dumps({"same": status == 0, "files": found}))
    return status


def _run(arguments: argparse.Namespace, verdict: Verdict) -> None:
    """The networks themselves, where a builder is at hand."""
    if not arguments.builder:
        return
    from legacy.running import side_by_side

    given = {"model_config": arguments.model_config, "dataset_configs": arguments.dataset_configs}
    try:
        ran = side_by_side(Path(verdict.source), Path(verdict.destination), arguments.builder, arguments.rules, **given)
    except CheckpointError:
        raise
    except (Exception, SystemExit) as error:  # whatever a builder of the user's own does
        raise CheckpointError(
            f"{verdict.source} and {verdict.destination} could not be run with the builder {arguments.builder}: "
            f"{type(error).__name__}: {error}"
        ) from error
    for what in ran.differences:
        verdict.differ(what)
    verdict.ran, verdict.stepped = True, ran.stepped


def told(verdict: Verdict) -> str:
    """The verdict for a terminal."""
    names = f"{verdict.source} and {verdict.destination}"
    lines = [f"{names} differ in {counted(verdict.count, 'place')}"]
    if verdict.same:
        rules = f", under {counted(len(verdict.rules), 'rule')} ({', '.join(verdict.rules)})" if verdict.rules else ""
        ran = ", and so are their rates for random input" if verdict.ran else ""
        if verdict.stepped:
            ran += " and their weights after one more step"
        elif verdict.ran:
            ran += "; no step of training was run, for no optimiser's state says whose it is"
        rest = f"and what the JSON has; {verdict.uncompared}" if verdict.uncompared else "and everything else"
        lines = [f"{names} are the same: {counted(verdict.tensors, 'weight')}, hash by hash, {rest}{rules}{ran}"]
    lines += _listed(verdict.differences, verdict.count)
    if verdict.claims:
        lines.append(
            "  only because the new file says so itself, in rules that were not given with --rules or in names that it allows:"
        )
        lines += [f"  {line}" for line in _listed(verdict.claims, verdict.claim_count)]
    return "\n".join(map(visible, lines))


def _listed(told: list[str], count: int) -> list[str]:
    more = [f"  and {count - len(told):,} more"] if count > len(told) else []
    return [f"  {each}" for each in told] + more
