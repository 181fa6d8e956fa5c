"""unify-import: every way to import a package leads to its other name, and what has the name by chance stays."""

from __future__ import annotations

import json

import pytest

from migration.codemods import Outcome
from migration.tree import Overlay
from tests.migration.support import overlay, plan_of, run

STEP = {"kind": "unify-import", "from": "lightning", "to": "pytorch_lightning"}


def unified(files: dict[str, str | bytes], **step: str) -> tuple[Overlay, Outcome]:
    """The tree after the step, which a second time has nothing to do."""
    tree = overlay(files)
    plan = plan_of({**STEP, **step})
    outcome = run(tree, plan)["1"]
    once = dict(tree.edits)
    assert run(tree, plan)["1"].status == "already done"
    assert tree.edits == once
    return tree, outcome


def rewritten(text: str, **step: str) -> str:
    return unified({"m.py": text}, **step)[0].read("m.py").decode()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("import lightning as pl\npl.Trainer()\n", "import pytorch_lightning as pl\npl.Trainer()\n"),
        ("import lightning\nlightning.Trainer()\n", "import pytorch_lightning as lightning\nlightning.Trainer()\n"),
        ("import lightning.pytorch as pl\n", "import pytorch_lightning as pl\n"),
        ("from lightning import LightningModule\n", "from pytorch_lightning import LightningModule\n"),
        ("from lightning import *\n", "from pytorch_lightning import *\n"),
        (
            "from lightning.pytorch.callbacks import Timer as T\n",
            "from pytorch_lightning.callbacks import Timer as T\n",
        ),
        (
            "from lightning.pytorch import (  # base\n    Trainer,\n)\n",
            "from pytorch_lightning import (  # base\n    Trainer,\n)\n",
        ),
        ("from lightning import pytorch as pl\n", "import pytorch_lightning as pl\n"),
        ("from lightning import pytorch\n", "import pytorch_lightning as pytorch\n"),
        ("import os, lightning as pl\n", "import os, pytorch_lightning as pl\n"),
        ("import lightning.fabric as f\n", "import lightning_fabric as f\n"),
        ("from lightning.fabric.utilities import x\n", "from lightning_fabric.utilities import x\n"),
    ],
)
def test_an_import_gets_the_other_name(before: str, after: str) -> None:
    assert rewritten(before) == after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            "import lightning.pytorch\nlightning.pytorch.Trainer(lightning.pytorch.callbacks.Timer())\n",
            "import pytorch_lightning\npytorch_lightning.Trainer(pytorch_lightning.callbacks.Timer())\n",
        ),
        (
            "import lightning\nlightning.pytorch.Trainer()\nlightning.seed_everything(1)\n",
            "import pytorch_lightning\npytorch_lightning.Trainer()\npytorch_lightning.seed_everything(1)\n",
        ),
        ("import lightning as L\nL.pytorch.callbacks.Timer\n", "import pytorch_lightning as L\nL.callbacks.Timer\n"),
        (
            "import lightning as L\nL.fabric.seed()\n",
            "import pytorch_lightning as L, lightning_fabric\nlightning_fabric.seed()\n",
        ),
        (
            "import lightning.pytorch\nlightning.fabric.seed()\n",
            "import pytorch_lightning, lightning_fabric\nlightning_fabric.seed()\n",
        ),
        (
            "import lightning as L\nL.Fabric, L.Trainer\n",
            "import pytorch_lightning as L, lightning_fabric\nlightning_fabric.Fabric, L.Trainer\n",
        ),
        (
            "def f():\n    import lightning.pytorch\n    return lightning.pytorch.Trainer\n",
            "def f():\n    import pytorch_lightning\n    return pytorch_lightning.Trainer\n",
        ),
    ],
)
def test_uses_that_spell_the_name_out_follow(before: str, after: str) -> None:
    assert rewritten(before) == after


def test_what_the_other_package_does_not_have_comes_from_where_it_lives() -> None:
    before = "if True:\n    from lightning import (\n        Trainer,  # trains\n        Fabric,  # other\n    )\n"
    after = rewritten(before)
    assert "    from lightning_fabric import Fabric\n" in after
    assert "# trains" in after and "# other" in after
    compile(after, "m.py", "exec")


def test_a_fallback_of_a_guarded_import_keeps_its_name() -> None:
    before = (
        "try:\n    import lightning.pytorch\nexcept ImportError:\n    lightning = None\nok = lightning is not None\n"
    )
    assert rewritten(before) == before.replace("lightning.pytorch", "pytorch_lightning").replace(
        "    lightning", "    pytorch_lightning"
    ).replace("= lightning", "= pytorch_lightning")


def test_both_arms_of_a_guard_agree_afterwards() -> None:
    before = (
        "try:\n    import lightning.pytorch as pl\nexcept ImportError:\n    import pytorch_lightning as pl  # older\n"
    )
    assert rewritten(before) == before.replace("lightning.pytorch as", "pytorch_lightning as")


@pytest.mark.parametrize(
    "scope",
    [
        "def f(lightning):\n    return lightning.pytorch\n",
        "def f():\n    lightning = 1\n    return lightning\n",
        "g = lambda lightning: lightning.pytorch\n",
        "h = [lightning.pytorch for lightning in ()]\n",
    ],
)
def test_another_thing_of_that_name_stays(scope: str) -> None:
    before = f"import lightning.pytorch\n{scope}lightning.pytorch.Trainer\n"
    assert rewritten(before) == f"import pytorch_lightning\n{scope}pytorch_lightning.Trainer\n"


@pytest.mark.parametrize(
    "text",
    [
        "from training.lightning.model import M\n",
        "from .lightning import M\n",
        "from . import lightning\n",
        "import lightning_utilities\n",
        "import pytorch_lightning as pl\n",
        "x = 'lightning strikes'\n",
        "log = 'lightning.log'\n# import lightning\n",
        "self.lightning.pytorch\n",
    ],
)
def test_other_names_stay(text: str) -> None:
    tree, outcome = unified({"m.py": text})
    assert (tree.edits, outcome.status) == ({}, "already done")


def test_strings_that_name_something_of_the_package_follow() -> None:
    before = 'load("lightning.pytorch.Trainer")\nimport_module("lightning")\nimport_module("lightning.pytorch")\n'
    after = (
        'load("pytorch_lightning.Trainer")\nimport_module("pytorch_lightning")\nimport_module("pytorch_lightning")\n'
    )
    assert rewritten(before) == after


@pytest.mark.parametrize(
    ("path", "before", "after"),
    [
        ("c.yaml", "_target_: lightning.pytorch.Trainer\n", "_target_: pytorch_lightning.Trainer\n"),
        ("c.yml", "a:\r\n  - 'lightning.Trainer'  # why\r\n", "a:\r\n  - 'pytorch_lightning.Trainer'  # why\r\n"),
        ("c.json", '{"_target_": "lightning.fabric.Fabric"}', '{"_target_": "lightning_fabric.Fabric"}'),
        ("c.toml", 't = ["lightning.pytorch.A", "b"]\n', 't = ["pytorch_lightning.A", "b"]\n'),
        ("log.yaml", "lightning.pytorch: {level: INFO}\n", "pytorch_lightning: {level: INFO}\n"),
    ],
)
def test_configurations_follow(path: str, before: str, after: str) -> None:
    assert unified({path: before})[0].read(path) == after.encode()


@pytest.mark.parametrize(
    "text",
    [
        "_target_: training.lightning.Model\n",
        "file: lightning.log\n",
        "folder: runs/lightning.pytorch.old\n",
        "note: as lightning.pytorch does it\n",
        "lightning.max_epochs: 3\n",
    ],
)
def test_other_values_stay(text: str) -> None:
    assert unified({"c.yaml": text})[0].edits == {}


def test_a_package_of_the_tree_with_that_name_is_not_the_installed_one() -> None:
    files: dict[str, str | bytes] = {
        "lightning/__init__.py": "class Trainer: ...\n",
        "use.py": "import lightning\nfrom lightning import Trainer\n",
        "c.yaml": "_target_: lightning.Trainer\n",
    }
    assert unified(files)[0].edits == {}


def test_a_package_of_that_name_beside_a_script_is_what_the_script_finds() -> None:
    files: dict[str, str | bytes] = {
        "training/lightning/__init__.py": "",
        "training/lightning/model.py": "M = 1\n",
        "training/train.py": "from lightning.model import M\nfrom lightning.pytorch import Trainer\n",
    }
    after = unified(files)[0].read("training/train.py").decode()
    assert after == "from lightning.model import M\nfrom pytorch_lightning import Trainer\n"


def test_a_module_of_a_package_does_not_see_its_neighbours_by_bare_name() -> None:
    files: dict[str, str | bytes] = {
        "models/__init__.py": "",
        "models/lightning/__init__.py": "",
        "models/base.py": "import lightning as pl\nfrom .lightning import x\n",
    }
    after = unified(files)[0].read("models/base.py").decode()
    assert after == "import pytorch_lightning as pl\nfrom .lightning import x\n"


def test_the_cells_of_a_notebook_are_one_program() -> None:
    texts = ["%matplotlib inline\nimport lightning", "lightning.pytorch.Trainer()", "import lightning as L", "L.Fabric"]
    cells = [{"cell_type": "code", "metadata": {}, "outputs": [], "source": t} for t in texts]
    raw = json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5})
    after = json.loads(unified({"n.ipynb": raw})[0].read("n.ipynb"))
    assert [c["source"] for c in after["cells"]] == [
        "%matplotlib inline\nimport pytorch_lightning",
        "pytorch_lightning.Trainer()",
        "import pytorch_lightning as L, lightning_fabric",
        "lightning_fabric.Fabric",
    ]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("import pytorch_lightning as pl\n", "import lightning.pytorch as pl\n"),
        ("import pytorch_lightning\npytorch_lightning.A\n", "import lightning.pytorch\nlightning.pytorch.A\n"),
        (
            "from pytorch_lightning.callbacks import A\nimport lightning_fabric\n",
            "from lightning.pytorch.callbacks import A\nimport lightning.fabric\n",
        ),
    ],
)
def test_the_other_way_round(before: str, after: str) -> None:
    assert rewritten(before, **{"from": "pytorch_lightning", "to": "lightning"}) == after


def test_any_two_packages() -> None:
    before = "import old\nimport old.sub\nold.sub.f(old.g)\n"
    assert rewritten(before, **{"from": "old", "to": "new"}) == "import new\nimport new.sub\nnew.sub.f(new.g)\n"


def test_bytes_around_the_import_are_kept() -> None:
    before = "\ufeff# ünï \r\nimport lightning as pl  \r\nx = 'é'".encode()
    assert unified({"m.py": before})[0].read("m.py") == before.replace(b"import l", b"import pytorch_l")


def test_a_file_that_does_not_parse_is_reported_and_left() -> None:
    tree, outcome = unified({"m.py": "import lightning\ndef (\n", "n.ipynb": "not json: import lightning"})
    assert tree.edits == {}
    assert [(f.level, f.path) for f in outcome.findings] == [("warning", "m.py"), ("warning", "n.ipynb")]


def test_requirements_are_for_a_person_to_look_at() -> None:
    files: dict[str, str | bytes] = {
        "requirements.txt": "lightning>=2\n",
        "environment.yml": "- lightning=2\n",
        "pyproject.toml": 'dependencies = ["pytorch-lightning"]\n',
    }
    tree, outcome = unified(files)
    assert tree.edits == {}
    assert [f.path for f in outcome.findings if f.level == "note"] == ["environment.yml", "requirements.txt"]


@pytest.mark.parametrize(
    ("line", "level", "sentence"),
    [
        ('logging.getLogger("pytorch_lightning").setLevel(0)', "note", "the string 'pytorch_lightning'"),
        ('warnings.filterwarnings("ignore", module=r"pytorch_lightning\\..*")', "note", "the string"),
        ('warnings.filterwarnings("ignore", module="pytorch_lightning.trainer.*")', "note", "the string"),
        ('sys.modules["pytorch_lightning"]', "warning", "nothing is in sys.modules as 'pytorch_lightning' any more"),
        ('m = __import__("pytorch_lightning")', "warning", "__import__ returns the top of a dotted name"),
        ('m = __import__("pytorch_lightning.callbacks")', "warning", "__import__ returns the top of a dotted name"),
    ],
)
def test_a_string_that_names_the_package_stays_and_is_told(line: str, level: str, sentence: str) -> None:
    tree, outcome = unified({"m.py": f"import pytorch_lightning as pl\n{line}\n"}, **{"from": "pytorch_lightning", "to": "lightning.pytorch"})  # fmt: skip
    assert tree.read("m.py").decode() == f"import lightning.pytorch as pl\n{line}\n"
    told = [f for f in outcome.findings if f.level != "change"]
    assert [(f.level, f.line, f.message.startswith(f"left: {sentence}")) for f in told] == [(level, 2, True)]


def test_a_string_that_is_something_else_is_not_told() -> None:
    text = '"""lightning"""\nimport lightning\nopen("lightning.log")\nx = cfg["lightning.max_epochs"]\ny = "lightning is fast"\n'
    assert [f.line for f in unified({"m.py": text})[1].findings if f.level != "change"] == []


def test_dunder_import_of_a_name_without_dots_follows() -> None:
    assert rewritten('m = __import__("lightning")\n') == 'm = __import__("pytorch_lightning")\n'
