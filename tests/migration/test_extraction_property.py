"""Any subset of a program's definitions can leave; the program prints the same, and every new module can be imported first."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, event, given, reject, settings

from migration.errors import BadInput
from migration.tree import Overlay
from tests.migration.fresh import import_first, run_script
from tests.migration.programs import Program, programs
from tests.migration.support import overlay, plan_of, run

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "1000"))
PARTS = 8  # that can run side by side


def write(tree: Overlay, root: Path) -> None:
    for path in tree.paths():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(tree.read(path))


@pytest.mark.parametrize("part", range(PARTS))
@settings(
    max_examples=-(-EXAMPLES // PARTS),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
    print_blob=True,
)
@given(programs())
def test_extraction_keeps_what_a_program_prints(part: int, program: Program) -> None:
    if not program.placed:
        reject()
    tree = overlay({"main.py": program.text})
    steps = [
        {
            "kind": "extract-symbols",
            "source": "main.py",
            "target": target,
            "symbols": [s for s, t in program.placed.items() if t == target],
        }
        for target in dict.fromkeys(program.placed.values())
    ]
    root = Path(tempfile.mkdtemp(prefix="program-"))
    try:
        status, before = run_script(tree.root, "main.py")
        if status:  # a default or constant calls what is only defined further down
            reject()
        try:
            outcomes = run(tree, plan_of(*steps))
        except BadInput as error:
            event(
                "refused: "
                + (
                    "a rebound global"
                    if "global" in str(error)
                    else "an import cycle"
                    if "cycle" in str(error)
                    else str(error)
                )
            )
            reject()
        write(tree, root)
        status, after = run_script(root, "main.py")
        assert (status, after) == (0, before), "\n".join(f"== {p}\n{tree.read(p).decode()}" for p in tree.paths())
        for outcome in outcomes.values():
            names = [n for m in outcome.moved for n in m.name.split(", ")]
            module = outcome.moved[0].target.removesuffix(".py").replace("/", ".")
            status, said = import_first(root, module, names)
            assert status == 0, said + "\n".join(f"== {p}\n{tree.read(p).decode()}" for p in tree.paths())
            status, said = import_first(root, "main", names)
            assert status == 0, "the old module no longer answers\n" + said
        _again_changes_nothing(tree, steps)
    finally:
        shutil.rmtree(root)
        shutil.rmtree(tree.root)


def _again_changes_nothing(tree: Overlay, steps: list[dict[str, object]]) -> None:
    again = Overlay(tree)
    outcomes = run(again, plan_of(*steps))
    assert not again.edits, {p: (c or b"").decode() for p, c in again.edits.items()}
    assert {o.status for o in outcomes.values()} == {"already done"}
