from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    "arguments",
    [
        ["compare", "nowhere.trace", "nowhere.trace"],
        ["record", "--out", "a.trace", "nowhere.py"],
        ["throughput", "--pairs", "0", "--old", "python a.py", "--new", "python b.py"],
    ],
    ids=["compare", "record", "throughput"],
)
def test_a_mistake_is_told_before_torch_is_loaded(tmp_path: Path, arguments: list[str]) -> None:
    code = "import sys; from regression.cli import main; print(main(sys.argv[1:]), 'torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.stdout == "2 False\n" and done.stderr.strip(), done.stderr
