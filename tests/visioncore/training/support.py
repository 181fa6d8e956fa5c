"""Small sessions held in memory, small configs, and the old trainer's modules loaded from where they lie."""

from __future__ import annotations

import contextlib
import importlib.util
import sys
import types
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
import yaml
from torch import Tensor
from torch.utils.data import Dataset

from visioncore.models import build_model, load_config, load_dataset_configs

MONOLITH = Path(__file__).parents[3] / "legacy" / "monolith"
LAGS, SIZE, BEHAVIOR, FRAMES = 4, 9, 3, 120
NAMES = {"Allen_2022-02-16": 4, "Logan_2020-01-10": 6}
NORMALISED = (torch.arange(256).float() - 127) / 255
REGULARIZATION = [
    {"name": "sparse", "type": "l1", "lambda": 1e-3, "apply_to": ["readouts/features"]},
    {"name": "narrow", "type": "proximal_clamp_positive", "lambda": 2.5, "apply_to": ["readouts/std"]},
    {"name": "shrink", "type": "proximal_l1", "lambda": 1e-2, "apply_to": ["convnet/weight"]},
    {"name": "no_decay", "type": "l2", "lambda": 0.0, "apply_to": ["readouts/mean"]},
]


def model_config(modulator: str = "concat", **more: Any) -> dict[str, Any]:
    """A network that trains in milliseconds; `modulator` is concat, pc or none."""
    conv = {"type": "standard", "kernel_size": [2, 3, 3], "padding": [0, 1, 1]}
    params: dict[str, Any] = {"behavior_dim": BEHAVIOR, "encoder_params": {"dims": [3]}}
    if modulator == "pc":
        params = {"behavior_dim": BEHAVIOR, "beh_emb_dim": 2}
    return {
        "model_type": "v1multi",
        "output_activation": "softplus",
        "adapter": {"type": "adapter", "params": {"grid_size": 7}},
        "frontend": {"type": "learnable_temporal", "params": {"kernel_size": 2, "num_channels": 2}},
        "convnet": {
            "type": "vanilla",
            "params": {"dim": 3, "channels": [3], "block_config": {"conv_params": conv, "norm_type": "none"}},
        },
        "modulator": {"type": modulator, "params": {} if modulator == "none" else params},
        "readout": {"type": "gaussian", "params": {"initial_std": 3.0}},
        "regularization": REGULARIZATION,
        **more,
    }


def write_configs(root: Path, model: dict[str, Any] | None = None, **session: Any) -> tuple[str, str]:
    """The path of a model YAML and of a folder of dataset YAMLs."""
    folder = root / "sessions"
    folder.mkdir(parents=True, exist_ok=True)
    for name, cells in NAMES.items():
        config: dict[str, Any] = {
            "session": name,
            "cids": list(range(cells)),
            "keys_lags": {"robs": 0, "stim": list(range(LAGS)), "behavior": 0, "dfs": 0},
            "transforms": {
                "stim": {"source": "stim", "ops": [{"pixelnorm": {}}, {"unsqueeze": 1}], "expose_as": "stim"}
            },
            **session,
        }
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(config))
    (folder / "base_120.yaml").write_text("not: a session\n")
    (root / "model.yaml").write_text(yaml.safe_dump(model or model_config()))
    return str(root / "model.yaml"), str(folder)


@dataclass
class Session(Dataset[dict[str, Any]]):
    """What `visioncore.data.SessionDataset` is to the trainer."""

    name: str
    stimulus: Tensor  # (T, 1, H, W) uint8
    rest: dict[str, Tensor]  # robs (T, N), dfs (T, 1 | N), behavior (T, K)
    frames: Tensor
    stim_table = NORMALISED

    def __len__(self) -> int:
        return len(self.frames)

    def gather(self, indices: Tensor, out: Any = None) -> dict[str, Tensor]:
        t = self.frames[indices]
        stim = self.stimulus[t[:, None] - torch.arange(LAGS)].transpose(1, 2)
        return {"stim": stim, **{name: values[t] for name, values in self.rest.items()}}

    def __getitem__(self, i: int) -> dict[str, Any]:
        sample = {name: values[0] for name, values in self.gather(torch.tensor([i])).items()}
        return {**sample, "stim": NORMALISED[sample["stim"].long()]}


def session(name: str, cells: int, train: bool = True, frames: int = FRAMES) -> Session:
    """The training or validation part of a recording that the name decides."""
    generator = torch.Generator().manual_seed(sum(map(ord, name)))
    stimulus = torch.randint(0, 256, (frames, 1, SIZE, SIZE), generator=generator, dtype=torch.uint8)
    drive = 0.2 + stimulus[:, 0, 2:5, 2:5].float().mean((1, 2))[:, None] / 255
    rest = {
        "robs": torch.poisson(drive.expand(frames, cells).contiguous(), generator=generator),
        "dfs": torch.ones(frames, 1),
        "behavior": torch.randn(frames, BEHAVIOR, generator=generator),
    }
    valid = torch.arange(LAGS, frames)
    cut = int(len(valid) * 0.8)
    return Session(name, stimulus, rest, valid[:cut] if train else valid[cut:])


def prepare_session(config: dict[str, Any], compat: Any = None) -> SimpleNamespace:
    """In the place of `visioncore.data.prepare.prepare_session`."""
    name, cells = config["_dataset_name"], len(config["cids"])
    return SimpleNamespace(name=name, train=session(name, cells), val=session(name, cells, train=False), config=config)


class OldSamples:
    """A session as the private package's `prepare_data` gave it: the stimulus float32, not normalised."""

    def __init__(self, part: Session) -> None:
        self.part = part
        self.dsets = [{"stim": part.stimulus.float()}]

    def __len__(self) -> int:
        return len(self.part)

    def __getitem__(self, i: int) -> dict[str, Tensor]:
        raw = self.part.gather(torch.tensor([i]))
        return {name: values[0].float() for name, values in raw.items()}


@contextlib.contextmanager
def old_trainer(prepared: Any = None) -> Iterator[ModuleType]:
    """The old script as a module, with a private package that is made of this project's networks and of `prepared` sessions."""
    import copy

    def prepare_data(config: dict[str, Any], strict: bool = True) -> tuple[Any, Any, Any]:
        torch.manual_seed(config.get("seed", 1002))
        made = (prepared or prepare_session)(config)
        return OldSamples(made.train), OldSamples(made.val), config

    def old_network(config: dict[str, Any], datasets: Sequence[dict[str, Any]]) -> Any:
        return build_model({**config, "compat": "all"}, datasets)

    names = {
        "DataYatesV1": {},
        "DataYatesV1.models": {"build_model": old_network},
        "DataYatesV1.models.config_loader": {"load_config": load_config, "load_dataset_configs": load_dataset_configs},
        "DataYatesV1.utils": {},
        "DataYatesV1.utils.data": {"prepare_data": prepare_data},
        "DataYatesV1.utils.data.loading": {"remove_pixel_norm": lambda config: (copy.deepcopy(config), True)},
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, members in names.items():
            module = types.ModuleType(name)
            module.__dict__.update({"__path__": [], **members})
            patch.setitem(sys.modules, name, module)
        for name in ("models", "models.losses", "models.losses.poisson", "regularizers"):
            patch.delitem(sys.modules, name, raising=False)
        patch.syspath_prepend(str(MONOLITH))
        patch.syspath_prepend(str(MONOLITH / "training"))
        precision = torch.get_float32_matmul_precision()
        before = set(sys.modules)
        try:
            yield load("old_train_ddp_multidataset", MONOLITH / "training" / "train_ddp_multidataset.py")
        finally:
            torch.set_float32_matmul_precision(precision)
            for name in set(sys.modules) - before:
                if name.split(".")[0] in ("models", "regularizers", "old_train_ddp_multidataset"):
                    del sys.modules[name]


def load(name: str, path: Path) -> ModuleType:
    """A module from a file, under another name."""
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def batch(seed: int = 0, size: int = 5, behavior: bool = True) -> list[dict[str, Tensor]]:
    """A mixed batch of both sessions, as the data module hands it to the model."""
    generator = torch.Generator().manual_seed(seed)
    groups = []
    for idx, (name, cells) in enumerate(NAMES.items()):
        part = session(name, cells)
        group = part.gather(torch.randperm(len(part), generator=generator)[:size])
        group["stim"] = NORMALISED[group["stim"].long()]
        if not behavior:
            del group["behavior"]
        groups.append({**group, "dataset_idx": torch.full((size,), idx)})
    return groups


class Watch(pl.Callback):
    """What a run computed: losses, learning rates and parameters after every step, and the metrics of every validation."""

    def __init__(self) -> None:
        self.losses: list[Tensor] = []
        self.rates: list[list[float]] = []
        self.parameters: list[list[Tensor]] = []
        self.metrics: list[dict[str, float]] = []

    def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.losses.append(outputs["loss"].detach().clone())
        self.rates.append([group["lr"] for group in trainer.optimizers[0].param_groups])
        self.parameters.append([value.detach().clone() for value in module.state_dict().values()])

    def on_train_epoch_end(self, trainer: Any, module: Any) -> None:
        self.metrics.append({name: float(value) for name, value in trainer.callback_metrics.items()})


def trainer(epochs: int = 1, steps: int = 3, callbacks: Sequence[pl.Callback] = (), **more: Any) -> pl.Trainer:
    """A quiet Trainer on the CPU."""
    defaults = {
        "max_epochs": epochs,
        "accelerator": "cpu",
        "devices": 1,
        "limit_train_batches": steps,
        "limit_val_batches": 6,
        "gradient_clip_val": 1.0,
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "num_sanity_val_steps": 2,
    }
    return pl.Trainer(**{**defaults, **more}, callbacks=list(callbacks))


class Logged(dict[str, tuple[float, dict[str, Any]]]):
    """What a module logs outside a Trainer: key → (value, flags)."""

    def __call__(self, key: str, value: Any, **flags: Any) -> None:
        self[key] = (float(value), flags)


def logging(module: Any) -> Logged:
    """Put a `Logged` in the place of the module's `log`."""
    module.log = Logged()
    logged: Logged = module.log
    return logged
