"""
Runs a training script as it is, several times in one process, on the CPU.

    python run_on_cpu.py SCRIPT RUNS.json OUT.json

RUNS is a list of {"name", "argv"}, with "script" for another script and "half": true for fp16 with a gradient scaler.
The Trainer is put on the CPU with one gloo process, the wandb logger is replaced by a CSV one; the script itself runs
under the name __main__ with its own folder first on the path, as `python SCRIPT` would. OUT gets for every run: how it
ended, what was printed, what was logged with which flags, the learning rates per epoch, the parameter groups, and the
parameters' sums before and after.
"""

import contextlib
import io
import json
import runpy
import sys
import tempfile
import warnings
from pathlib import Path

warnings.filterwarnings("ignore")

import pytorch_lightning as pl  # noqa: E402
import torch  # noqa: E402
from pytorch_lightning.loggers import CSVLogger  # noqa: E402
from pytorch_lightning.plugins.precision import MixedPrecision  # noqa: E402


class Watch(pl.Callback):
    def __init__(self, record):
        self.record = record

    def on_fit_start(self, trainer, pl_module):
        self.record["hparams"] = dict(pl_module.hparams)

    def on_train_start(self, trainer, pl_module):
        self.record["before"] = sums(pl_module)
        self.record["sampler"] = describe(trainer.train_dataloader.sampler)
        self.record["val_sampler"] = describe(trainer.val_dataloaders.sampler)
        self.record["groups"] = [
            {"lr": g["lr"], "wd": g["weight_decay"], "tensors": len(g["params"])}
            for g in trainer.optimizers[0].param_groups
        ]

    def on_train_epoch_start(self, trainer, pl_module):
        lrs = [g["lr"] for g in trainer.optimizers[0].param_groups]
        self.record.setdefault("lrs", []).append(lrs)
        self.record.setdefault("epoch_sums", []).append(sums(pl_module))

    def on_train_end(self, trainer, pl_module):
        self.record["after"] = sums(pl_module)
        self.record["sampler_at_end"] = describe(trainer.train_dataloader.sampler)
        self.record["optimizer_state"] = len(trainer.optimizers[0].state)
        self.record["global_step"] = trainer.global_step
        self.record["epochs"] = trainer.current_epoch
        self.record["metrics"] = {k: float(v) for k, v in trainer.callback_metrics.items()}


def describe(sampler):
    """Class names from the outside in, whether it shuffles, and the step the innermost one was told."""
    names, inner = [type(sampler).__name__], sampler
    while hasattr(getattr(inner, "dataset", None), "_sampler"):
        inner = inner.dataset._sampler
        names.append(type(inner).__name__)
    return {"classes": names, "shuffle": inner.shuffle, "step": getattr(inner, "current_step", None)}


def sums(module):
    return {k: float(v.double().abs().sum()) for k, v in module.state_dict().items()}


def patch(state):
    trainer_init = pl.Trainer.__init__

    def init(self, *args, **kwargs):
        state["record"]["trainer"] = {
            k: v for k, v in kwargs.items() if isinstance(v, (int, float, str, bool, type(None)))
        }
        kwargs.update(accelerator="cpu", devices=1)
        if state["half"]:
            kwargs.pop("precision")
            kwargs["plugins"] = [MixedPrecision("16-mixed", "cpu", torch.amp.GradScaler("cpu"))]
        kwargs["callbacks"] = [*kwargs["callbacks"], Watch(state["record"])]
        state["record"]["callbacks"] = [type(c).__name__ for c in kwargs["callbacks"][:-1]]
        if "limit_val_batches" in kwargs:
            kwargs["limit_val_batches"] = 2  # 5 % of these few would be less than one batch
        trainer_init(self, *args, **kwargs)

    log = pl.LightningModule.log

    def logged(self, name, value, prog_bar=False, *args, **kwargs):
        flags = {k: kwargs.get(k) for k in ("on_step", "on_epoch", "sync_dist", "rank_zero_only", "batch_size")}
        state["record"].setdefault("logged", {})[name] = flags
        log(self, name, value, prog_bar, *args, **kwargs)

    pl.Trainer.__init__ = init
    pl.LightningModule.log = logged
    logs = tempfile.TemporaryDirectory()
    pl.loggers.WandbLogger = lambda project, name, save_dir: CSVLogger(logs.name, name="csv")


def run(script, argv, record):
    script = Path(script).resolve()
    sys.argv = [str(script), *argv]
    path = list(sys.path)
    sys.path.insert(0, str(script.parent))
    out = io.StringIO()
    try:
        with contextlib.redirect_stdout(out):
            torch.manual_seed(0)
            runpy.run_path(str(script), run_name="__main__")
        record["end"] = "ok"
    except SystemExit as e:
        record["end"] = f"exit {e.code}"
    except BaseException as e:
        record["end"] = f"{type(e).__name__}: {e}"
    finally:
        sys.path[:] = path
        sys.modules.pop("regularizers", None)
    record["out"] = out.getvalue()


def main():
    script, runs, out = sys.argv[1:4]
    state = {"record": {}}
    patch(state)
    records = {}
    for spec in json.loads(Path(runs).read_text()):
        state["record"], state["half"] = records.setdefault(spec["name"], {}), spec.get("half", False)
        run(spec.get("script", script), spec["argv"], state["record"])
    Path(out).write_text(json.dumps(records, default=str))


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
