"""The old tree, taken apart by the shipped plan, for real: it imports, answers under its old names, trains to the same bits
as before, and loads the checkpoints of before.
"""

from __future__ import annotations

import ast
import json
import os
from pathlib import Path

import pytest

from legacy import read, write_ckpt
from legacy.checkpoint.records import Global
from tests.legacy.test_monolith_runs import FAKES, MONOLITH, SCRIPT, options, python, write_tree
from tests.migrated import migrated_tree
from tests.once import once
from tests.visioncore.run.forks import Forks

ROOT = Path(__file__).parents[1]
HOMES = {
    "MultiDatasetModel": "training.lightning.multidataset_model",
    "MultiDatasetDM": "training.lightning.multidataset_dm",
    "cast_stim": "training.lightning.multidataset_dm",
    "Float32View": "training.lightning.multidataset_dm",
    "group_collate": "training.lightning.multidataset_dm",
    "ContrastWeightedSampler": "training.samplers",
    "Heartbeat": "training.callbacks",
    "EpochHeartbeat": "training.callbacks",
    "CurriculumCallback": "training.callbacks",
    "LinearWarmupCosineAnnealingLR": "training.schedulers",
}
PROGRAM = "training/train_ddp_multidataset.py"


@pytest.fixture(scope="module")
def migrated(tmp_path_factory):
    return migrated_tree(tmp_path_factory)


@pytest.fixture(scope="session")
def forks():
    """With the Lightning that the scripts train with. The other one is found as each tree has it, whose folders have its name, too."""
    with Forks("pytorch_lightning") as made:
        yield made


def forked(forks, command, folder, path):
    """As `python`, without the seconds that a start takes."""
    done = forks.run(command, folder, {"PYTHONPATH": os.pathsep.join(map(str, path))})
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-5000:]
    return done


def program(folder, text):
    (folder / "program.py").write_text(text)
    return folder / "program.py"


@pytest.fixture(scope="module")
def runs(forks, migrated, tmp_path_factory):
    """Old and migrated script, trained on the same sessions by the same options."""
    specs = [
        options("warmup", "--lr_scheduler", "cosine_warmup", "--warmup_epochs", "1"),
        options("curriculum", "--enable_curriculum", "--core_lr_scale", "0.5"),
        options("pc", "--lr_scheduler", "step", model="pc"),
    ]

    def make(folder):
        for name, script, tree in (("old", SCRIPT, MONOLITH), ("new", migrated / PROGRAM, migrated)):
            root = write_tree(folder / name)
            (root / "runs.json").write_text(json.dumps(specs))
            forked(forks, [FAKES / "run_on_cpu.py", script, "runs.json", "out.json"], root, [tree, FAKES])

    folder = once(tmp_path_factory, "old-and-migrated", make)
    return {name: (folder / name, json.loads((folder / name / "out.json").read_text())) for name in ("old", "new")}


def test_every_definition_is_the_same_text_in_its_new_home(migrated):
    old = {n.name: n for n in ast.parse(SCRIPT.read_text()).body if hasattr(n, "name")}
    for name, module in HOMES.items():
        text = (migrated / (module.replace(".", "/") + ".py")).read_text()
        new = next(n for n in ast.parse(text).body if getattr(n, "name", "") == name)
        if name != "MultiDatasetModel":  # it takes the NaN fix over
            assert ast.get_source_segment(text, new) == ast.get_source_segment(SCRIPT.read_text(), old[name])


def test_the_entry_script_is_the_command_line_and_nothing_else(migrated):
    text = (migrated / PROGRAM).read_text()
    assert len(text.splitlines()) <= 220
    defined = [n.name for n in ast.parse(text).body if isinstance(n, ast.FunctionDef | ast.ClassDef)]
    assert defined == ["main"]


def test_the_old_path_and_the_packages_give_the_same_objects_as_the_new_homes(forks, migrated, tmp_path):
    lines = [
        f"from {module} import {name} as new; print(getattr(old, {name!r}) is new)" for name, module in HOMES.items()
    ]
    lines += [
        "from training.lightning import MultiDatasetDM as data, MultiDatasetModel as model",
        "print(data is old.MultiDatasetDM, model is old.MultiDatasetModel, model.__module__)",
    ]
    text = "\n".join(["import training.train_ddp_multidataset as old", *lines])
    told = forked(forks, [program(tmp_path, text)], tmp_path, [migrated, FAKES]).stdout.split()
    assert told == ["True"] * (len(HOMES) + 2) + ["training.lightning.multidataset_model"]


@pytest.mark.parametrize(
    ("arguments", "folder"),
    [(["train_ddp_multidataset.py"], "training"), (["-m", "training.train_ddp_multidataset"], ".")],
    ids=["from its own folder", "as a module"],
)
def test_help(migrated, arguments, folder):
    """From a start of Python on: a folder of the tree must stand in the way of nothing that the script imports."""
    said = python([*arguments, "--help"], migrated / folder, [FAKES]).stdout
    assert "--dataset_configs_path" in said and "--gradient_clip_val" in said


def test_help_by_path(forks, migrated):
    said = forked(forks, [PROGRAM, "--help"], migrated, [FAKES]).stdout
    assert "--dataset_configs_path" in said and "--gradient_clip_val" in said


@pytest.mark.parametrize("name", ["warmup", "curriculum", "pc"])
def test_training_is_the_same_bit_for_bit(runs, name):
    import torch

    (old_root, old), (new_root, new) = runs["old"], runs["new"]
    assert old[name]["end"] == new[name]["end"] == "ok", new[name]["end"]
    for key in old[name].keys() - {"out"}:
        assert old[name][key] == new[name][key], key
    a, b = (torch.load(r / "checkpoints" / name / "last.ckpt", weights_only=True) for r in (old_root, new_root))
    assert a["hyper_parameters"] == b["hyper_parameters"]
    assert a["state_dict"].keys() == b["state_dict"].keys()
    assert all(torch.equal(a["state_dict"][k], b["state_dict"][k]) for k in a["state_dict"])
    assert a["lr_schedulers"] == b["lr_schedulers"] and a["global_step"] == b["global_step"]
    states = a["optimizer_states"][0]["state"], b["optimizer_states"][0]["state"]
    assert all(torch.equal(states[0][i]["exp_avg_sq"], states[1][i]["exp_avg_sq"]) for i in states[0])


SAVE = """
import sys, torch, lightning
from models.build import build_model
from models.lightning import MultiDatasetPLCore, PLCoreVisionModel

config = {"model_type": "v1", "n_units": 4, "output_activation": "softplus",
          **{k: {"type": "tiny", "params": {}} for k in ("adapter", "frontend", "convnet")}}
torch.manual_seed(0)
single = PLCoreVisionModel(build_model, config, optim_kwargs={"lr": 1e-2}, cids=[0, 1, 2, 3])
multi = MultiDatasetPLCore(build_model, {**config, "model_type": "v1multi"},
                           [{"session": n, "cids": [0, 1]} for n in ("a", "b")], optim_kwargs={"lr": 1e-2})
for name, module in (("single", single), ("multi", multi)):
    torch.save({"state_dict": module.state_dict(), "hyper_parameters": dict(module.hparams),
                "pytorch-lightning_version": "2.4.0"}, f"{name}.ckpt")
"""
LOAD = """
import sys, warnings, torch
warnings.simplefilter("ignore")
from models.checkpoint import load_model_from_checkpoint
for path in sys.argv[1:]:
    model = load_model_from_checkpoint(path)
    saved = torch.load(path, weights_only=False)["state_dict"]
    assert saved.keys() == model.state_dict().keys()
    assert all(torch.equal(v, saved[k]) for k, v in model.state_dict().items())
    print(type(model).__name__)
"""


@pytest.fixture(scope="module")
def old_checkpoints(forks, tmp_path_factory):
    pytest.importorskip("lightning")

    def make(root):
        forked(forks, [program(root, SAVE)], root, [MONOLITH, FAKES])

    return once(tmp_path_factory, "old-checkpoints", make)


@pytest.fixture(params=["with the toolkit", "by itself"])
def path(request, migrated, tmp_path):
    """Import roots: the tree's own, where the package `legacy` is installed and where another of that name hides it."""
    if request.param == "with the toolkit":
        return [migrated, FAKES]
    (tmp_path / "legacy.py").touch()
    return [tmp_path, migrated, FAKES]


def test_checkpoints_of_before_load_as_what_they_hold(forks, migrated, old_checkpoints, path, tmp_path):
    files = [old_checkpoints / f"{name}.ckpt" for name in ("single", "multi")]
    done = forked(forks, [program(tmp_path, LOAD), *files], migrated, path)
    assert done.stdout.split()[-2:] == ["PLCoreVisionModel", "MultiDatasetPLCore"]


def test_the_toolkit_reads_what_torch_can_no_longer_import(forks, migrated, old_checkpoints, tmp_path):
    import torch

    old = tmp_path / "old.ckpt"
    checkpoint = read(old_checkpoints / "single.ckpt")
    checkpoint.root["hyper_parameters"]["model_class"] = Global("DataYatesV1.models.modules.models", "ModularV1Model")
    write_ckpt(checkpoint, checkpoint.root, old, {}, allow=["DataYatesV1.models.modules.models.ModularV1Model"])
    with pytest.raises(ModuleNotFoundError, match="DataYatesV1"):
        torch.load(old, weights_only=False)
    load = LOAD.replace("torch.load(path, weights_only=False)", "__import__('legacy').load_checkpoint(path)")
    done = forked(forks, [program(tmp_path, load), old], migrated, [migrated, FAKES])
    assert done.stdout.split()[-1] == "PLCoreVisionModel"


class Runs:
    """What makes a folder when it is unpickled."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


def test_a_file_that_would_run_code_is_refused(forks, migrated, tmp_path):
    import torch

    torch.save({"state_dict": {}, "of an unknown kind": Runs(tmp_path / "made")}, tmp_path / "evil.ckpt")
    loads = program(
        tmp_path,
        """if True:
        import sys
        from models.checkpoint import load_model_from_checkpoint
        try:
            load_model_from_checkpoint(sys.argv[1])
        except ValueError as error:
            print(error)
    """,
    )
    told = forked(forks, [loads, tmp_path / "evil.ckpt"], migrated, [migrated, FAKES]).stdout
    assert "names posix.mkdir, which loading it would run" in told and not (tmp_path / "made").exists()


def test_the_old_classes_warn_at_the_line_that_uses_them(forks, migrated, tmp_path):
    always = "import warnings; warnings.simplefilter('always', DeprecationWarning)"
    (tmp_path / "mine.py").write_text(f"{always}; import models.lightning\nmodels.lightning.PLCoreVisionModel\n")
    done = forked(forks, ["mine.py"], tmp_path, [migrated, FAKES])
    assert done.stderr.count("mine.py:2: DeprecationWarning") == 1
    assert "Use training.lightning instead" in done.stderr
