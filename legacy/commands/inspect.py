"""`inspect`: what is in a checkpoint. Exit status 3 where it names globals that nobody allowed."""

from __future__ import annotations

import argparse
import json
from typing import Any

from legacy.checkpoint import Checkpoint, read
from legacy.checkpoint.as_json import shown
from legacy.checkpoint.kinds import LIGHTNING, hyper_parameters, is_state_dict, kind_of
from legacy.checkpoint.parts import main_state_dict, optimizers
from legacy.checkpoint.tensors import tensors
from legacy.terminal import counted, visible


def run(arguments: argparse.Namespace) -> int:
    found = describe(read(arguments.checkpoint))
    print(json.dumps(found) if arguments.json else _told(found))
    return 3 if found["globals"]["refused"] else 0


def describe(checkpoint: Checkpoint) -> dict[str, Any]:
    """Everything `inspect` tells, as JSON."""
    root, uses = checkpoint.root, checkpoint.globals
    state = main_state_dict(root)
    version = root.get(LIGHTNING) if isinstance(root, dict) else None
    return {
        "path": str(checkpoint.path),
        "kind": kind_of(root),
        "format": "legacy-pickle" if checkpoint.format == "pickle" else checkpoint.format,
        "lightning_version": version if isinstance(version, str) else None,
        "tensors": sum(1 for _ in tensors(root)),
        "bytes": sum(extent.nbytes for extent in checkpoint.extents.values()),
        "file_bytes": checkpoint.source.size,
        "state_dict": len(state) if is_state_dict(state) else 0,
        **shown({name: root.get(name) if isinstance(root, dict) else None for name in ("epoch", "global_step")}),
        "optimizers": sum(1 for _ in optimizers(root)),
        "globals": {
            "allowed": list(uses.allowed),
            "shimmed": list(uses.shimmed),
            "refused": list(uses.refused),
        },
        "places": {name: use.places for name, use in {**uses.shimmed, **uses.refused}.items()},
        "hyper_parameters": shown(hyper_parameters(root)),
        "provenance": checkpoint.provenance,
    }


def _told(found: dict[str, Any]) -> str:
    version = f", Lightning {found['lightning_version']}" if found["lightning_version"] else ""
    lines = [
        found["path"],
        f"  {found['kind']} ({found['format']}{version})",
        f"  {counted(found['tensors'], 'tensor')}, {counted(found['bytes'], 'byte')}; {found['state_dict']:,} in the state dict, {counted(found['optimizers'], 'optimiser')}",
    ]
    if found["epoch"] is not None:
        step = f", step {found['global_step']}" if found["global_step"] is not None else ""
        lines.append(f"  epoch {found['epoch']}{step}")
    if found["provenance"]:
        lines.append(f"  translated by {found['provenance'].get('tool', 'something else')}")
    if found["hyper_parameters"]:
        lines.append("  hyper-parameters")
        lines += [f"    {name} = {_short(value)}" for name, value in found["hyper_parameters"].items()]
    for sort, meaning in (
        ("shimmed", "names that translation replaces"),
        ("refused", "names that nobody allowed"),
    ):
        if found["globals"][sort]:
            lines.append(f"  {meaning}")
            lines += [f"    {name} at {', '.join(found['places'][name])}" for name in found["globals"][sort]]
    return "\n".join(map(visible, lines))


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 100 else text[:99] + "…"
