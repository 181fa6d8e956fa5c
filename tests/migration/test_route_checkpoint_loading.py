"""route-checkpoint-loading: real pickles of every kind go where they belong, told by what they hold and never by their path."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from migration.codemods import Outcome
from migration.errors import BadInput
from migration.tree import Overlay
from tests.migration.support import overlay, plan_of, run, write_tree

LOADER = "models/checkpoint.py"
STEP: dict[str, Any] = {"kind": "route-checkpoint-loading", "file": LOADER, "function": "load_model"}
# The part of torch that matters here: a checkpoint is a pickle, and functions in it are refused unless one says otherwise.
TORCH = """\
import pickle


def save(what, path):
    with open(path, "wb") as file:
        pickle.dump(what, file)


def load(path, map_location=None, weights_only=True):
    with open(path, "rb") as file:
        text = file.read()
    if weights_only and b"build_model" in text:
        raise pickle.UnpicklingError("Unsupported global")
    return pickle.loads(text)
"""
OLD = """\
class {name}:
    def __init__(self, model_class=None, model_config=None, model=None, optim_kwargs=None, cids=None{more}):
        self.built = model_class(model_config)
        self.cids = cids

    def load_state_dict(self, state, strict=True):
        self.loaded = (dict(state), strict)
"""
BODY = """\
import torch


def load_model(path, config=None, strict=True, map_location=None):
    checkpoint = torch.load(path, map_location=map_location)
    return ("own way", sorted(checkpoint))
"""
FILES: dict[str, str | bytes] = {
    "torch.py": TORCH,
    "legacy.py": "",  # a tree's own, which is not the one that reads checkpoints; with that one: tests/test_migrated_monolith.py
    "models/__init__.py": "",
    "models/build.py": "def build_model(config):\n    return ('built', config)\n",
    "models/old/__init__.py": "",
    "models/old/core.py": OLD.format(name="PLCoreVisionModel", more=""),
    "models/old/multi.py": OLD.format(name="MultiDatasetPLCore", more=", dataset_configs=None"),
    LOADER: BODY,
}
ALL_OLD = {"model_class", "model_config", "optim_kwargs", "eval_modules", "viz_n_epochs"}
OF_SCRIPT = {"model_cfg", "cfg_dir", "lr", "wd", "max_ds"}


def routed(text: str | bytes = BODY, *others: dict[str, Any], **step: Any) -> tuple[Overlay, Outcome]:
    """The tree after the step, which a second time has nothing to do."""
    tree = overlay({**FILES, LOADER: text})
    plan = plan_of({**STEP, **step}, *others)
    outcome = run(tree, plan)["1"]
    once = dict(tree.edits)
    assert run(tree, plan)["1"].status == "already done"
    assert tree.edits == once
    return tree, outcome


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return on_disk(routed()[0], tmp_path)


def on_disk(tree: Overlay, folder: Path) -> Path:
    return write_tree(folder, {path: tree.read(path) for path in tree.paths()})


LOAD = """
import json, sys, warnings
from argparse import Namespace
from models.build import build_model
import torch
torch.save(eval(sys.argv[1]), "any name.ckpt")
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    try:
        from models.checkpoint import load_model
        found = eval(sys.argv[2])
        found = [type(found).__name__, found if isinstance(found, tuple) else vars(found)]
    except Exception as error:
        found = [type(error).__name__, str(error)]
print(json.dumps([*found, [[w.category.__name__, w.filename, str(w.message)] for w in caught]]))
"""


def load(root: Path, checkpoint: str, call: str = "load_model('any name.ckpt')") -> list[Any]:
    """(class, what it holds, warnings) of what a fresh interpreter loads from a checkpoint given as an expression."""
    command = [sys.executable, "-B", "-c", LOAD, checkpoint, call]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: list[Any] = json.loads(done.stdout)
    return found


def hyper_parameters(names: set[str], **values: str) -> str:
    """An expression for hyper-parameters of these names, None where no value is given."""
    return "{" + ", ".join(f"{n!r}: {values.get(n)}" for n in sorted({*names, *values})) + "}"


def checkpoint(parameters: str) -> str:
    return f"{{'state_dict': {{'w': 1}}, 'hyper_parameters': {parameters}}}"


@pytest.mark.parametrize(
    ("name", "more"), [("PLCoreVisionModel", {"cids": "[1, 2]"}), ("MultiDatasetPLCore", {"dataset_configs": "['d']"})]
)
def test_a_checkpoint_of_an_old_class_loads_into_that_class_with_a_warning(
    tmp_path: Path, name: str, more: dict[str, str]
) -> None:
    # A function that builds the model from the file's path in another way shows that it is not asked.
    tree, _ = routed(BODY.replace('("own way"', 'PLCoreVisionModel.load_from_checkpoint("own way"'))
    parameters = hyper_parameters(ALL_OLD, model_class="build_model", model_config="{'k': 3}", **more)
    kind, held, warned = load(on_disk(tree, tmp_path), checkpoint(parameters))
    assert (kind, held["built"], held["loaded"]) == (name, ["built", {"k": 3}], [{"w": 1}, True])
    assert [(w[0], w[1]) for w in warned] == [("DeprecationWarning", "<string>")]
    assert f"any name.ckpt holds a {name}" in warned[0][2]


def test_what_the_caller_gives_goes_before_what_was_saved(root: Path) -> None:
    parameters = hyper_parameters({*ALL_OLD, "dataset_configs"}, model_class="build_model", model_config="1")
    _, held, _ = load(root, checkpoint(parameters), "load_model('any name.ckpt', config=2, strict=False)")
    assert (held["built"], held["loaded"][1]) == (["built", 2], False)


def test_a_class_saved_around_a_ready_network_is_built_anew(root: Path) -> None:
    parameters = hyper_parameters({*ALL_OLD, "dataset_configs"}, model_config="'c'")
    assert load(root, checkpoint(parameters))[1]["built"] == ["built", "c"]


def test_hyper_parameters_may_be_a_namespace(root: Path) -> None:
    parameters = hyper_parameters({*ALL_OLD, "dataset_configs"}, model_class="build_model")
    assert load(root, checkpoint(f"Namespace(**{parameters})"))[0] == "MultiDatasetPLCore"


def test_a_checkpoint_of_the_script_says_how_it_is_loaded(tmp_path: Path) -> None:
    extract = {
        "kind": "extract-symbols",
        "source": "t/train.py",
        "target": "t/model.py",
        "symbols": ["MultiDatasetModel"],
    }
    tree = overlay({**FILES, "t/train.py": "class MultiDatasetModel: ...\n"})
    run(tree, plan_of(STEP, extract))
    kind, said, _ = load(on_disk(tree, tmp_path), checkpoint(hyper_parameters(OF_SCRIPT)))
    assert kind == "ValueError"
    assert said.endswith("load it with t.MultiDatasetModel.load_from_checkpoint")


@pytest.mark.parametrize(
    "what",
    [
        "{'state_dict': {'w': 1}}",
        "{'state_dict': {}, 'hyper_parameters': None}",
        checkpoint(hyper_parameters(ALL_OLD - {"viz_n_epochs"})),
        checkpoint(hyper_parameters(set(), model_class="build_model")),
        "{}",
    ],
)
def test_anything_else_goes_the_way_it_went(root: Path, what: str) -> None:
    kind, held, warned = load(root, what)
    assert (kind, held[0], warned) == ("tuple", "own way", [])


def test_without_a_way_of_its_own_for_the_class_the_function_keeps_its_way_and_warns(root: Path) -> None:
    kind, held, warned = load(root, checkpoint(hyper_parameters(ALL_OLD, model_class="build_model")))
    assert (kind, held[0], len(warned)) == ("tuple", "own way", 1)


def test_the_old_classes_may_lie_where_no_package_is_shared(tmp_path: Path) -> None:
    files = {path.replace("models/old/", "attic/"): text for path, text in FILES.items()}
    tree = overlay({**files, "aa.py": "class PLCoreVisionModelOld: ...\n'class PLCoreVisionModel'\n"})
    run(tree, plan_of(STEP))
    parameters = hyper_parameters({*ALL_OLD, "dataset_configs"}, model_class="build_model")
    assert load(on_disk(tree, tmp_path), checkpoint(parameters))[0] == "MultiDatasetPLCore"


# -- what is written -------------------------------------------------------------------------------------------------------

QUESTION = (
    "    legacy = load_legacy(path, config=config, strict=strict, map_location=map_location)\n"
    "    if legacy is not None:\n        return legacy\n"
)


def test_the_question_comes_before_the_load() -> None:
    tree, outcome = routed()
    assert tree.read(LOADER).decode() == BODY.replace(
        "import torch\n", "import torch\nfrom .checkpoint_kind import load_legacy\n"
    ).replace("    checkpoint =", f"{QUESTION}    checkpoint =").replace(
        "map_location=map_location)\n    return", "map_location=map_location, weights_only=False)\n    return"
    )
    assert [f.level for f in outcome.findings] == ["behaviour", "change"]


@pytest.mark.parametrize(
    ("load", "after"),
    [
        ("torch.load(path)", "torch.load(path, weights_only=False)"),
        ("torch.load((path))", "torch.load((path), weights_only=False)"),
        (
            "torch.load(\n        path,  # where\n    )",
            "torch.load(\n        path, weights_only=False,  # where\n    )",
        ),
        ("torch.load(path, weights_only=False)", "torch.load(path, weights_only=False)"),
    ],
)
def test_the_load_says_that_it_trusts_the_file(load: str, after: str) -> None:
    text = f"import torch\n\n\ndef load_model(path):\n    checkpoint = {load}\n    return checkpoint\n"
    written = routed(text)[0].read(LOADER).decode()
    assert f"        return legacy\n    checkpoint = {after}\n    return checkpoint\n" in written
    compile(written, LOADER, "exec")


def test_a_load_that_trusts_nothing_is_left_and_reported() -> None:
    text = BODY.replace("map_location=map_location", "weights_only=True")
    tree, outcome = routed(text)
    assert b"torch.load(path, weights_only=True)" in tree.read(LOADER)
    assert [f.level for f in outcome.findings] == ["warning", "change"]


def test_every_load_of_the_function_is_asked_before_by_the_path_it_was_given() -> None:
    text = (
        "import torch\n\n\ndef load_model(path, config=None):\n    if config:\n        checkpoint = torch.load(path)\n"
        "    else:\n        with open(path) as f:\n            checkpoint = torch.load(f)\n    return checkpoint\n"
    )
    written = routed(text)[0].read(LOADER).decode()
    assert written.count("legacy = load_legacy(path, config=config)") == 2
    compile(written, LOADER, "exec")


def test_line_endings_and_byte_order_mark_are_kept() -> None:
    text = ("\ufeff# Lädt.\n" + BODY).replace("\n", "\r\n")
    written = routed(text.encode())[0].read(LOADER).decode()
    assert written.startswith("\ufeff# Lädt.\r\nimport torch\r\nfrom .checkpoint_kind")
    assert written.count("\n") == written.count("\r\n") == text.count("\n") + 4


@pytest.mark.parametrize(
    "head",
    ["#!/usr/bin/env python\n# Loads.\n\n\n", "'''Loads.'''\n", "'''Loads.'''\nfrom __future__ import annotations\n"],
)
def test_a_function_that_imports_torch_itself(head: str) -> None:
    text = (
        head
        + "def load_model(path):\n    import torch\n\n    checkpoint = torch.load(path)\n    return 1\n\n\nimport os\n"
    )
    written = routed(text)[0].read(LOADER).decode()
    assert written.startswith(head.rstrip("\n"))
    assert written.index("import load_legacy") < written.index("def load_model")
    compile(written, LOADER, "exec")


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        (
            {LOADER: BODY.replace("load_model", "load_modal")},
            r"does not define 'load_model' \(did you mean 'load_modal'",
        ),
        ({LOADER: BODY.replace("checkpoint = ", "return ")}, "has no statement like `checkpoint = torch.load"),
        ({LOADER: BODY.replace("    checkpoint =", "    if path: checkpoint =")}, "has to begin its line"),
        ({LOADER: "def (\n"}, "does not parse"),
        ({"models/checkpoint_kind.py": ""}, "checkpoint_kind.py is there already"),
        ({"models/old/multi.py": ""}, "no module of the tree defines MultiDatasetPLCore"),
    ],
)
def test_bad_input_gets_a_sentence(files: dict[str, str], sentence: str) -> None:
    with pytest.raises(BadInput, match=sentence):
        run(overlay({**FILES, **files}), plan_of(STEP))


def test_a_missing_file_gets_a_sentence() -> None:
    with pytest.raises(BadInput, match=r"field 'file': models/checkpoints\.py: no such file"):
        routed(file="models/checkpoints.py")
