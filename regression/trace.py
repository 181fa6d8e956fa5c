"""
The trace of a run: one text file, a JSON object a line, written as the run goes.

| record | when | holds |
| --- | --- | --- |
| `header` | before the script starts | format, level, command, versions, device, whether algorithms are deterministic |
| `names` | before the first table that uses them | `key`, and a list of `[name, shape, dtype]` |
| `start` | before the first step | phases `start`: weights, buffers, random states; `settings`: hyper-parameters, Trainer, flags |
| `step` | after each training batch | phases `data`, `forward`, `loss`, `backward`, `clip`, `step`, `metrics` |
| `schedule` | before the next batch, or the end | phase `schedule`: what the schedulers made of the groups' options, scaler |
| `validation`, `epoch` | at their ends | phases `data`, `metrics`; buffers |
| `checkpoint` | at each save | phase `checkpoint`: file, contents, a hash of each tensor |
| `last` | when training ends | phase `end`: where it stopped, hyper-parameters, callback states, random states |
| `end` | after the script | warnings, seconds by phase, peak memory |

Every record but `header` and `names` has `step` (batches trained so far, from 1; 0 before the first), `epoch`, and `phases`:
`{phase: {quantity: value}}`. A value is a number, a string, a list, an object of such, or a table of tensors
`{"of": KEY, "hash": [16 hex digits …], "norm": [2-norms …]}` whose rows are the names under KEY, or `{"as": PHASE}` where a table is the one
of an earlier phase of its record. What ends early ends in a whole line: a killed run leaves a prefix that can be read. There is no code in
a trace, and nothing that is unpickled.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FORMAT = 1
PHASES = (
    "start",
    "data",
    "forward",
    "loss",
    "backward",
    "clip",
    "step",
    "schedule",
    "metrics",
    "checkpoint",
    "end",
    "settings",
)
Record = dict[str, Any]


class TraceError(Exception):
    """A trace cannot be read, or two cannot be compared; a sentence."""


class Writer:
    """Writes records to `path`, each flushed whole."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("w", encoding="utf-8")
        self._keys: dict[tuple[Any, ...], str] = {}

    def write(self, record: Mapping[str, Any]) -> None:
        self._file.write(json.dumps(record, separators=(",", ":")) + "\n")
        self._file.flush()

    def names(self, rows: Sequence[tuple[str, Sequence[int], str]]) -> str:
        """The key of these names; they are written at their first use."""
        identity = tuple((name, tuple(shape), dtype) for name, shape, dtype in rows)
        if identity not in self._keys:
            self._keys[identity] = f"n{len(self._keys)}"
            self.write({"record": "names", "key": self._keys[identity], "names": identity})
        return self._keys[identity]

    def close(self) -> None:
        self._file.close()


@dataclass(frozen=True)
class Trace:
    """A run as it was recorded."""

    path: Path
    header: Record
    records: list[Record]
    names: dict[str, list[tuple[str, list[int], str]]] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """Whether the run came to its end."""
        return bool(self.records) and self.records[-1]["record"] == "end"

    @property
    def steps(self) -> list[Record]:
        return [record for record in self.records if record["record"] == "step"]

    @property
    def deterministic(self) -> bool:
        end = self.records[-1] if self.complete else {}
        return bool(self.header["deterministic"]) and not end.get("nondeterministic")

    def losses(self) -> list[float]:
        """(steps,): the loss of every training batch, NaN where there was none."""
        values = [record["phases"].get("loss", {}).get("loss", float("nan")) for record in self.steps]
        return [value if isinstance(value, float) else value[-1] for value in values]


def read(path: str | Path) -> Trace:
    """
    Raises:
        TraceError: no trace, another format, or damaged before its last line
    """
    path = Path(path)
    try:
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    except (OSError, UnicodeDecodeError) as error:
        raise TraceError(
            f"{path}: no trace can be read here ({error}); record one with `python -m regression record`"
        ) from error
    records = list(_records(path, lines))
    if not records or records[0].get("record") != "header":
        raise TraceError(
            f"{path}: not a trace: its first line should be a header, as `python -m regression record` writes it"
        )
    header = records[0]
    if header.get("format") != FORMAT:
        raise TraceError(
            f"{path}: trace format {header.get('format')}, this version reads {FORMAT}; record the run again"
        )
    names = {
        record["key"]: [tuple(row) for row in record["names"]] for record in records if record["record"] == "names"
    }
    return Trace(path, header, [record for record in records[1:] if record["record"] != "names"], names)


def _records(path: Path, lines: list[str]) -> Iterator[Record]:
    for number, line in enumerate(lines, start=1):
        try:
            record = json.loads(line)
            if not isinstance(record, dict) or "record" not in record:
                raise ValueError("not a record")
        except ValueError as error:
            if number == len(lines) and not line.endswith("\n"):
                return  # the run was killed while it wrote this one
            raise TraceError(
                f"{path}, line {number}: not a record of a trace ({error}); is the file damaged?"
            ) from error
        yield record
