"""The catalogue fits the tree, and the runner tells a fault from a refactor."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from regression.mutants.catalogue import PERFORMANCE, REFACTORS, Edit, EditError, read
from regression.mutants.run import Result, totals

ROOT = Path(__file__).parents[2]
EDITS = read()
GROUPS = {
    "data_and_sampler",
    "model_and_loss",
    "optimizer_and_scheduler",
    "hooks_and_callbacks",
    "hyper_parameters_and_cli",
    "precision_and_flags",
    "ddp",
    "checkpoint",
    "performance",
}


@pytest.mark.parametrize("edit", EDITS, ids=lambda edit: edit.name)
def test_an_edit_applies_once_and_is_a_program(edit: Edit) -> None:
    text = (ROOT / edit.file).read_text()
    assert text.count(edit.find) == 1
    changed = text.replace(edit.find, edit.replace)
    documented = "doc string" in edit.name
    assert documented or ast.dump(ast.parse(changed)) != ast.dump(ast.parse(text))
    assert bool(edit.phases) == (edit.group not in (REFACTORS, PERFORMANCE))


def test_there_are_enough_of_each() -> None:
    groups = Counter(edit.group for edit in EDITS)
    assert set(groups) - {REFACTORS} == GROUPS and min(groups.values()) >= 5
    assert sum(groups.values()) - groups[REFACTORS] >= 60 and groups[REFACTORS] >= 30


def mutants(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "regression.mutants", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900)


def test_a_fault_a_refactor_and_a_repetition() -> None:
    faults = ("Adam", "the readout's bias is not used")
    named = [part for name in (*faults, "mask first") for part in ("--only", name)]
    done = mutants(
        *named, "--repetitions", "1", "--jobs", "1", "--json"
    )  # a second server starts for longer than it helps
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["mutants"], told["caught"], told["localized"], told["harmless"], told["alarms"]) == (2, 2, 2, 2, 0)
    assert {result["name"]: result["where"].split(",")[0] for result in told["results"] if result["seen"]} == {
        "Adam": "step",
        "the readout's bias is not used": "backward",
    }


def test_no_such_edit() -> None:
    done = mutants("--only", "nothing")
    assert done.returncode == 2 and "nothing: no such group or edit" in done.stderr


def test_an_edit_that_does_not_fit_any_more(tmp_path: Path) -> None:
    (tmp_path / "file.py").write_text("a = 1\na = 1\n")
    for find, n in (("a = 1", "2 times"), ("b", "0 times")):
        with pytest.raises(EditError, match=n):
            Edit("name", "group", "file.py", find, "c", "why").apply(tmp_path)
    assert (tmp_path / "file.py").read_text() == "a = 1\na = 1\n"


@pytest.mark.parametrize(
    "row", ['name = "a"', 'name = "a"\nfile = "f"\nfind = "x"\nreplace = "y"\nwhy = "w"\nphases = ["mood"]']
)
def test_a_bad_entry_is_a_sentence(tmp_path: Path, row: str) -> None:
    (tmp_path / "group.toml").write_text(f"[[edit]]\n{row}\n")
    with pytest.raises(EditError, match=r"group\.toml"):
        read(tmp_path)


def test_a_fault_elsewhere_is_caught_and_not_right() -> None:
    results = [
        Result("a", "ddp", True, True, ""),
        Result("b", "ddp", True, False, ""),
        Result("c", "ddp", False, False, ""),
        Result("d", REFACTORS, True, False, ""),
        Result("e", "repetitions", False, True, ""),
    ]
    assert totals(results) == {"mutants": 3, "caught": 2, "localized": 1, "harmless": 2, "alarms": 1}
    assert [result.right for result in results] == [True, False, False, False, True]
