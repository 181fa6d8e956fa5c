"""Translating a checkpoint against copying it: `cp --reflink=never` in the same run, turn by turn, warm cache.

    make bench                                                         # small
    LEGACY_BENCH_MB=2000 python -m pytest benchmarks/test_checkpoints.py --benchmark-only -s     # the table of docs/performance.md

Every way is a process of its own, as on a command line; its peak memory is what the system counted. `-s` prints the table.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

ROOT = Path(__file__).parents[1]
MEGABYTES = int(os.environ.get("LEGACY_BENCH_MB", "64"))
TENSORS = int(os.environ.get("LEGACY_BENCH_TENSORS", "70000"))
ROUNDS = int(os.environ.get("LEGACY_BENCH_ROUNDS", "3"))
# Modules are compiled once, as they are wherever nobody has said otherwise.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
LOAD = "import sys, torch; c = torch.load(sys.argv[1], map_location='cpu', weights_only=False{mmap}); "
RENAME = "c['state_dict'] = {k.replace('_orig_mod.', ''): v for k, v in c['state_dict'].items()}; "
SAFE = "from safetensors.torch import save_file; save_file(c['state_dict'], sys.argv[2])"


@dataclass
class Way:
    """A way to make a new file of an old one; {0} and {1} are their names."""

    name: str
    command: list[str]
    seconds: list[float] = field(default_factory=list)
    megabytes: float = 0.0

    def run(self, source: Path, target: Path) -> None:
        command = [part.format(source, target) if part in ("{0}", "{1}") else part for part in self.command]
        # A virtual machine gives free memory back, and then the same copy takes four times as long: every way finds as much that is in use.
        subprocess.run(["cp", "--reflink=never", str(source), str(target)], check=True)
        target.unlink()
        os.sync()  # nobody waits for what the one before has left to be written
        began = time.perf_counter()
        child = subprocess.Popen(command, cwd=ROOT, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        self.megabytes = max(self.megabytes, watched(child))
        assert child.returncode == 0, child.stderr.read() if child.stderr else ""
        self.seconds.append(time.perf_counter() - began)
        for path in (target, target.with_suffix(".json")):
            path.unlink(missing_ok=True)


def watched(child: subprocess.Popen[bytes]) -> float:
    """Waits, and returns the largest memory seen, in megabytes; a process's own count begins with its parent's."""
    peak = 0
    status = Path(f"/proc/{child.pid}/status")
    while child.poll() is None:
        try:
            lines = status.read_text().splitlines()
        except OSError:
            lines = []
        peak = max([peak, *(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))])
        time.sleep(0.005)
    return peak / 1024


def legacy(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "legacy", *arguments]


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code, "{0}", "{1}"]


def ways() -> list[Way]:
    return [
        Way("cp --reflink=never", ["cp", "--reflink=never", "{0}", "{1}"]),
        Way("cp, and synced as translate is", ["sh", "-c", 'cp --reflink=never "$0" "$1" && sync "$1"', "{0}", "{1}"]),
        Way("translate", legacy("translate", "{0}", "{1}")),
        Way("translate --no-sha256", legacy("translate", "--no-sha256", "{0}", "{1}")),
        Way("translate --check", legacy("translate", "--check", "{0}", "{1}")),
        Way("translate --no-sync --no-sha256", legacy("translate", "--no-sync", "--no-sha256", "{0}", "{1}")),
        Way("translate --no-sync", legacy("translate", "--no-sync", "{0}", "{1}")),
        Way("translate --no-sync --check", legacy("translate", "--no-sync", "--check", "{0}", "{1}")),
        Way("translate --to safetensors", legacy("translate", "--to", "safetensors", "{0}", "{1}")),
        Way("inspect", legacy("inspect", "{0}")),
        Way("torch.load + torch.save", python(LOAD.format(mmap="") + RENAME + "torch.save(c, sys.argv[2])")),
        Way("the same, mmap=True", python(LOAD.format(mmap=", mmap=True") + RENAME + "torch.save(c, sys.argv[2])")),
        Way("safetensors, the weights alone", python(LOAD.format(mmap="") + SAFE)),
    ]


def trained(folder: Path) -> Path:
    """A compiled network with AdamW's state, as a Trainer saves it."""
    per_tensor = 1_000_000
    count = max(1, MEGABYTES * 1_000_000 // (12 * per_tensor))
    names = [f"model._orig_mod.readout.{i}.weight" for i in range(count)]
    weights = {name: torch.randn(per_tensor) for name in names}
    state = {i: {"step": torch.tensor(3.0), "exp_avg": torch.randn(per_tensor), "exp_avg_sq": torch.rand(per_tensor)} for i in range(count)}  # fmt: skip
    optimizer = {"state": state, "param_groups": [{"lr": 1e-3, "betas": (0.9, 0.999), "params": list(range(count))}]}
    hyper = dict.fromkeys(["model_class", "model_config", "optim_kwargs", "viz_n_epochs", "cids"])
    saved = {
        "epoch": 1,
        "global_step": 3,
        "pytorch-lightning_version": "2.1.0",
        "state_dict": weights,
        "optimizer_states": [optimizer],
        "hyper_parameters": hyper,
    }
    torch.save(saved, folder / "old.ckpt")
    return folder / "old.ckpt"


def test_a_large_checkpoint(benchmark: Any, tmp_path: Path) -> None:
    source, target, every = trained(tmp_path), tmp_path / "new.ckpt", ways()
    os.sync()  # what has just been written must not be written back while others are timed

    def round_of_all() -> None:
        for way in every:
            way.run(source, target)

    round_of_all()  # warms the cache
    for way in every:
        way.seconds.clear()
    benchmark.pedantic(round_of_all, rounds=ROUNDS, iterations=1)
    unit = statistics.median(every[0].seconds)
    for way in every:
        seconds = statistics.median(way.seconds)
        ratios = [mine / floor for mine, floor in zip(way.seconds, every[0].seconds, strict=True)]
        row = {
            "seconds": round(seconds, 3),
            "times cp": round(statistics.median(ratios), 2),
            "MB": round(way.megabytes),
        }
        benchmark.extra_info[way.name] = row
        print(f"| {way.name} | {seconds:.2f} | {row['times cp']:.2f} | {row['MB']:,} |")
    benchmark.extra_info["file"] = source.stat().st_size
    assert unit > 0


def weights(count: int) -> dict[str, Any]:
    names = [f"model._orig_mod.readout.layer{i}.blocks.{i % 7}.weight" for i in range(count)]
    return {"state_dict": {name: torch.zeros(4) for name in names}, "epoch": 1}


def trained_by_adam(count: int) -> dict[str, Any]:
    """A quarter of them weights and biases of seven sizes, the rest their state."""
    shapes = [(4, 2 + i % 7) if i % 2 else (3,) for i in range(count // 4)]
    state = {
        i: {"step": torch.tensor(3.0), "exp_avg": torch.zeros(shape), "exp_avg_sq": torch.zeros(shape)}
        for i, shape in enumerate(shapes)
    }
    optimizer = {"state": state, "param_groups": [{"lr": 0.1, "params": [*state]}]}
    named = {f"model.layer{i}.{'weight' if i % 2 else 'bias'}": torch.zeros(shape) for i, shape in enumerate(shapes)}
    return {"state_dict": named, "optimizer_states": [optimizer], "epoch": 1, "global_step": 3}


@pytest.mark.parametrize("saved", [weights, trained_by_adam])
def test_many_tensors(benchmark: Any, tmp_path: Path, saved: Callable[[int], dict[str, Any]]) -> None:
    torch.save(saved(TENSORS), tmp_path / "old.ckpt")
    way = Way("translate", legacy("translate", "{0}", "{1}"))
    benchmark.pedantic(lambda: way.run(tmp_path / "old.ckpt", tmp_path / "new.ckpt"), rounds=ROUNDS, iterations=1)
    benchmark.extra_info["tensors"], benchmark.extra_info["MB"] = TENSORS, round(way.megabytes)
    told = statistics.median(way.seconds)
    print(f"\n| {TENSORS:,} tensors, {saved.__name__} | {told:.2f} | {min(way.seconds):.2f} | {way.megabytes:.0f} |")


def test_an_archive(benchmark: Any, tmp_path: Path) -> None:
    """Many files at once, every CRC checked, against `cp -r`."""
    (tmp_path / "runs").mkdir()
    first = trained(tmp_path)
    for index in range(8):
        subprocess.run(["cp", "--reflink=never", str(first), str(tmp_path / "runs" / f"{index}.ckpt")], check=True)
    os.sync()
    floors: list[float] = []
    copies: list[float] = []

    def both() -> None:
        for command, seconds, made in (
            (["cp", "-r", "--reflink=never"], floors, tmp_path / "copy"),
            (legacy("translate"), copies, tmp_path / "new"),
        ):
            began = time.perf_counter()
            subprocess.run(
                [*command, str(tmp_path / "runs"), str(made)],
                cwd=ROOT,
                env=ENVIRONMENT,
                check=True,
                capture_output=True,
            )
            seconds.append(time.perf_counter() - began)
            subprocess.run(["rm", "-r", str(made)], check=True)

    benchmark.pedantic(both, rounds=ROUNDS, iterations=1)
    ratio = statistics.median([mine / floor for mine, floor in zip(copies, floors, strict=True)])
    benchmark.extra_info["times cp -r"] = round(ratio, 2)
    print(f"\n| a folder of 8 | {statistics.median(copies):.2f} | {ratio:.2f} of cp -r | |")
