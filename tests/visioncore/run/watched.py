"""
Runs a trainer on the CPU, and writes down what it computed.

    python watched.py OUT.json SCRIPT ARGS…
    python watched.py OUT.json -m MODULE ARGS…

OUT has losses and learning rates by step, a hash of all parameters after each step, the metrics of every epoch, and how it ended.
"""

import hashlib
import json
import sys
from pathlib import Path

import pytorch_lightning as pl
import torch

from regression.launch import run_module, run_script, trainer_arguments


class Watch(pl.Callback):
    def __init__(self, seen):
        self.seen = seen

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        self.seen["losses"].append(outputs["loss"].item().hex())
        self.seen["rates"].append([group["lr"] for group in trainer.optimizers[0].param_groups])
        content = hashlib.sha256()
        for key, value in sorted(module.state_dict().items()):
            content.update(key.encode() + value.numpy().tobytes())
        self.seen["parameters"].append(content.hexdigest())

    def on_train_epoch_end(self, trainer, module):
        self.seen["metrics"].append({key: repr(float(value)) for key, value in trainer.callback_metrics.items()})


def watched(command):
    seen = {"losses": [], "rates": [], "parameters": [], "metrics": []}
    init = pl.Trainer.__init__

    def with_watch(self, *args, **kwargs):
        init(self, *args, **{**kwargs, "callbacks": [*kwargs["callbacks"], Watch(seen)]})

    pl.Trainer.__init__ = with_watch
    torch.manual_seed(7)
    try:
        if command[0] == "-m":
            run_module(command[1], command[2:])
        else:
            with trainer_arguments({"accelerator": "cpu", "devices": 1}):
                run_script(command[0], command[1:])
        seen["end"] = 0
    except SystemExit as end:
        seen["end"] = end.code
    except Exception as error:
        seen["end"] = f"{type(error).__name__}: {error}"
    return seen


if __name__ == "__main__":
    torch.set_num_threads(1)
    Path(sys.argv[1]).write_text(json.dumps(watched(sys.argv[2:])))
