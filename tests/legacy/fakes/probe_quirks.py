"""
Looks at single quirks of the old script from inside one process, and prints what it saw as JSON.

    python probe_quirks.py OUT.json WORKDIR

WORKDIR holds `configs/` (model.yaml, pc.yaml, motor.yaml, log.yaml) and `sessions/`.
"""

import contextlib
import io
import json
import os
import pickle
import sys
import types
import warnings
from pathlib import Path

warnings.filterwarnings("ignore")

import torch  # noqa: E402
import train_ddp_multidataset as old  # noqa: E402
from models.losses import MaskedLoss, PoissonBPSAggregator  # noqa: E402
from regularizers import Schedule, create_regularizers  # noqa: E402

SEEN = {}


def probe(fn):
    SEEN[fn.__name__] = fn
    return fn


def model(work, name="model", **kw):
    with contextlib.redirect_stdout(io.StringIO()) as out:
        m = old.MultiDatasetModel(f"{work}/configs/{name}.yaml", f"{work}/sessions", 1e-2, 1e-3, 30, **kw)
    m.printed = out.getvalue()
    m.logged = {}
    m.log = lambda key, value, **flags: m.logged.__setitem__(key, (float(value), flags))
    m._trainer = types.SimpleNamespace(global_rank=0, global_step=0, current_epoch=0, max_epochs=4)
    m._jit_is_scripting = False
    return m


def data(work, **kw):
    dm = old.MultiDatasetDM(f"{work}/sessions", 30, 4, 0, 5, **kw)
    with contextlib.redirect_stdout(io.StringIO()):
        dm.setup()
    return dm


@probe
def q1_scale_read_too_early(work):
    m = model(work)
    m.hparams.core_lr_scale = 0.1
    return [g["lr"] for g in m.configure_optimizers().param_groups]


@probe
def q2_pretrained_loads_nothing(work):
    donor = model(work)
    with torch.no_grad():
        for p in donor.parameters():
            p.fill_(7.0)
    path = f"{work}/donor.ckpt"
    torch.save({"state_dict": donor.state_dict()}, path)
    m = model(work, pretrained_checkpoint=path, freeze_vision=True)
    compiled = {k.replace("model.", "model._orig_mod.", 1): v for k, v in donor.state_dict().items()}
    torch.save({"state_dict": compiled}, path)
    c = model(work, pretrained_checkpoint=path)
    return {
        "sevens": sum(bool((p == 7).all()) for p in m.model.parameters()),
        "frozen": sum(not p.requires_grad for p in m.parameters()),
        "printed": next(line for line in m.printed.splitlines() if "loaded" in line),
        "printed_compiled": next(line for line in c.printed.splitlines() if "loaded" in line),
    }


@probe
def q3_nothing_is_excluded(work):
    m = model(work)
    opt = m.configure_optimizers()
    return {
        "names": old.get_excluded_params_for_weight_decay(m.regularizers),
        "wd": [g["weight_decay"] for g in opt.param_groups],
        "tensors": [len(g["params"]) for g in opt.param_groups],
        "all": len(list(m.parameters())),
        "core": sum(any(s in n for s in ("frontend", "convnet", "modulator")) for n, _ in m.named_parameters()),
    }


@probe
def q4_prox_per_group(work):
    w = torch.nn.Parameter(torch.ones(3))
    (reg,) = create_regularizers([{"name": "p", "type": "proximal_l1", "lambda": 0.5, "apply_to": ["w"]}], [("w", w)])
    m = model(work)
    m.regularizers = [reg]
    opt = m.configure_optimizers()
    before = w.detach().clone()
    m.optimizer_step(0, 0, opt, lambda: torch.zeros(()))
    return float((before - w)[0]) / (0.5 * 1e-2)


@probe
def q8_q11_loader(work):
    loader = data(work).train_dataloader()
    first = [[d["dataset_idx"].tolist() for d in b] for _, b in zip(range(2), loader, strict=False)]
    try:
        pickle.dumps(loader.dataset.datasets[0])
        pickled = "yes"
    except Exception as e:
        pickled = str(e)
    return {"sampler": type(loader.sampler).__name__, "first": first, "pickle": pickled}


@probe
def q12_cosine_warmup(work):
    opt = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    sched = old.LinearWarmupCosineAnnealingLR(opt, 5, 10)
    lrs = []
    for _ in range(11):
        lrs.append(round(opt.param_groups[0]["lr"], 4))
        opt.step(), sched.step()
    try:
        sched = old.LinearWarmupCosineAnnealingLR(opt, 2, 2)
        for _ in range(3):
            sched.step()
        end = "ok"
    except ZeroDivisionError:
        end = "ZeroDivisionError"
    return {"lrs": lrs, "equal": end}


@probe
def q13_bits_per_spike(work):
    torch.manual_seed(0)
    r, rho = torch.poisson(torch.full((50, 3), 0.4)), torch.rand(50, 3) + 0.1
    r[:, 2] = 0
    out = {}
    cell = torch.ones(50, 3)
    cell[:, 1] = 0
    for name, dfs in {"none": None, "shared": torch.ones(50, 1), "cell": cell}.items():
        agg = PoissonBPSAggregator()
        assert agg.closure() is None
        batch = {"robs": r, "rhat": rho} | ({} if dfs is None else {"dfs": dfs})
        agg(batch)
        out[name] = agg.closure().tolist()
    rbar = r[:, 0].mean()
    ll = (r[:, 0] * torch.log(rho[:, 0] + 1e-9) - rho[:, 0]).mean()
    null = (r[:, 0] * torch.log(rbar + 1e-9) - rbar).mean()
    out["by hand"] = float((ll - null) / (rbar + 1e-9) / torch.log(torch.tensor(2.0)))
    return out


@probe
def loss_formula(work):
    r, y = torch.tensor([[0.5, 2.0]]), torch.tensor([[1.0, 0.0]])
    fn = MaskedLoss(torch.nn.PoissonNLLLoss(log_input=False, full=False, reduction="none"))
    return {
        "one column": float(fn({"rhat": r, "robs": y, "dfs": torch.ones(1, 1)})),
        "one dim": float(fn({"rhat": r, "robs": y, "dfs": torch.ones(1)})),
        "per cell": float(fn({"rhat": r, "robs": y, "dfs": torch.tensor([[0.0, 1.0]])})),
        "no mask": float(fn({"rhat": r, "robs": y})),
        "all masked": float(fn({"rhat": r, "robs": y, "dfs": torch.zeros(1, 1)})),
    }


@probe
def q14_q15_step(work):
    m = model(work, "pc").train()
    loader = data(work).train_dataloader()
    loader = [b for b in loader if len(b) == 2] or [old.group_collate([loader.dataset[0], loader.dataset[-1]])]
    batch = loader[0]
    m.training_step([dict(b) for b in batch], 0)
    keys = sorted(m.logged)
    last = float(0.2 * m.model.modulator.pred_err.pow(2).mean())
    aux = m.logged["aux_loss"]
    rows = len(m.model.modulator.pred_err)
    bad = [dict(b) for b in batch]
    for b in bad:
        b["robs"], b["dfs"] = b["robs"].clone(), b["dfs"].clone()
        b["robs"][0, 0], b["dfs"][0] = float("nan"), 0
    m.logged.clear()
    zero = m._step(bad, "train")
    no_mask = [{k: v for k, v in batch[0].items() if k != "dfs"}]
    try:
        m._step(no_mask, "train")
        missing = "ok"
    except AttributeError as e:
        missing = str(e)
    return {
        "keys": keys,
        "aux": aux[0],
        "aux of the last": last,
        "aux flags": dict(aux[1]),
        "rows": [rows, len(batch[-1]["robs"])],
        "skipped": sorted(m.logged),
        "zero": [float(zero), zero.requires_grad, zero.grad_fn is None],
        "missing": missing,
    }


@probe
def q17_schedules(work):
    ramp = Schedule(1.0, {"kind": "linear_ramp", "start_epoch": 2, "end_epoch": 6})
    decay = Schedule(2.0, {"kind": "linear_decay", "start_epoch": 2, "end_epoch": 6, "start_lambda": 10.0})
    warmup = Schedule(3.0, {"kind": "warmup", "start_epoch": 1, "end_epoch": 2})
    w = torch.nn.Parameter(torch.tensor([-2.0, 0.5, 3.0]))
    kinds = {}
    for kind in ("l1", "l2", "group_lasso", "never_heard_of"):
        (reg,) = create_regularizers([{"name": "r", "type": kind, "lambda": 0.5, "apply_to": ["a/w"]}], [("a.w", w)])
        kinds[kind] = float(reg.loss(0))
    prox = {}
    for kind in ("proximal_l1", "proximal_clamp", "proximal_clamp_positive", "proximal_clamp_min", "never_heard_of"):
        v = torch.nn.Parameter(w.detach().clone())
        (reg,) = create_regularizers([{"name": "r", "type": kind, "lambda": 1.0, "apply_to": ["v"]}], [("v", v)])
        reg.prox(0, 0.25)
        prox[kind] = v.tolist()
    return {
        "ramp": [ramp(e) for e in range(9)],
        "decay": [decay(e) for e in range(9)],
        "warmup": [warmup(e) for e in range(4)],
        "loss": kinds,
        "prox": prox,
    }


@probe
def q10_sampler(work):
    dm = data(work, enable_curriculum=True)
    tagged = torch.utils.data.ConcatDataset([dm.train_dsets[n] for n in dm.names])
    kw = {"num_replicas": 2, "rank": 0, "drop_last": True}
    s = old.ContrastWeightedSampler(tagged, dm.contrast_scores, dm.name2idx, **kw)
    drawn = list(s)
    s.set_step(8000)
    perm = list(s)
    return {
        "scores": [len(v) for v in dm.contrast_scores.values()],
        "samples": [len(d) for d in dm.train_dsets.values()],
        "n": len(s),
        "repeats": len(drawn) - len(set(drawn)),
        "repeats at the end": len(perm) - len(set(perm)),
        "median": float(torch.tensor([float(x) for v in dm.contrast_scores.values() for x in v]).median()),
    }


@probe
def q18_load_from_checkpoint(work):
    m = model(work)
    m.hparams.core_lr_scale, m.hparams.lr_scheduler, m.hparams.warmup_epochs = 0.5, "cosine", 3
    ckpt = {
        "state_dict": m.state_dict(),
        "hyper_parameters": dict(m.hparams),
        "hparams_name": "kwargs",
        "pytorch-lightning_version": old.pl.__version__,
    }
    torch.save(ckpt, f"{work}/q18.ckpt")
    again = old.MultiDatasetModel.load_from_checkpoint(f"{work}/q18.ckpt")
    return [len(ckpt["hyper_parameters"]), sorted(again.hparams)]


@probe
def q20_other_ranks_get_no_logger(work):
    """What main gives to the Trainer on local rank 1."""
    given = {}

    class Stop(Exception):
        pass

    def trainer(**kw):
        given.update(kw)
        raise Stop

    real, argv = old.pl.Trainer, sys.argv
    old.pl.Trainer, os.environ["LOCAL_RANK"] = trainer, "1"
    sys.argv = ["x", "--model_config", f"{work}/configs/model.yaml", "--dataset_configs_path", f"{work}/sessions"]
    sys.argv += ["--checkpoint_dir", f"{work}/rank1"]
    try:
        old.main()
    except Stop:
        pass
    finally:
        old.pl.Trainer, sys.argv = real, argv
        del os.environ["LOCAL_RANK"]
    strategy = given["strategy"]
    return {
        "logger": given["logger"],
        "strategy": [type(strategy).__name__, strategy._ddp_kwargs],
        "values": {k: v for k, v in given.items() if isinstance(v, (int, float, str))},
        "folder": (Path(work) / "rank1" / "model_ddp_bs64_ds30_lr0.0001_wd1e-05").is_dir(),
    }


@probe
def q21_stimulus_is_float32(work):
    dm = data(work)
    view = next(iter(dm.train_dsets.values()))
    stim = view.ds.dsets[0]["stim"]
    x = torch.arange(256, dtype=torch.uint8)
    return {
        "stored": str(stim.dtype),
        "stored max": float(stim.max()),
        "item": [str(view[0]["stim"].dtype), float(view[0]["stim"].abs().max()) <= 0.503],
        "exact": bool((old.cast_stim(x, True) == (x.float() - 127) / 255).all()),
        "bf16": str(old.Float32View(view.ds, True, float16=True)[0]["stim"].dtype),
    }


@probe
def forward_clamps(work):
    out = {}
    for name in ("model", "log", "motor"):
        m = model(work, name)
        with torch.no_grad():
            for p in m.model.readouts.parameters():
                p.fill_(-1e3)
        rate = m(torch.zeros(1, 1, 5, 7, 7), 0, torch.zeros(1, 3))
        out[name] = [float(rate.min()), m.log_input, m.is_modulator_only]
    return out


@probe
def old_lightning(work):
    try:
        import lightning
    except ImportError:
        return None
    from DataYatesV1.models.lightning import MultiDatasetPLCore, PLCoreVisionModel
    from models.build import build_model
    from models.checkpoint import find_best_checkpoint, load_model_from_checkpoint, save_model_with_metadata

    def item(n):
        return {
            "stim": torch.randn(1, 5, 7, 7),
            "robs": torch.poisson(torch.full((n,), 0.5)),
            "dfs": torch.ones(1),
            "behavior": torch.randn(3),
        }

    def fit(module, loader):
        trainer = lightning.Trainer(
            max_epochs=1,
            accelerator="cpu",
            logger=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            default_root_dir=f"{work}/lightning",
        )
        trainer.fit(module, loader, loader)
        path = f"{work}/{type(module).__name__}.ckpt"
        trainer.save_checkpoint(path)
        return path, sorted(trainer.callback_metrics), trainer.global_step

    stages = {k: {"type": "tiny", "params": {}} for k in ("adapter", "frontend", "convnet")}
    config = {"model_type": "v1", "n_units": 4, "output_activation": "softplus", **stages}
    single = PLCoreVisionModel(build_model, config, optim_kwargs={"lr": 1e-2}, cids=[0, 1, 2, 3])
    loader = torch.utils.data.DataLoader([item(4) for _ in range(4)], batch_size=4)
    path, keys, steps = fit(single, loader)
    loaded = load_model_from_checkpoint(path)
    hparams = torch.load(path, weights_only=False)["hyper_parameters"]
    out = {
        "single": {
            "keys": keys,
            "steps": steps,
            "same": all(
                torch.equal(a, b)
                for a, b in zip(single.state_dict().values(), loaded.state_dict().values(), strict=True)
            ),
            "hparams": sorted(hparams),
            "model_class": f"{hparams['model_class'].__module__}.{hparams['model_class'].__qualname__}",
        }
    }
    single.model.forward = lambda *a: 1 / 0
    batch = single({"stim": torch.full((2, 1, 5, 7, 7), float("nan")), "robs": torch.zeros(2, 4)})
    out["single"]["swallowed"] = [float(batch["rhat"].max()), int(torch.isnan(batch["stim"]).sum())]
    save_model_with_metadata(loaded, f"{work}/best/a.ckpt", {"val_loss": 0.2})
    save_model_with_metadata(loaded, f"{work}/best/b.ckpt", {"val_loss": 0.1})
    out["best"] = find_best_checkpoint(f"{work}/best").name

    multi = MultiDatasetPLCore(
        build_model,
        {**config, "model_type": "v1multi"},
        [{"cids": [0, 1]}, {"cids": [0, 1, 2]}],
        optim_kwargs={"lr": 1e-2},
    )
    loader = torch.utils.data.DataLoader([{"a": item(2), "b": item(3)} for _ in range(4)], batch_size=4)
    path, keys, steps = fit(multi, loader)
    ckpt = torch.load(path, weights_only=False)
    again = MultiDatasetPLCore(**ckpt["hyper_parameters"])
    again.load_state_dict(ckpt["state_dict"])
    out["multi"] = {"keys": keys, "steps": steps, "hparams": sorted(ckpt["hyper_parameters"])}
    out["relation"] = issubclass(PLCoreVisionModel, old.pl.LightningModule)
    return out


def main():
    out, work = sys.argv[1:3]
    seen = {}
    for name, fn in SEEN.items():
        with contextlib.redirect_stdout(io.StringIO()):
            seen[name] = fn(work)
    Path(out).write_text(json.dumps(seen, default=str))


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
