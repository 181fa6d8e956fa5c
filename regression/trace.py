"""
The trace of a run: one text file, a JSON object a line, written as the run goes.

| record | when | holds |
| --- | --- | --- |
| `header` | before the script starts | format, level, command, versions, device, whether algorithms are deterministic |
| `names` | before the first table that uses them | `key`, and a list of `[name, shape, dtype]` |
| `start` | before the first step | phases `start`: weights, buffers, random states; `settings`: hyper-parameters, Trainer, flags |
| `step` | after each training batch | phases `data`, `forward`, `loss`, `backward`, `clip`, `step`, `metrics`; `settings`: flags that changed |
| `schedule` | before the next batch, or the end | phase `schedule`: what the schedulers made of the groups' options, scaler |
| `validation`, `test`, `epoch` | at their ends | phases `data`, `metrics`; buffers |
| `checkpoint` | at each save | phase `checkpoint`: file, contents, a hash of each tensor |
| `last` | when training ends | phase `end`: where it stopped, hyper-parameters, callback states, random states |
| `after` | after the script | what it logged when training had ended |
| `end` | after the script | warnings, seconds by phase, peak memory |

Every record but `header` and `names` has `step` (batches trained so far, from 1; 0 before the first), `epoch`, and `phases`:
`{phase: {quantity: value}}`. A value is a number, a string, a list, an object of such, or a table of tensors
`{"of": KEY, "hash": [16 hex digits …], "norm": [2-norms …]}` whose rows are the names under KEY, or `{"as": PHASE}` where a table is the one
of an earlier phase of its record. While the run goes its trace is TRACE.part, and has its own name when the run has ended. What ends early ends in
a whole line: a killed run leaves a prefix that can be read. Reading a trace runs nothing: it is JSON, and nothing is unpickled. But its header
says which command made it, and `compare` runs that again (`--no-replay` does not): a trace from elsewhere is to be trusted as a script is.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FORMAT = 2
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
    def start(self) -> Record | None:
        """What was recorded before the first step. It is not always the first record: a script may validate before it trains."""
        return next((record for record in self.records if record["record"] == "start"), None)

    @property
    def began(self) -> int:
        """Steps made before the run began: not 0 where it was resumed."""
        return int(self.start["step"]) if self.start else 0

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
        return [value if isinstance(value, float) else float("nan") for value in values]


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
    header: Record | None = None
    records: list[Record] = []
    names: dict[str, list[tuple[str, list[int], str]]] = {}
    for number, record in _records(path, lines):
        try:
            if header is None:
                header = _header(path, record)
            elif record["record"] == "names":
                names[record["key"]] = [(str(name), list(shape), str(dtype)) for name, shape, dtype in record["names"]]
            else:
                _check(record, records, names)
                records.append(record)
        except (KeyError, TypeError, AttributeError, ValueError, RecursionError) as error:
            raise TraceError(
                f"{path}, line {number}: no {record['record']!r} record of a trace ({type(error).__name__}: {error}); is the file damaged?"
            ) from error
    if header is None:
        raise TraceError(_NO_HEADER.format(path))
    return Trace(path, header, records, names)


_NO_HEADER = "{}: not a trace: its first line should be a header, as `python -m regression record` writes it"
_HEADER = {"level": str, "command": list, "seed": int, "versions": dict, "deterministic": bool}


def _header(path: Path, record: Record) -> Record:
    if record["record"] != "header":
        raise TraceError(_NO_HEADER.format(path))
    if record.get("format") != FORMAT:
        raise TraceError(
            f"{path}: trace format {record.get('format')}, this version reads {FORMAT}; record the run again"
        )
    for name, kind in _HEADER.items():
        _expect(isinstance(record[name], kind), f"{name} is {record[name]!r}")
    return {"device": None, "steps": None, **record}


def _check(record: Record, before: list[Record], names: Mapping[str, Any]) -> None:
    """Raises KeyError, TypeError or ValueError where `record` lacks what a comparison takes for granted."""
    kind, step, phases = record["record"], record["step"], record["phases"]
    _expect(isinstance(step, int) and isinstance(record["epoch"], int), "step and epoch should be whole numbers")
    if kind == "step":
        last = next((r["step"] for r in reversed(before) if r["record"] in ("step", "start")), -1)
        _expect(last >= 0, "a step before the start record")
        _expect(step == last + 1, f"step {step} follows step {last}")
    for phase, quantities in phases.items():
        _expect(phase in PHASES, f"there is no phase {phase!r}")
        for quantity, value in quantities.items():
            if quantity == "logged":
                for _hook, _key, _number, how in value:
                    how.items()
            elif isinstance(value, dict) and value.keys() == {"as"}:
                where, what = value["as"].split(".", 1)
                phases[where][what]
            else:
                _check_tables(value, names)


def _check_tables(value: Any, names: Mapping[str, Any]) -> None:
    if is_table(value):
        n = len(names[value["of"]])
        _expect(n == len(value["hash"]) and n == len(value.get("norm") or value["hash"]), f"a table of {n} tensors")
    elif isinstance(value, dict):
        for part in value.values():
            _check_tables(part, names)


def is_table(value: Any) -> bool:
    return isinstance(value, dict) and "of" in value and "hash" in value


def _expect(holds: bool, otherwise: str) -> None:
    if not holds:
        raise ValueError(otherwise)


def unfinished(path: Path) -> Path:
    """Where the trace `path` lies while its run goes."""
    return path.with_name(f"{path.name}.part")


def is_trace(path: Path) -> bool:
    """Whether a file begins as a trace does, of any format."""
    with path.open("rb") as file:
        try:
            first = json.loads(file.readline(1 << 20))
        except (ValueError, RecursionError):
            return False
    return isinstance(first, dict) and first.get("record") == "header"


def strict(value: Any) -> Any:
    """As JSON has it, which knows no NaN and no infinity: as their names."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Mapping):
        return {key: strict(content) for key, content in value.items()}
    return [strict(content) for content in value] if isinstance(value, list | tuple) else value


def _records(path: Path, lines: list[str]) -> Iterator[tuple[int, Record]]:
    for number, line in enumerate(lines, start=1):
        try:
            record = json.loads(line)
            if not isinstance(record, dict) or not isinstance(record.get("record"), str):
                raise ValueError("not a record")
        except (ValueError, RecursionError) as error:
            if number == len(lines) and not line.endswith("\n"):
                return  # the run was killed while it wrote this one
            raise TraceError(
                f"{path}, line {number}: not a record of a trace ({error}); is the file damaged?"
            ) from error
        yield number, record
