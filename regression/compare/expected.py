"""Differences that are meant, from a TOML file: nothing else may differ, and each of them must."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, fields
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from regression.trace import PHASES, TraceError


@dataclass(frozen=True)
class Expected:
    """Values of `phase` whose quantity and tensor or key match these patterns may differ, because of `why`."""

    name: str
    phase: str
    quantity: str
    tensor: str
    why: str

    def fits(self, phase: str, quantity: str, name: str) -> bool:
        return phase == self.phase and fnmatchcase(quantity, self.quantity) and fnmatchcase(name, self.tensor)


def read(path: str | Path, table: str = "difference") -> list[Expected]:
    """
    Raises:
        TraceError: not TOML, an unknown field or phase, or one that is missing
    """
    try:
        rows: list[dict[str, Any]] = tomllib.loads(Path(path).read_text()).get(table, [])
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise TraceError(f"{path}: differences that are meant cannot be read from here ({error})") from error
    known = {f.name for f in fields(Expected)}
    for i, row in enumerate(rows, start=1):
        if set(row) != known or row["phase"] not in PHASES:
            raise TraceError(
                f"{path}, [[{table}]] {i}: {sorted(known)} are expected, phase one of {', '.join(PHASES)}; found {row}"
            )
    return [Expected(**row) for row in rows]
