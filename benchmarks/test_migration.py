"""How long the whole shipped migration takes, against the floor: reading every file once, and libcst with scopes on the touched ones.

    make bench

Each tree is measured in one run: the floor and the migration in turn, so that their ratio does not depend on the machine's mood.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks.trees import large, monolith

RUN = """
import gc, json, resource, sys, time
from pathlib import Path
gc.disable()  # as the command does
began = time.perf_counter()
from migration.engine import rehearse
from migration.plan import load_plan
from migration.tree import Overlay, Tree
imported = time.perf_counter()
run = rehearse(Overlay(Tree(Path(sys.argv[1]))), load_plan("visioncore"))
run.settle()
done = time.perf_counter()
print(json.dumps({"import": imported - began, "seconds": done - imported, "mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
                  "touched": sorted(p for p in run.after.edits if p.endswith(".py")), "torch": "torch" in sys.modules}))
"""
FLOOR = """
import json, os, resource, sys, time
from pathlib import Path
import libcst
from libcst.metadata import MetadataWrapper, ScopeProvider
root, touched = Path(sys.argv[1]), json.loads(sys.argv[2])
began = time.perf_counter()
for folder, _, names in os.walk(root):
    for name in names:
        Path(folder, name).read_bytes()
for path in touched:
    if (root / path).exists():
        MetadataWrapper(libcst.parse_module((root / path).read_bytes()), unsafe_skip_copy=True).resolve(ScopeProvider)
print(json.dumps({"seconds": time.perf_counter() - began, "mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))
"""


def measured(script: str, *arguments: str) -> dict[str, Any]:
    done = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("make", [monolith, large], ids=["monolith", "3000-files"])
def test_the_shipped_migration(benchmark: Any, make: Callable[[Path], Path], tmp_path: Path) -> None:
    root = make(tmp_path / "tree")
    runs: list[dict[str, Any]] = []
    floors: list[dict[str, Any]] = []

    def pair() -> None:
        runs.append(measured(RUN, str(root)))
        floors.append(measured(FLOOR, str(root), json.dumps(runs[-1]["touched"])))

    pair()
    benchmark.pedantic(pair, rounds=3)
    ratios = sorted(r["seconds"] / f["seconds"] for r, f in zip(runs, floors, strict=True))
    benchmark.extra_info.update(
        migration_seconds=round(min(r["seconds"] for r in runs), 3),
        floor_seconds=round(min(f["seconds"] for f in floors), 3),
        ratio_to_floor=round(ratios[len(ratios) // 2], 2),
        peak_mb=round(max(r["mb"] for r in runs)),
        import_seconds=round(min(r["import"] for r in runs), 3),
    )
    print(json.dumps(benchmark.extra_info))
    assert not any(r["torch"] for r in runs)
