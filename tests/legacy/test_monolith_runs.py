"""
The old tree is working code: its script trains, unedited, and every quirk on the list is really in it.

A small stand-in for the private package lies in `fakes/`. Each fixture is one process for all its checks, because starting
Python with torch costs more than the training does.
"""

import importlib.util
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.once import once

pytest.importorskip("torch")
pytest.importorskip("pytorch_lightning")

FAKES = Path(__file__).parent / "fakes"
MONOLITH = Path(__file__).parents[2] / "legacy" / "monolith"
SCRIPT = MONOLITH / "training" / "train_ddp_multidataset.py"
JAKE = MONOLITH / "jake" / "multidataset_ddp" / "train_ddp_multidataset.py"

MODEL = """
model_type: v1multi
output_activation: {activation}
lambda_pred: 0.2
adapter: {{type: {stage}}}
frontend: {{type: {stage}}}
convnet: {{type: {stage}}}
modulator: {{type: {modulator}, params: {{behavior_dim: 3}}}}
regularization:
  - {{name: sparse, type: l1, lambda: 1.0e-3, apply_to: ["readouts/features"]}}
  - {{name: narrow, type: proximal_clamp_positive, lambda: 1.5, apply_to: ["readouts/std"]}}
  - {{name: no_decay, type: l2, lambda: 0.0, apply_to: ["readouts/mean"]}}
"""
MODELS = {
    "model": {"activation": "softplus", "stage": "tiny", "modulator": "concat"},
    "pc": {"activation": "softplus", "stage": "tiny", "modulator": "pc"},
    "log": {"activation": "none", "stage": "tiny", "modulator": "concat"},
    "motor": {"activation": "softplus", "stage": "none", "modulator": "concat"},
}
SESSION = """
session: {name}
cids: {cids}
keys_lags: {{robs: 0, stim: [0, 1, 2, 3, 4], behavior: 0, dfs: 0}}
transforms:
  stim: {{source: stim, ops: [{{pixelnorm: {{}}}}, {{unsqueeze: 1}}], expose_as: stim}}
train_val_split: 0.8
synthetic: {synthetic}
"""

# what main always gives to the Trainer
FIXED = {
    "accelerator": "gpu",
    "limit_val_batches": 0.05,
    "log_every_n_steps": 50,
    "gradient_clip_val": 1.0,
    "accumulate_grad_batches": 1,
    "val_check_interval": 1.0,
    "enable_progress_bar": False,
}


def write_tree(root: Path) -> Path:
    for name, values in MODELS.items():
        (root / "configs").mkdir(parents=True, exist_ok=True)
        (root / "configs" / f"{name}.yaml").write_text(MODEL.format(**values))
    for folder, synthetic in {"sessions": "{}", "dead": "{mask: per_cell, dead_cell: 1}"}.items():
        (root / folder).mkdir()
        for name, n in {"Allen_2022-02-16": 4, "Logan_2020-01-10": 6}.items():
            text = SESSION.format(name=name, cids=list(range(n)), synthetic=synthetic)
            (root / folder / f"{name}.yaml").write_text(text)
        (root / folder / "base_120.yaml").write_text("not: a session\n")
    return root


def python(args, cwd, path):
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, path)), "PYTHONDONTWRITEBYTECODE": "1"}
    for name in ("LOCAL_RANK", "RANK", "WORLD_SIZE", "MASTER_PORT", "MASTER_ADDR", "NODE_RANK"):
        env.pop(name, None)
    done = subprocess.run(
        [sys.executable, *map(str, args)], cwd=cwd, env=env, capture_output=True, text=True, timeout=900
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-5000:]
    return done


def options(name, *more, model="model", sessions="sessions", epochs=2, lr="1e-2"):
    return {
        "name": name,
        "argv": [
            *("--model_config", f"configs/{model}.yaml", "--dataset_configs_path", sessions),
            *("--batch_size", "8", "--num_gpus", "1", "--num_workers", "0", "--precision", "32"),
            *("--steps_per_epoch", "3", "--max_epochs", str(epochs), "--learning_rate", lr),
            *("--experiment_name", name, *more),
        ],
    }


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The canonical script under every scheduler and flag, and the diverged copy with a cell without valid samples."""
    jake = options("dead_jake", sessions="dead", epochs=2)
    jake["script"] = str(JAKE)
    specs = [
        options("none", "--core_lr_scale", "0.1"),
        options("step", "--lr_scheduler", "step", epochs=1),
        options("cosine", "--lr_scheduler", "cosine", epochs=2),
        options("cosine_warmup", "--lr_scheduler", "cosine_warmup", "--warmup_epochs", "1"),
        options("plateau", "--lr_scheduler", "plateau", epochs=1),
        options("curriculum", "--enable_curriculum", epochs=1),
        options("dead_canonical", sessions="dead", epochs=3),
        options("bf16", "--precision", "bf16", epochs=1),
        options("half", epochs=1) | {"half": True},
        jake,
    ]
    derived = options("derived", epochs=0)
    derived["argv"] = derived["argv"][:-2]
    specs.append(derived)

    def make(root):
        write_tree(root)
        (root / "runs.json").write_text(json.dumps(specs))
        python([FAKES / "run_on_cpu.py", SCRIPT, "runs.json", "out.json"], root, [MONOLITH, FAKES])

    root = once(tmp_path_factory, "monolith-runs", make)
    return root, json.loads((root / "out.json").read_text())


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    def make(root):
        write_tree(root)
        python([FAKES / "probe_quirks.py", "out.json", root], root, [SCRIPT.parent, MONOLITH, FAKES])

    root = once(tmp_path_factory, "quirks-seen", make)
    return json.loads((root / "out.json").read_text())


@pytest.mark.parametrize("name", ["none", "step", "cosine", "cosine_warmup", "curriculum", "bf16", "dead_jake"])
def test_trains(runs, name):
    record = runs[1][name]
    assert record["end"] == "ok", record
    assert record["global_step"] == 3 * record["epochs"] > 0
    if name != "cosine_warmup":
        assert record["before"] != record["after"]


def test_q5_fp16_counts_steps_that_never_happen(runs):
    record = runs[1]["half"]
    assert record["end"] == "ok" and record["global_step"] == 3
    moved = {k for k in record["before"] if record["before"][k] != record["after"][k]}
    assert moved == {"model.readouts.0.std", "model.readouts.1.std"}, "only the clamp, which needs no optimiser"
    assert record["optimizer_state"] == 0 < runs[1]["bf16"]["optimizer_state"]


def test_q9_plateau_raises_type_error(runs):
    assert runs[1]["plateau"]["end"].startswith("TypeError"), runs[1]["plateau"]["end"]
    assert "verbose" in runs[1]["plateau"]["end"]


def test_checkpoints(runs):
    import torch

    folder = runs[0] / "checkpoints" / "none"
    names = sorted(p.name for p in folder.iterdir())
    assert "last.ckpt" in names and len(names) == 3
    assert all(n.startswith("epoch=0") and "-val_bps_overall=" in n for n in names if n != "last.ckpt")
    ckpt = torch.load(folder / "last.ckpt", map_location="cpu", weights_only=True)
    assert len(ckpt["hyper_parameters"]) == 11
    assert set(ckpt["hyper_parameters"]) == {
        *("model_cfg", "cfg_dir", "lr", "wd", "max_ds", "pretrained_checkpoint", "freeze_vision", "compile_model"),
        *("core_lr_scale", "lr_scheduler", "warmup_epochs"),
    }
    assert all(k.startswith("model.") for k in ckpt["state_dict"])
    assert "model.readouts.1.features.weight" in ckpt["state_dict"]


def test_derived_experiment_name(runs):
    assert (runs[0] / "checkpoints" / "model_ddp_bs8_ds30_lr0.01_wd1e-05").is_dir()


def test_logged_keys(runs):
    record = runs[1]["none"]
    a, b = "Allen_2022-02-16", "Logan_2020-01-10"
    assert set(record["logged"]) == {
        *(f"train_loss/{n}" for n in (a, b)),
        *(f"val_loss/{n}" for n in (a, b)),
        *(f"val_bps/{n}" for n in (a, b)),
        *("val_loss", "val_bps_overall", "reg_loss/sparse"),
    }
    flags = {k: (v["on_step"], v["on_epoch"], v["sync_dist"]) for k, v in record["logged"].items()}
    assert flags[f"train_loss/{a}"] == (True, True, False)
    assert flags[f"val_loss/{a}"] == (False, True, False)
    assert flags["reg_loss/sparse"] == (False, True, False)
    assert flags[f"val_bps/{a}"] == (False, True, False)
    assert flags["val_loss"] == flags["val_bps_overall"] == (False, True, True)
    assert {f"train_loss/{a}", f"train_loss/{a}_step", f"train_loss/{a}_epoch"} <= set(record["metrics"])
    assert record["metrics"]["val_bps_overall"] >= 0


def test_q1_core_lr_scale_has_no_effect(runs, seen):
    record = runs[1]["none"]
    assert record["hparams"]["core_lr_scale"] == 0.1
    assert [g["lr"] for g in record["groups"]] == [0.01, 0.01]
    assert seen["q1_scale_read_too_early"] == [0.01, 0.01]


def test_q7_the_heartbeat_waits_for_a_key_that_never_comes(runs):
    lines = [line[11:] for line in runs[1]["none"]["out"].splitlines() if line.startswith("[") and line[9] == "]"]
    epoch = ["… running validation", "validation done", "epoch {} finished"]
    wanted = ["training begins", *epoch[:2], *(s.format(e) for e in (0, 1) for s in epoch)]
    assert lines == wanted


def test_main_prints_and_passes_on(runs):
    record = runs[1]["none"]
    assert "accumulate batches: 1" in record["out"] and "training batches  : inf" in record["out"]
    assert record["callbacks"] == ["ModelCheckpoint", "LearningRateMonitor", "EpochHeartbeat", "EarlyStopping"]
    assert runs[1]["curriculum"]["callbacks"][-1] == "CurriculumCallback"
    assert record["trainer"] == {
        "max_epochs": 2,
        "devices": 1,
        "limit_train_batches": 3,
        "precision": "32",
        **FIXED,
    }


def test_q10_lightning_wraps_the_curriculum_sampler(runs):
    record = runs[1]["curriculum"]
    wrapped = ["DistributedSamplerWrapper", "ContrastWeightedSampler"]
    assert record["sampler"]["classes"] == record["val_sampler"]["classes"] == wrapped
    assert record["sampler_at_end"]["step"] == 0, "the step never arrives"


def test_q16_validation_is_shuffled(runs):
    plain = {"classes": ["DistributedSampler"], "shuffle": True, "step": None}
    assert runs[1]["none"]["sampler"] == runs[1]["none"]["val_sampler"] == plain


def test_q12_first_epoch_of_cosine_warmup_stands_still(runs, seen):
    record = runs[1]["cosine_warmup"]
    assert record["lrs"][0] == [0.0, 0.0] and record["lrs"][1] == [0.01, 0.01]
    at_start, after_first = record["epoch_sums"]
    moved = {k for k in at_start if at_start[k] != after_first[k]}
    assert moved == {"model.readouts.0.std", "model.readouts.1.std"}, "only the clamp, which takes no learning rate"
    assert seen["q12_cosine_warmup"]["lrs"] == [0, 0.2, 0.4, 0.6, 0.8, 1, 0.9045, 0.6545, 0.3455, 0.0955, 0]
    assert seen["q12_cosine_warmup"]["equal"] == "ZeroDivisionError"


def test_schedules_once_an_epoch(runs):
    assert runs[1]["cosine"]["lrs"] == [[0.01, 0.01], pytest.approx([0.005, 0.005])]
    assert runs[1]["none"]["lrs"] == [[0.01, 0.01]] * 2


def test_a_cell_without_samples_breaks_the_canonical_script_only(runs):
    record = runs[1]["dead_canonical"]
    metrics = record.get("metrics", {})
    assert record["end"] != "ok" or math.isnan(metrics["val_bps_overall"])
    assert record["epochs"] == 1, "early stopping quits at the first NaN"
    jake = runs[1]["dead_jake"]
    assert jake["epochs"] == 2 and math.isfinite(jake["metrics"]["val_bps_overall"])
    assert "1 of 4 cells without bps" in jake["out"]


def test_regularizers_are_lost_without_the_script_folder(tmp_path):
    """`python -m` does not put training/ on the path: one warning, and no regularisation at all."""
    done = python(
        ["-c", "import training.train_ddp_multidataset as t; print(t.create_regularizers([{}], []))"],
        tmp_path,
        [MONOLITH, FAKES],
    )
    assert "WARNING: regularizers not available" in done.stdout and done.stdout.endswith("[]\n")


def test_q2_pretrained_loads_nothing(seen):
    got = seen["q2_pretrained_loads_nothing"]
    assert got["sevens"] == 0 and got["frozen"] == 4 + 1 + 2
    assert got["printed"].startswith("✓ loaded 7 pretrained tensors (0 ")
    assert got["printed_compiled"].startswith("✓ loaded 0 ")


def test_q3_nothing_is_excluded_from_weight_decay(seen):
    got = seen["q3_nothing_is_excluded"]
    assert got["names"] == ["readouts.0.mean", "readouts.1.mean"]
    assert got["wd"] == [1e-3, 1e-3] and sum(got["tensors"]) == got["all"] and got["tensors"][0] == got["core"]


def test_q4_prox_once_per_group(seen):
    assert seen["q4_prox_per_group"] == pytest.approx(2.0, abs=1e-4)


def test_q8_q11_loader_without_process_group(seen):
    got = seen["q8_q11_loader"]
    assert got["sampler"] == "SequentialSampler" and got["first"] == [[[0] * 4], [[0] * 4]]
    assert "Tag" in got["pickle"]


def test_q10_scores_and_samples_do_not_match(seen):
    got = seen["q10_sampler"]
    assert got["scores"] == [120, 120] and got["samples"] == [92, 92]
    assert got["n"] == 92 and got["repeats"] > 0 and got["repeats at the end"] == 0
    assert got["median"] == pytest.approx(1.0, abs=0.02)


def test_q13_bits_per_spike(seen):
    got = seen["q13_bits_per_spike"]
    assert isinstance(got["shared"], float), "one pooled number"
    assert got["none"][0] == pytest.approx(got["by hand"], rel=1e-5)
    assert math.isnan(got["cell"][1]) and got["cell"][0] == pytest.approx(got["none"][0], rel=1e-5)
    assert got["none"][2] < -1e7, "a silent cell"


def test_loss_formula(seen):
    got = seen["loss_formula"]
    first, second = 0.5 - math.log(0.5), 2.0
    assert got["one column"] == got["one dim"] == got["no mask"] == pytest.approx((first + second) / 2)
    assert got["per cell"] == pytest.approx(second) and math.isnan(got["all masked"])


def test_q14_q15_step(seen):
    got = seen["q14_q15_step"]
    assert got["keys"] == ["aux_loss", "reg_loss/sparse", "train_loss/Allen_2022-02-16", "train_loss/Logan_2020-01-10"]
    assert got["aux"] == pytest.approx(got["aux of the last"], rel=1e-5) and got["rows"][0] == got["rows"][1]
    assert got["aux flags"]["on_step"] and got["aux flags"]["on_epoch"]
    assert got["skipped"] == ["train_nan_skip/Allen_2022-02-16", "train_nan_skip/Logan_2020-01-10"]
    assert got["zero"] == [0.0, True, True]
    assert "'NoneType' object has no attribute 'float'" in got["missing"]


def test_q17_regularizers(seen):
    got = seen["q17_schedules"]
    assert got["ramp"] == [0, 0, 0, 0.25, 0.5, 0.75, 1, 0, 0]
    assert got["decay"] == [0, 0, 10, 8, 6, 4, 2, 2, 2]
    assert got["warmup"] == [0, 3, 3, 0]
    norm = math.sqrt(13.25)
    assert got["loss"] == pytest.approx({"l1": 2.75, "l2": 6.625, "group_lasso": norm / 2, "never_heard_of": 0})
    assert got["prox"] == {
        "proximal_l1": [-1.75, 0.25, 2.75],
        "proximal_clamp": [-1.0, 0.5, 1.0],
        "proximal_clamp_positive": [0.0, 0.5, 1.0],
        "proximal_clamp_min": [1.0, 1.0, 3.0],
        "never_heard_of": [-2.0, 0.5, 3.0],
    }


def test_q18_three_hyper_parameters_are_lost(seen):
    total, kept = seen["q18_load_from_checkpoint"]
    assert total == 11 and len(kept) == 8 and not {"core_lr_scale", "lr_scheduler", "warmup_epochs"} & set(kept)


def test_q20_logger_and_trainer_on_another_rank(seen):
    got = seen["q20_other_ranks_get_no_logger"]
    assert got["logger"] is None and got["folder"]
    assert got["strategy"] == ["DDPStrategy", {"find_unused_parameters": True, "gradient_as_bucket_view": True}]
    assert got["values"] == {
        "max_epochs": 100,
        "devices": 2,
        "limit_train_batches": 1000,
        "precision": "bf16",
        **FIXED,
    }


def test_q21_stimulus_is_kept_as_float32(seen):
    got = seen["q21_stimulus_is_float32"]
    assert got["stored"] == "torch.float32" and got["stored max"] > 200
    assert got["item"] == ["torch.float32", True] and got["exact"] and got["bf16"] == "torch.bfloat16"


def test_forward_clamps_from_below(seen):
    got = seen["forward_clamps"]
    assert got["model"] == [pytest.approx(1e-8), False, False]
    assert got["log"] == [-20.0, True, False]
    assert got["motor"] == [pytest.approx(1e-8), False, True]


@pytest.mark.skipif(importlib.util.find_spec("lightning") is None, reason="the old modules are made with `lightning`")
def test_old_lightning_modules(seen):
    got = seen["old_lightning"]
    single, multi = got["single"], got["multi"]
    assert single["steps"] == multi["steps"] == 1 and single["same"] and got["best"] == "b.ckpt"
    assert {"train_loss", "train_bps", "val_loss", "val_bps"} <= set(single["keys"])
    assert {
        *("train_loss_a", "train_loss_b", "train_loss_total", "val_loss_a", "val_loss_total"),
        *("train_bps_dataset_0", "train_bps_dataset_1", "train_bps_overall", "val_bps_dataset_1", "val_bps_overall"),
    } <= set(multi["keys"])
    both = {"model_class", "model_config", "optim_kwargs", "eval_modules", "viz_n_epochs"}
    assert both | {"cids"} <= set(single["hparams"]) and "dataset_configs" not in single["hparams"]
    assert both | {"dataset_configs"} <= set(multi["hparams"]) and "cids" not in multi["hparams"]
    assert single["model_class"] == "models.build.build_model"
    assert single["swallowed"] == [pytest.approx(1e-6), 0]
    assert got["relation"] is False, "lightning and pytorch_lightning are two packages"
