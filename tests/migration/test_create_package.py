"""create-package: an `__init__.py` where there was none, and nothing else."""

from __future__ import annotations

import ast

import pytest

from migration.errors import BadInput
from tests.migration.support import overlay, plan_of, run


@pytest.mark.parametrize(
    ("package", "docstring"),
    [("training/lightning", "Lightning."), ("models/lightning_deprecated", "Lightning deprecated."), ("a/_x", " x.")],
)
def test_a_folder_becomes_a_package(package: str, docstring: str) -> None:
    tree = overlay({"training/train.py": "x = 1\n"})
    plan = plan_of({"kind": "create-package", "package": package})
    assert run(tree, plan)["1"].status == "done"
    assert list(tree.edits) == [f"{package}/__init__.py"]
    assert ast.get_docstring(ast.parse(tree.read(f"{package}/__init__.py")), clean=False) == docstring
    assert run(tree, plan)["1"].status == "already done"


@pytest.mark.parametrize("init", [b"", b"import os\r\n", b"def (\n"])
def test_a_package_that_is_there_stays_as_it_is(init: bytes) -> None:
    tree = overlay({"a/__init__.py": init})
    assert run(tree, plan_of({"kind": "create-package", "package": "a"}))["1"].status == "already done"
    assert tree.edits == {}


def test_a_file_in_its_place_is_bad_input() -> None:
    with pytest.raises(BadInput, match="field 'package': a/b is a file, a folder was expected"):
        run(overlay({"a/b": ""}), plan_of({"kind": "create-package", "package": "a/b"}))


@pytest.mark.parametrize("package", ["training/my-models", "training/2d", "class"])
def test_a_folder_that_nobody_could_import_is_bad_input(package: str) -> None:
    with pytest.raises(BadInput, match="cannot be imported"):
        run(overlay({"a.py": ""}), plan_of({"kind": "create-package", "package": package}))


def test_a_module_of_that_name_would_be_hidden() -> None:
    with pytest.raises(BadInput, match=r"training/lightning\.py"):
        run(
            overlay({"training/lightning.py": "x = 1\n"}),
            plan_of({"kind": "create-package", "package": "training/lightning"}),
        )


def test_a_module_of_that_name_that_the_plan_moves_is_no_matter() -> None:
    tree = overlay({"a/b.py": "x = 1\n"})
    run(tree, plan_of({"kind": "create-package", "package": "a/b"}, {"kind": "move-module", "source": "a/b.py", "target": "a/b/c.py"}))  # fmt: skip
    assert tree.read("a/b/c.py") == b"x = 1\n"
