"""No module of the tree newly hides an installed package, or the standard library, from a script's folder."""

from __future__ import annotations

import json

import pytest

from tests.migration.gates.checks import check_of, failing_of_all, fatal, verdict

GATE = "no-shadowing"
GUARD = "\n\nif __name__ == '__main__':\n    print('run')\n"
SCRIPT = "#!/usr/bin/env python\nimport lightning as pl\n\n\nclass M(pl.LightningModule): ...\n"
ROOT_FIRST = "import sys\nfrom pathlib import Path\nsys.path[0] = str(Path(__file__).resolve().parents[1])\n"
PACKAGE = {"training/lightning/__init__.py": "", "training/lightning/model.py": "x = 1\n"}


def told(before: dict[str, str], edits: dict[str, str | None]) -> list[str]:
    return fatal(check_of(before, edits), GATE)


def test_only_this_gate_sees_a_package_that_hides_an_installed_one() -> None:
    check = check_of({"training/train.py": SCRIPT}, PACKAGE)
    assert failing_of_all(check) == {GATE}
    (message,) = fatal(check, GATE)
    assert message.startswith(
        "training/train.py:2: run by path, `import lightning` in training/train.py:2 finds the new "
    )
    assert "training/lightning/__init__.py and no longer the installed package lightning" in message
    assert "entry-point step" in message


@pytest.mark.parametrize(
    "lines",
    [
        ROOT_FIRST,
        ROOT_FIRST.replace("sys.path[0] =", "sys.path[:] =").replace(
            "str(Path(__file__).resolve().parents[1])", "[str(Path(__file__).resolve().parents[1])]"
        ),
    ],
)
def test_a_script_that_puts_the_root_in_place_of_its_folder_is_fine(lines: str) -> None:
    check = check_of(
        {"training/train.py": SCRIPT}, {**PACKAGE, "training/train.py": SCRIPT.replace("import l", lines + "import l")}
    )
    assert failing_of_all(check) == set()


def test_the_root_in_front_comes_too_late_below_the_import() -> None:
    late = SCRIPT.replace("\n\n\nclass", "\n" + ROOT_FIRST + "\n\nclass")
    assert told({"training/train.py": late}, PACKAGE)


def test_the_root_behind_the_folder_does_not_help() -> None:
    lines = "import sys\nfrom pathlib import Path\nsys.path.append(str(Path(__file__).resolve().parents[1]))\n"
    assert told({"training/train.py": SCRIPT.replace("import l", lines + "import l")}, PACKAGE)


@pytest.mark.parametrize(
    "script",
    [
        "import lightning\n" + GUARD,
        "from lightning.pytorch import Trainer\n" + GUARD,
        "# %%\nimport lightning\n",
        "def f():\n    import os, lightning\n" + GUARD,
    ],
)
def test_what_runs_by_path_and_how_it_may_import(script: str) -> None:
    assert told({"training/train.py": script}, PACKAGE)


def test_a_notebook_runs_from_its_folder() -> None:
    cell = {
        "cell_type": "code",
        "execution_count": None,
        "id": "c",
        "metadata": {},
        "outputs": [],
        "source": ["import lightning"],
    }
    text = json.dumps({"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5})
    (message,) = told({"training/look.ipynb": text, "models/a.py": "import lightning\n"}, PACKAGE)
    assert "entry-point" not in message


def test_a_script_elsewhere_that_puts_the_folder_on_its_path() -> None:
    look = "import sys\nsys.path.insert(0, 'training')\nimport lightning\n"
    assert told({"tools/look.py": look, "training/a.py": ""}, PACKAGE)
    assert not told({"tools/look.py": look.replace("insert(0, ", "append("), "training/a.py": ""}, {})


@pytest.mark.parametrize("path", ["models/net.py", "models/__init__.py"])
def test_an_import_in_what_the_script_loads(path: str) -> None:
    before = {"training/train.py": "from models.net import Net" + GUARD, "models/net.py": "Net = 1\n"}
    (message,) = told({**before, path: "import torch\nimport lightning\nNet = 1\n"}, PACKAGE)
    assert f"`import lightning` in {path}:2" in message


def test_a_folder_without_an_init_hides_nothing() -> None:
    assert not told({"training/train.py": SCRIPT}, {"training/lightning/model.py": "x = 1\n"})


def test_names_that_were_the_trees_own_are_not_shadowed() -> None:
    script = "import lightning" + GUARD
    own = {"training/train.py": script, "lightning/__init__.py": ""}
    assert not told(own, {**PACKAGE, "lightning/__init__.py": None})
    assert not told(
        {"training/train.py": script, "training/lightning.py": ""}, {**PACKAGE, "training/lightning.py": None}
    )


@pytest.mark.parametrize("name", ["random", "types", "json", "queue"])
def test_the_standard_library_is_what_everyone_imports(name: str) -> None:
    assert told({"a.py": "x = 1\n"}, {f"{name}.py": "x = 1\n"})
    assert told({"training/train.py": "x = 1" + GUARD}, {f"training/{name}.py": "x = 1\n"})
    assert not told({"training/a.py": "x = 1\n"}, {f"training/{name}.py": "x = 1\n"})  # nobody runs from there
    assert not told({f"{name}.py": "x = 1\n"}, {f"{name}.py": "x = 2\n"})


@pytest.mark.parametrize("name", ["sys", "os", "time"])
def test_what_the_interpreter_has_before_its_first_import_cannot_be_hidden(name: str) -> None:
    assert not told({"a.py": f"import {name}\n"}, {f"{name}.py": "x = 1\n"})


def test_an_installed_package_that_only_other_packages_may_ask_for_is_a_warning() -> None:
    before = {"training/train.py": "import torch" + GUARD, "other/a.py": "import lightning\n"}
    check = check_of(before, {**PACKAGE, "training/train.py": "import torch\nx = 1" + GUARD})
    (failure,) = verdict(check, GATE)
    assert not failure.fatal and "an installed package may" in failure.message


def test_new_modules_with_names_of_their_own_are_fine() -> None:
    before = {"training/train.py": "import torch, numpy as np" + GUARD}
    assert not verdict(check_of(before, {"training/callbacks.py": "", "training/samplers/__init__.py": ""}), GATE)
