"""Old and new in turn, as fresh processes, the order alternating."""

from __future__ import annotations

import json
import math
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from regression.record import ROOT, RecordingError, surroundings
from regression.throughput.command import Command
from regression.throughput.interval import Interval, interval, more_pairs, verdict

START = f"import sys; sys.path.append({str(ROOT)!r}); from regression.throughput.steps import main; main()"
THRESHOLD = 0.98
TOO_CLOSE = "too close to what is asked for to be decided by more pairs"


@dataclass(frozen=True)
class Pair:
    """Milliseconds a step of a run of each (of all of it, where nothing is trained), and peak memory in bytes."""

    order: str
    old: float
    new: float
    old_bytes: int
    new_bytes: int

    @property
    def ratio(self) -> float:
        """Throughput of the new one as a multiple of the old one's."""
        return self.old / self.new


@dataclass(frozen=True)
class Throughput:
    """What the pairs say. `unit` is what was timed: a `step`, a `script` that trains nothing, or a `run` of what is not Python."""

    pairs: list[Pair]
    threshold: float
    unit: str
    warmup: int

    @property
    def interval(self) -> Interval:
        return interval([pair.ratio for pair in self.pairs])

    @property
    def memory(self) -> Interval:
        """Of peak memory, new over old."""
        return interval([pair.new_bytes / pair.old_bytes for pair in self.pairs])

    @property
    def verdict(self) -> str:
        return verdict(self.interval, self.threshold)

    @property
    def more_pairs(self) -> int:
        return more_pairs(self.interval, len(self.pairs), self.threshold)

    def __str__(self) -> str:
        found = self.interval
        told = (
            f"{self.verdict}: {found.median:.3f} × the old throughput, interval {found.low:.3f} to {found.high:.3f} "
            f"({100 * found.level:.0f} %, {len(self.pairs)} pairs, by {self.unit}), at least {self.threshold:g} is asked for"
        )
        if self.verdict == "undecided":
            told += f"; {self.more_pairs} more pairs would decide" if self.more_pairs else f"; {TOO_CLOSE}"
        return told

    def to_json(self) -> dict[str, Any]:
        found, memory = self.interval, self.memory
        return {
            "verdict": self.verdict,
            "ratio": found.median,
            "interval": [found.low, found.high if math.isfinite(found.high) else None],
            "level": found.level,
            "threshold": self.threshold,
            "more_pairs": self.more_pairs,
            "unit": self.unit,
            "warmup": self.warmup,
            "memory_ratio": memory.median,
            "memory_interval": [memory.low, memory.high if math.isfinite(memory.high) else None],
            "pairs": [{**asdict(pair), "ratio": pair.ratio} for pair in self.pairs],
        }


def measure(
    old: Command,
    new: Command,
    pairs: int,
    *,
    warmup: int = 3,
    threshold: float = THRESHOLD,
    overrides: Mapping[str, Any] | None = None,
    told: Callable[[Pair], None] = lambda pair: None,
) -> Throughput:
    """
    Raises:
        RecordingError: a command fails, or has too few steps to drop the warm-up from
    """
    made: list[Pair] = []
    units = set()
    for i in range(pairs):
        sides = {"old": old, "new": new}
        order = ("old", "new") if i % 2 == 0 else ("new", "old")
        seen = {}
        for name in order:
            seen[name] = run(sides[name], f"the {name} command, pair {i + 1}", warmup, overrides or {})
            units.add(seen[name][2])
        if len(units) > 1:
            raise RecordingError(
                f"one command is timed by {' and the other by '.join(sorted(units))}: give two that train with Lightning, "
                "two Python scripts that do not, or two other commands"
            )
        made.append(Pair(" then ".join(order), seen["old"][0], seen["new"][0], seen["old"][1], seen["new"][1]))
        told(made[-1])
    return Throughput(made, threshold, units.pop(), warmup)


def run(command: Command, who: str, warmup: int, overrides: Mapping[str, Any]) -> tuple[float, int, str]:
    """Mean milliseconds of a step, or those of the script or the run; peak memory in bytes; what was timed."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "steps.json"
        told = json.dumps({"command": command.arguments, "overrides": dict(overrides), "out": str(out)})
        clocked = [command.python, *command.options, "-c", START, told]
        began = time.perf_counter()
        try:
            process = subprocess.Popen(
                clocked if command.is_python else list(command.arguments),
                cwd=command.folder,
                env=surroundings({**os.environ, **command.environment}),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
            )
        except OSError as error:
            raise RecordingError(f"{who} ({command.text}) cannot be started: {error}") from error
        assert process.stderr is not None
        errors = process.stderr.read().decode(errors="replace")
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.perf_counter() - began
        if process.returncode != 0:
            raise RecordingError(f"{errors[-4000:]}{who} ({command.text}) ended with status {process.returncode}")
        if not command.is_python:
            return 1e3 * seconds, usage.ru_maxrss * 1024, "run"
        if not out.exists():
            raise RecordingError(
                f"{who} ({command.text}) ends its process by itself, before its times could be written"
            )
        seen: dict[str, Any] = json.loads(out.read_text())
    if not seen["steps"]:
        return 1e3 * seen["seconds"], seen["peak_bytes"], "script"
    steps = [step for epoch in seen["steps"] for step in epoch][warmup:]
    if not steps:
        raise RecordingError(
            f"{who} ({command.text}) trains no step beyond the {warmup} of its warm-up: let it train longer, or give --warmup"
        )
    # not the median: worker processes hand their batches over in bursts, and the waiting is then in a few steps only
    return statistics.fmean(steps), seen["peak_bytes"], "step"


def benchmark_pairs(benchmark: Any, old: Command, new: Command, pairs: int, **options: Any) -> Throughput:
    """The pairs inside a pytest-benchmark, so that its tables have them, with ratio, interval and verdict."""
    found: list[Throughput] = []
    benchmark.pedantic(lambda: found.append(measure(old, new, pairs, **options)), rounds=1, iterations=1)
    told = found[0].to_json()
    benchmark.extra_info.update({key: told[key] for key in ("verdict", "ratio", "interval", "level", "memory_ratio")})
    benchmark.extra_info["pairs"] = len(found[0].pairs)
    return found[0]
