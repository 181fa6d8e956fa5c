"""What two runs were made with, side by side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from regression.trace import Trace


@dataclass(frozen=True)
class Setting:
    """One fact of both sides' surroundings."""

    group: str
    name: str
    old: str
    new: str

    @property
    def differs(self) -> bool:
        return self.old != self.new and self.group != "measured"


def environment(old: Trace, new: Trace) -> Iterator[Setting]:
    """Versions, machine, command, switches; what a side has not said is a dash."""
    for group, sides in (
        ("run", [_run(trace) for trace in (old, new)]),
        ("measured", [_measured(trace) for trace in (old, new)]),
        ("versions", [trace.header["versions"] for trace in (old, new)]),
        ("machine", [trace.header.get("machine", {}) for trace in (old, new)]),
        ("switches", [started(trace).get("flags", {}) for trace in (old, new)]),
        ("trainer", [started(trace).get("trainer", {}) for trace in (old, new)]),
    ):
        for name in dict.fromkeys((*sides[0], *sides[1])):
            yield Setting(group, name, *("–" if name not in side else str(side[name]) for side in sides))


def _run(trace: Trace) -> dict[str, Any]:
    header = trace.header
    return {
        "command": " ".join(header["command"]),
        "device": header["device"] or "as the script says",
        "seed": header["seed"],
        "steps": len(trace.steps),
        "limit of steps": header["steps"] or "none",
        "level": header["level"],
        "deterministic": "yes" if trace.deterministic else "no",
        "came to its end": "yes" if trace.complete else "no",
    }


def _measured(trace: Trace) -> dict[str, str]:
    """What is never the same twice."""
    end = trace.records[-1] if trace.complete else {}
    seconds = {f"seconds, {phase}": f"{value:.2f}" for phase, value in end.get("seconds", {}).items()}
    if "total_seconds" in end:
        seconds["seconds in all"] = f"{end['total_seconds']:.2f}"
    if "peak_bytes" in end:
        seconds["peak memory"] = f"{end['peak_bytes'] / 2**20:,.0f} MiB"
    return seconds


def started(trace: Trace) -> Mapping[str, Any]:
    """What was recorded before the first step."""
    phases = trace.start["phases"] if trace.start else {}
    return {**phases.get("start", {}), **phases.get("settings", {})}
