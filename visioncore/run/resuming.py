"""Going on with a run: from which checkpoint, and whether it is one of this network."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from visioncore.run.settings import Settings, SettingsError

# what the optimiser's state has anyway, by setting: the hyper-parameter that tells of it
_KEPT = {"learning_rate": "lr", "weight_decay": "wd", "core_lr_scale": "core_lr_scale"}
_NEEDED = (
    "state_dict",
    "optimizer_states",
    "lr_schedulers",
    "loops",
    "epoch",
    "global_step",
    "pytorch-lightning_version",
)


def checkpoint_to_resume(settings: Settings) -> str | None:
    """`settings.resume`, or for "auto" the run's last checkpoint, None where there is none yet. Raises SettingsError: no such file."""
    if settings.resume is None:
        return None
    if settings.resume == "auto":
        last = [*settings.folder.glob("last*.ckpt")]
        return str(max(last, key=lambda path: path.stat().st_mtime)) if last else None
    if not Path(settings.resume).is_file():
        raise SettingsError(f"resume: {settings.resume} is no checkpoint file; a path is expected, or auto")
    return settings.resume


def saved_step(checkpoint: str | None) -> int | None:
    """The optimiser steps that had been taken. Raises SettingsError: the file is no checkpoint, or damaged."""
    return None if checkpoint is None else int(_read(checkpoint)["global_step"])


def going_on(settings: Settings, checkpoint: str | None) -> Settings:
    """The settings with what the checkpoint's optimiser keeps. Raises SettingsError where something else was asked for."""
    if checkpoint is None:
        return settings
    found = _read(checkpoint).get("hyper_parameters")
    saved = found if isinstance(found, Mapping) else {}
    kept = {name: saved[key] for name, key in _KEPT.items() if isinstance(saved.get(key), int | float)}
    for name, value in kept.items():
        asked = getattr(settings, name)
        if name in settings.given and asked != value:
            raise SettingsError(
                f"{name} {asked:g}: {checkpoint} was trained with {value:g}, which its optimiser would keep; leave {name} out, "
                "or begin a run of its own with --pretrained_checkpoint"
            )
    return settings.with_defaults(experiment_name=settings.name, **kept)


def check_resumable(checkpoint: str | None, model: nn.Module) -> None:
    """Raises SettingsError: parts that a run leaves behind are missing, or the weights are another network's."""
    if checkpoint is None:
        return
    saved = _read(checkpoint)
    missing = [part for part in _NEEDED if part not in saved]
    if missing:
        raise SettingsError(
            f"resume: {checkpoint} has no {', '.join(missing)}: a checkpoint that a run left behind is expected"
        )
    found = {
        name.replace("_orig_mod.", ""): tuple(getattr(weight, "shape", ()))
        for name, weight in saved["state_dict"].items()
    }
    expected = {name: tuple(weight.shape) for name, weight in model.state_dict().items()}
    differing = [name for name in {**expected, **found} if found.get(name) != expected.get(name)]
    if differing:
        first = differing[0]
        raise SettingsError(
            f"resume: {checkpoint} is of another network, or of other sessions or cells: {len(differing)} weights differ, first {first}, "
            f"{_shape(found.get(first))} in the checkpoint and {_shape(expected.get(first))} in the network"
        )


def _shape(shape: tuple[int, ...] | None) -> str:
    return "missing" if shape is None else str(shape)


def _read(checkpoint: str) -> Mapping[str, Any]:
    """Without its weights in memory. Raises SettingsError: the file is no checkpoint, or damaged."""
    try:
        found = torch.load(checkpoint, map_location="cpu", weights_only=True, mmap=True)
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, TypeError, pickle.UnpicklingError) as error:
        told = " ".join(str(error).split())[:160]
        raise SettingsError(f"resume: {checkpoint} is no checkpoint that can be gone on from: {told}") from error
    if not isinstance(found, Mapping) or not isinstance(found.get("global_step"), int):
        raise SettingsError(f"resume: {checkpoint} is no checkpoint that can be gone on from: it counts no steps")
    return found
