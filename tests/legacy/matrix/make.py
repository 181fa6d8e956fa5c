"""Runs the old classes, unedited, and leaves their checkpoints: `python make.py FOLDER`, with the old tree on PYTHONPATH.

Every kind is trained once and saved in every variant; beside them lies what the old class said and how it trained on.
"""

from __future__ import annotations

import copy
import sys
import warnings
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader

from tests.legacy.matrix.data import EPOCHS, batches, dataset_configs, model_config, rates, write_configs

warnings.simplefilter("ignore")
torch.set_num_threads(1)


class Losses:
    """Every step's loss, whatever Lightning this is."""

    def of(self, pl: Any) -> Any:
        seen = self.seen = []

        class Callback(pl.Callback):
            def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
                seen.append(outputs["loss"].detach().clone())

        return Callback()


class Drawing:
    """An evaluation module: a live object in the hyper-parameters."""

    def wandb_logs(self, module: Any) -> None:
        pass


def trainer(pl: Any, epochs: int, *callbacks: Any) -> Any:
    return pl.Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        devices=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        callbacks=list(callbacks),
    )


def old_module(kind: str, folder: Path) -> tuple[Any, Any]:
    """The module and the Lightning that it is of."""
    torch.manual_seed(3)
    if kind == "MultiDatasetModel":
        import pytorch_lightning
        from train_ddp_multidataset import MultiDatasetModel

        return MultiDatasetModel(str(folder / "model.yaml"), str(folder / "sessions"), 1e-3, 1e-2, 2), pytorch_lightning
    import lightning.pytorch
    from models.build import build_model
    from models.lightning import MultiDatasetPLCore, PLCoreVisionModel

    shared = {"model_class": build_model, "model_config": model_config(kind), "eval_modules": [Drawing()]}
    if kind == "PLCoreVisionModel":
        return PLCoreVisionModel(**shared, cids=[3, 5, 8, 9]), lightning.pytorch
    return MultiDatasetPLCore(**shared, dataset_configs=dataset_configs()), lightning.pytorch


def named_state(module: Any, optimizer: Any) -> dict[str, dict[str, torch.Tensor]]:
    names = {id(parameter): name for name, parameter in module.named_parameters()}
    return {names[id(parameter)]: copy.deepcopy(state) for parameter, state in optimizer.state.items()}


def make(kind: str, folder: Path) -> None:
    module, pl = old_module(kind, folder)
    loader = DataLoader(batches(kind), batch_size=None)
    first = trainer(pl, EPOCHS)
    first.fit(module, loader)
    plain = folder / f"{kind}-plain.ckpt"
    first.save_checkpoint(plain)
    truth = {"rates": rates(module, kind), "optimizer": named_state(module, first.optimizers[0])}
    weights = copy.deepcopy(module.state_dict())
    variants(kind, folder, module, first)

    again, pl = old_module(kind, folder)
    losses = Losses()
    trainer(pl, EPOCHS + 1, losses.of(pl)).fit(again, loader, ckpt_path=plain, weights_only=False)
    truth |= {"losses": losses.seen, "weights": weights}
    torch.save(truth, folder / f"{kind}.truth")


def variants(kind: str, folder: Path, module: Any, fitted: Any) -> None:
    """Each as it came about: wrapped, cast, tied, without its optimiser, with an average, by other ways of saving."""

    def path(name: str) -> Path:
        return folder / f"{kind}-{name}.ckpt"

    network = module.model
    for name, wrap in (("compiled", torch.compile), ("parallel", torch.nn.DataParallel)):
        module.model = wrap(network)
        fitted.save_checkpoint(path(name))
    module.model = torch.compile(torch.nn.DataParallel(network))
    fitted.save_checkpoint(path("both"))
    module.model = network
    fitted.save_checkpoint(path("weights-only"), weights_only=True)

    saved = torch.load(path("plain"), weights_only=False)
    torch.save(saved, path("non-zip"), _use_new_zipfile_serialization=False)
    half = {n: value.half() if value.is_floating_point() else value for n, value in saved["state_dict"].items()}
    torch.save({**saved, "state_dict": type(saved["state_dict"])(half)}, path("half"))
    state = saved["state_dict"]
    tied = type(state)({**state, "model.readout_bias": state[next(n for n in state if n.endswith("bias"))]})
    torch.save({**saved, "state_dict": tied}, path("tied"))
    torch.save({name: value for name, value in saved.items() if name != "optimizer_states"}, path("no-optimizer"))
    average = {f"model._orig_mod.{name}": value * 0.5 for name, value in network.state_dict().items()}
    callbacks = {**saved["callbacks"], "EMACallback": {"ema_state_dict": average, "decay": 0.99}}
    torch.save({**saved, "callbacks": callbacks, "ema_state_dict": average}, path("ema"))


if __name__ == "__main__":
    target = Path(sys.argv[1])
    write_configs(target)
    for each in ("PLCoreVisionModel", "MultiDatasetPLCore", "MultiDatasetModel"):
        make(each, target)
