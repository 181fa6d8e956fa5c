"""The commands as a shell runs them, and a checkpoint of each sort to run them on."""

from __future__ import annotations

import collections
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).parents[3]


@dataclass
class Done:
    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def legacy(*arguments: object, cwd: Path = ROOT, **environment: str) -> Done:
    """`python -m legacy …`; a traceback is never an answer."""
    done = subprocess.run(
        [sys.executable, "-m", "legacy", *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return Done(done.returncode, done.stdout, done.stderr)


def checkpoint(**more: Any) -> dict[str, Any]:
    """As Lightning 2 saves a `PLCoreVisionModel` that was compiled."""
    base = torch.arange(6.0)
    state = {"model._orig_mod.readout.weight": base.reshape(2, 3), "model._orig_mod.readout.bias": base[:2]}
    average = {name: torch.zeros_like(value) for name, value in state.items()}
    group = {"lr": 1e-3, "betas": (0.9, 0.999), "params": [0, 1]}
    optimizer = {"state": {i: {"step": torch.tensor(4.0), "exp_avg": a} for i, a in enumerate(average.values())}}
    return {
        "epoch": 2,
        "global_step": 4,
        "pytorch-lightning_version": "2.1.0",
        "state_dict": collections.OrderedDict(state),
        "optimizer_states": [optimizer | {"param_groups": [group]}],
        "hyper_parameters": {
            "model_class": "models.build.build_model",
            "model_config": {"model_type": "v1"},
            "optim_kwargs": {"lr": 1e-3},
            "viz_n_epochs": 5,
            "cids": [1, 2],
        },
        **more,
    }


def save(path: Path, **more: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(checkpoint(**more), path)
    return path
