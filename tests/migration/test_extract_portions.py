"""extract-symbols in portions: `apply --through` one step, then another, comes to the same as all at once."""

from __future__ import annotations

import shutil
from pathlib import Path
from textwrap import dedent

import pytest

from migration.engine import rehearse
from migration.plan import Plan, load_plan
from migration.tree import Overlay, Tree
from tests.migration.fresh import import_first, run_script
from tests.migration.support import plan_of, write_tree

MONOLITH = Path(__file__).parents[2] / "legacy" / "monolith"


def carried_out(root: Path, plan: Plan) -> set[str]:
    """Put a plan on the disk at `root` if all gates hold; the statuses of its steps."""
    done = rehearse(Overlay(Tree(root)), plan)
    done.settle()
    for path, content in done.after.edits.items():
        if content is None:
            (root / path).unlink()
        else:
            write_tree(root, {path: content})
    return {outcome.status for outcome in done.outcomes.values() if outcome.edits or outcome.status == "done"}


def in_portions(root: Path, plan: Plan, last_steps: list[str]) -> None:
    for last in last_steps:
        carried_out(root, plan.select(through=last))


def files(root: Path) -> dict[str, bytes]:
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def extraction(*targets: tuple[str, list[str]]) -> Plan:
    return plan_of(*({"kind": "extract-symbols", "source": "train.py", "target": t, "symbols": s} for t, s in targets))


def test_what_does_not_lean_on_the_source_comes_out_byte_for_byte_as_at_once(tmp_path: Path) -> None:
    text = """\
        import os


        def helper():
            return os.sep


        class Model:
            def run(self):
                return 1


        class Heart(Model):
            pass


        class Data:
            def heart(self):
                return Heart().run()


        def main():
            print(Data().heart(), helper())


        if __name__ == "__main__":
            main()
        """
    plan = extraction(("p/model.py", ["Model"]), ("p/heart.py", ["Heart"]), ("p/data.py", ["Data"]))
    at_once, stepwise = (write_tree(tmp_path / n, {"train.py": dedent(text)}) for n in ("at-once", "stepwise"))
    carried_out(at_once, plan)
    in_portions(stepwise, plan, ["1", "2", "3"])
    assert files(stepwise) == files(at_once)
    assert carried_out(stepwise, plan) == set()


def test_names_answered_for_on_demand_are_added_to_those_of_an_earlier_run(tmp_path: Path) -> None:
    text = """\
        SCALE = 2


        def shared(x):
            return x * SCALE


        class Model:
            def run(self):
                return shared(1)


        class Heart:
            def beat(self):
                return shared(2)


        def main():
            print(Model().run(), Heart().beat())


        if __name__ == "__main__":
            main()
        """
    plan = extraction(("p/model.py", ["Model"]), ("p/heart.py", ["Heart"]))
    write_tree(tmp_path, {"train.py": dedent(text)})
    in_portions(tmp_path, plan, ["1", "2"])
    assert run_script(tmp_path, "train.py") == (0, "2 4\n")
    assert import_first(tmp_path, "train", ["Model", "Heart"])[0] == 0
    assert import_first(tmp_path, "p", ["Model", "Heart"])[0] == 0
    left = (tmp_path / "train.py").read_text()
    assert (left.count("_MOVED = {"), left.count("sys.modules.setdefault")) == (1, 1)
    assert carried_out(tmp_path, plan) == set()


def test_a_helper_that_an_extracted_module_imports_back_stays_when_its_last_other_user_leaves(tmp_path: Path) -> None:
    text = "def shared(): return 1\nclass A:\n    def f(self): return shared()\nclass B:\n    def f(self): return shared()\n"
    plan = extraction(("a.py", ["A"]), ("b.py", ["B"]))
    at_once, stepwise = (write_tree(tmp_path / n, {"train.py": text}) for n in ("at-once", "stepwise"))
    carried_out(at_once, plan)
    in_portions(stepwise, plan, ["1", "2"])
    assert [(stepwise / p).read_text() for p in ("a.py", "b.py")] == [
        (at_once / p).read_text() for p in ("a.py", "b.py")
    ]
    assert "def shared" in (stepwise / "train.py").read_text()


@pytest.mark.parametrize("last_steps", [["3.2", "3.4"], ["3.3", "3.5", "3.6"]])
def test_the_shipped_plan_can_be_carried_out_in_portions(tmp_path: Path, last_steps: list[str]) -> None:
    plan = load_plan("visioncore")
    at_once, stepwise = (
        Path(shutil.copytree(MONOLITH, tmp_path / n, ignore=shutil.ignore_patterns("__pycache__")))
        for n in ("at-once", "stepwise")
    )
    carried_out(at_once, plan)
    in_portions(stepwise, plan, [*last_steps, plan.step[-1].id])  # each portion has to pass every gate
    assert carried_out(stepwise, plan) == set()
    one, other = files(at_once), files(stepwise)
    # What answers on demand since an earlier portion goes on doing so: the source, and the package beside it.
    may_differ = {"training/train_ddp_multidataset.py", "training/lightning/__init__.py"}
    assert one.keys() == other.keys()
    assert {p for p in one if one[p] != other[p]} <= may_differ
