"""Traces made by hand, a few values each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from regression import trace
from regression.trace import Record, Trace

HEADER: Record = {
    "record": "header", "format": trace.FORMAT, "level": "default", "command": ["train.py"], "seed": 0, "device": "cpu",
    "versions": {"torch": "2"}, "deterministic": True,
}  # fmt: skip


def record(kind: str, step: int, phases: dict[str, Any] | None = None, **more: Any) -> Record:
    return {"record": kind, "step": step, "epoch": 0, "phases": phases or {}, **more}


def whole(*steps: dict[str, Any], before: tuple[Record, ...] = (), after: tuple[Record, ...] = ()) -> list[Record]:
    """All records of a run with these steps' phases."""
    middle = [record("step", i, phases) for i, phases in enumerate(steps, start=1)]
    return [HEADER, *before, record("start", 0), *middle, *after, record("end", len(steps))]


def written(path: Path, records: list[Record]) -> Trace:
    path.write_text("".join(json.dumps(r) + "\n" for r in records))
    return trace.read(path)
