"""
The old tree stays as it is: file list, bytes, modes, and the shape that the migration's tests count on.

A deliberate change means a new checksum file:
    cd legacy/monolith && find . -type f | sed 's|^./||' | LC_ALL=C sort | xargs -d '\\n' sha256sum > ../MONOLITH.sha256
"""

import ast
import difflib
import hashlib
import json
import os
import re
from pathlib import Path

import pytest

LEGACY = Path(__file__).parents[2] / "legacy"
MONOLITH = LEGACY / "monolith"
SUMS = LEGACY / "MONOLITH.sha256"
SCRIPT = MONOLITH / "training" / "train_ddp_multidataset.py"
JAKE = MONOLITH / "jake" / "multidataset_ddp"
EXPERIMENTS = MONOLITH / "experiments"
SNAPSHOT = "logs/wandb/run-20251008_120000-abcd1234/files/code/training/train_ddp_multidataset.py"

# first and last line, as the action plan gives them
DEFINITIONS = {
    "LinearWarmupCosineAnnealingLR": (34, 51),
    "Heartbeat": (75, 94),
    "EpochHeartbeat": (96, 127),
    "CurriculumCallback": (157, 167),
    "cast_stim": (172, 174),
    "Float32View": (176, 186),
    "group_collate": (188, 192),
    "ContrastWeightedSampler": (198, 343),
    "MultiDatasetDM": (348, 488),
    "MultiDatasetModel": (493, 903),
    "main": (908, 1015),
}
REQUIRED = object()
# name: (type, default, choices)
OPTIONS = {
    "--model_config": ("str", REQUIRED, None),
    "--dataset_configs_path": ("str", REQUIRED, None),
    "--max_datasets": ("int", 30, None),
    "--batch_size": ("int", 64, None),
    "--learning_rate": ("float", 1e-4, None),
    "--core_lr_scale": ("float", 1.0, None),
    "--weight_decay": ("float", 1e-5, None),
    "--max_epochs": ("int", 100, None),
    "--precision": ("str", "bf16", ["16", "bf16", "32", "16-mixed", "bf16-mixed"]),
    "--num_gpus": ("int", 2, None),
    "--num_workers": ("int", 16, None),
    "--steps_per_epoch": ("int", 1000, None),
    "--project_name": ("str", "multidataset", None),
    "--experiment_name": ("str", None, None),
    "--checkpoint_dir": ("str", "./checkpoints", None),
    "--lr_scheduler": ("str", "none", ["none", "step", "plateau", "cosine", "cosine_warmup"]),
    "--warmup_epochs": ("int", 5, None),
    "--enable_curriculum": ("flag", False, None),
    "--pretrained_checkpoint": ("str", None, None),
    "--freeze_vision": ("flag", False, None),
    "--compile": ("flag", False, None),
    "--gradient_clip_val": ("float", 1.0, None),
    "--accumulate_grad_batches": ("int", 1, None),
    "--early_stopping_patience": ("int", 10, None),
    "--early_stopping_min_delta": ("float", 0.0, None),
}


def recorded() -> dict[str, str]:
    lines = (line.split("  ", 1) for line in SUMS.read_text().splitlines())
    return {name: digest for digest, name in lines}


def present() -> list[str]:
    files = (p.relative_to(MONOLITH) for p in MONOLITH.rglob("*") if p.is_file())
    return sorted(str(p) for p in files if "__pycache__" not in p.parts)


def test_the_files_are_those_on_record():
    missing = sorted(set(recorded()) - set(present()))
    extra = sorted(set(present()) - set(recorded()))
    assert not missing and not extra, f"legacy/monolith: missing {missing}, not on record {extra}"
    assert list(recorded()) == sorted(recorded()), f"{SUMS.name} is not sorted"


@pytest.mark.parametrize("name", recorded() if SUMS.exists() else [])
def test_bytes(name):
    digest = hashlib.sha256((MONOLITH / name).read_bytes()).hexdigest()
    assert digest == recorded()[name], f"legacy/monolith/{name} is not as it was frozen (see {SUMS.name})"


@pytest.mark.skipif(os.name == "nt", reason="no modes")
def test_modes():
    for name in present():
        path = MONOLITH / name
        wanted = path.suffix in (".sh", ".py") and path.read_bytes().startswith(b"#!") and "wandb" not in path.parts
        assert bool(path.stat().st_mode & 0o100) == wanted, f"{name}: executable should be {wanted}"


def test_definitions_stand_in_order():
    tree = ast.parse(SCRIPT.read_text())
    found = {n.name: (n.lineno, n.end_lineno) for n in tree.body if isinstance(n, ast.ClassDef | ast.FunctionDef)}
    assert list(found) == list(DEFINITIONS)
    assert found == DEFINITIONS
    assert len(SCRIPT.read_text().splitlines()) == 1018


def test_commented_code_stands_where_the_plan_says():
    lines = SCRIPT.read_text().splitlines()
    assert lines[129].startswith("# class PrintTimings(pl.Callback):")
    assert all(line.startswith("#") for line in lines[129:154]) and not lines[128] and not lines[154]
    assert lines[507].strip().startswith("# self.model = torch.compile(")
    assert lines[677].strip().startswith("# with torch.autocast(")
    for n in (507, 677):  # prose on both sides, to be kept
        assert lines[n - 1].strip().startswith("# ") and lines[n + 1].strip().startswith("# ")
    assert lines[942].strip() == "# passthroughs (ignored but kept for compatibility)"
    assert lines[943].strip() == 'p.add_argument("--gradient_clip_val",      type=float, default=1.0)'
    assert lines[944].strip() == 'p.add_argument("--accumulate_grad_batches",type=int,   default=1)'


def test_module_level_statement_between_imports():
    body = ast.parse(SCRIPT.read_text()).body
    at = next(i for i, n in enumerate(body) if isinstance(n, ast.Expr) and "set_float32" in ast.unparse(n))
    assert isinstance(body[at - 1], ast.Import) and isinstance(body[at + 1], ast.Import)
    first_class = next(i for i, n in enumerate(body) if isinstance(n, ast.ClassDef))
    assert any(isinstance(n, ast.ImportFrom) for n in body[first_class:]), "imports after the first class"
    guarded = [n for n in body if isinstance(n, ast.Try)]
    assert len(guarded) == 1 and "regularizers" in ast.unparse(guarded[0].body[0])


def options(script: Path) -> dict:
    main = next(n for n in ast.parse(script.read_text()).body if getattr(n, "name", "") == "main")
    found = {}
    for call in ast.walk(main):
        if not (isinstance(call, ast.Call) and getattr(call.func, "attr", "") == "add_argument"):
            continue
        kw = {k.arg: k.value for k in call.keywords}
        flag = "action" in kw and ast.literal_eval(kw["action"]) == "store_true"
        required = "required" in kw and ast.literal_eval(kw["required"])
        default = False if flag else REQUIRED if required else ast.literal_eval(kw["default"])
        choices = ast.literal_eval(kw["choices"]) if "choices" in kw else None
        found[call.args[0].value] = ("flag" if flag else kw["type"].id, default, choices)
    return found


def test_options():
    assert options(SCRIPT) == OPTIONS
    assert list(options(SCRIPT)) == list(OPTIONS)
    assert options(JAKE / "train_ddp_multidataset.py") == OPTIONS


def test_the_diverged_copy_differs_in_exactly_four_places():
    old = SCRIPT.read_text().splitlines()
    new = (JAKE / "train_ddp_multidataset.py").read_text().splitlines()
    blocks = [op for op in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes() if op[0] != "equal"]
    # the NaN handling is one place: everything of it lies within on_validation_epoch_end
    places: dict[str, list] = {}
    for tag, a, b, c, d in blocks:
        before, after = old[a:b], new[c:d]
        if before == ["from models.losses import MaskedLoss, PoissonBPSAggregator"]:
            assert after == ["from DataYatesV1.models.losses import MaskedLoss, PoissonBPSAggregator"]
            places["losses"] = after
        elif "alpha" in "".join(before):
            assert [line.replace("alpha", "α") for line in before] == after
            places["α"] = after
        elif tag == "insert" and all(line.lstrip().startswith("#") or not line for line in after):
            assert any("def _step_fused" in line for line in after) and 25 <= len(after) <= 35
            places["commented method"] = after
        else:
            name = enclosing(new, c + 1)
            assert name == "MultiDatasetModel.on_validation_epoch_end", (name, before, after)
            places.setdefault("NaN", []).extend(after)
    assert set(places) == {"losses", "α", "commented method", "NaN"}
    assert "valid = ~torch.isnan(bps)" in "\n".join(places["NaN"])
    assert "isnan" not in SCRIPT.read_text()


def enclosing(lines: list[str], lineno: int) -> str:
    tree, names = ast.parse("\n".join(lines)), []
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.lineno <= lineno <= node.end_lineno:
            names.append((node.lineno, node.name))
    return ".".join(name for _, name in sorted(names))


def test_copies():
    for name in ("", "_backimage", "_cones", "_gaborium"):
        script = f"run_all_models{name}.sh"
        assert (EXPERIMENTS / script).read_bytes() == (JAKE / script).read_bytes(), f"{script}: the pair differs"
    script = "run_all_models_pretraining.sh"
    assert (EXPERIMENTS / script).read_bytes() != (JAKE / script).read_bytes(), f"{script}: the pair must differ"
    assert (MONOLITH / "training/regularizers.py").read_bytes() == (JAKE / "regularizers.py").read_bytes()
    assert SCRIPT.read_bytes() == (MONOLITH / SNAPSHOT).read_bytes(), "the snapshot in logs/ is of this script"
    assert (EXPERIMENTS / "run_all_models.sh.backup").read_bytes() == b""


def test_shell_scripts_still_call_the_old_path():
    for path in [*EXPERIMENTS.glob("*.sh"), *JAKE.glob("*.sh")]:
        text = path.read_text()
        assert "training/train_ddp_multidataset.py" not in text
        assert re.search(r"^ +# python train_ddp_multidataset\.py \\\n( +#     --.*\\\n)+\n", text, re.M), path.name
        if "pretraining" in path.name:
            assert text.count('_CMD="python train_ddp_multidataset.py \\\n') == 2 and text.count("eval $") == 2
        else:
            live = re.search(r"^    python train_ddp_multidataset\.py \\\n((?:        --.*\\\n)+)(.*\n)", text, re.M)
            flags = live[0].count("--")
            assert flags in (21, 22), path.name  # the cones script ends in a continued comment
            passed = set(re.findall(r"^        (--\w+)", live[0], re.M))
            assert passed <= set(OPTIONS) and len(passed) == 21


def test_files_that_no_python_of_ours_parses():
    with pytest.raises(SyntaxError):
        ast.parse((JAKE / "gratings_analysis_wip.py").read_text())
    assert '{row["type"]' in (JAKE / "print_leaderboard.py").read_text()
    broken = {"gratings_analysis_wip.py", "print_leaderboard.py"}
    for path in MONOLITH.rglob("*.py"):
        if path.name not in broken:
            ast.parse(path.read_text(), str(path))


def test_importers_of_the_old_names():
    text = {p.name: p.read_text() for p in JAKE.glob("*.py")}
    plain = "from train_ddp_multidataset import MultiDatasetModel"
    assert plain in text["eval_stack_multidataset.py"] and plain in text["model_load_eval_stack_multidataset.py"]
    assert text["eval_stack_multidataset.py"].startswith("#%%")
    assert "from eval_stack_multidataset import load_model" in text["compare_models.py"]
    gone = "from jake.multidataset_ddp.train_ddp_multidataset import MultiDatasetDDPModule"
    assert gone in text["evaluate_trained_model.py"] and "class MultiDatasetDDPModule" not in "".join(text.values())
    assert "    from train_ddp_multidataset import ContrastWeightedSampler" in text["sampler_contrast_check.py"]
    lightning = "from DataYatesV1.models.lightning import PLCoreVisionModel"
    assert lightning in text["model_config_test_forward_multi.py"]
    assert lightning in (MONOLITH / "scripts/load_single_session_model.py").read_text()
    init = (MONOLITH / "models/lightning/__init__.py").read_text()
    assert init == "from .core import PLCoreVisionModel\nfrom .multidataset import MultiDatasetPLCore\n"
    for name in ("checkpoint.py", "model_manager.py"):
        assert "from .lightning import PLCoreVisionModel" in (MONOLITH / "models" / name).read_text()
    assert not (MONOLITH / "training/__init__.py").exists()


def test_strings_that_name_old_paths():
    hydra = (MONOLITH / "configs/hydra_train.yaml").read_text()
    for name in (
        "_target_: training.train_ddp_multidataset.MultiDatasetModel",
        "_target_: training.train_ddp_multidataset.MultiDatasetDM",
        "checkpoint_class: models.lightning.core.PLCoreVisionModel",
    ):
        assert name in hydra
    notebook = json.loads((MONOLITH / "notebooks/inspect_training.ipynb").read_text())
    assert notebook["nbformat"] == 4 and 4 <= len(notebook["cells"]) <= 6
    source = ["".join(c["source"]) for c in notebook["cells"] if c["cell_type"] == "code"]
    assert any('sys.path.insert(0, "../training")' in s for s in source)
    assert any("from training.train_ddp_multidataset import MultiDatasetDM, cast_stim" in s for s in source)
    assert any(c.get("outputs") for c in notebook["cells"])
