"""Which devices a run takes, and how its processes talk to each other."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import torch

from visioncore.run.settings import Settings, SettingsError


@dataclass(frozen=True)
class Machine:
    """What there is: GPUs, and cores that this process may use."""

    cuda: int
    mps: bool
    cores: int

    @classmethod
    def here(cls) -> Machine:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        return cls(torch.cuda.device_count(), torch.backends.mps.is_available(), cores)


@dataclass(frozen=True)
class Devices:
    """The Trainer's `accelerator`, `devices` a node, `precision`, and loader processes a device; `notes` say what was decided."""

    accelerator: str
    count: int
    precision: Any
    workers: int
    notes: tuple[str, ...] = ()


def choose(settings: Settings, machine: Machine) -> Devices:
    """What of the settings this machine can do. Raises SettingsError: more devices or workers asked for than there are."""
    accelerator, notes = _accelerator(settings, machine), []
    available = {"cuda": machine.cuda, "mps": 1}.get(accelerator)
    count = settings.num_gpus
    if available is not None and count > available:
        if "num_gpus" in settings.given:
            raise SettingsError(f"num_gpus {count}: this machine has {available}; {available} or fewer are expected")
        notes.append(f"{available} of the usual {count} devices are there, all are used")
        count = available
    if accelerator == "cpu":
        count = settings.num_gpus if "num_gpus" in settings.given else 1
        if settings.device == "auto":
            if count > 1:
                raise SettingsError(
                    f"num_gpus {count}: this machine has no GPU; --device cpu trains {count} processes on its processor"
                )
            notes.append("no GPU is there, training on the processor")
    workers = settings.num_workers
    if workers * count > machine.cores:
        if "num_workers" in settings.given and workers:
            raise SettingsError(
                f"num_workers {workers} for each of {count} processes: this machine has {machine.cores} cores; "
                f"{machine.cores // count} or fewer are expected, 0 loads in the training process"
            )
        # one core trains
        workers = max(machine.cores // count - 1, 0)
    if accelerator == "cpu" and "num_workers" not in settings.given:
        workers = 0  # gathering a batch is quicker than sending it from another process
    return Devices(accelerator, count, _precision(settings, accelerator), workers, tuple(notes))


def strategy(settings: Settings, devices: Devices) -> Any:
    """Lightning's strategy: DDP for more than one process, and wherever the old trainer is to be repeated (it always used DDP)."""
    if devices.count * settings.num_nodes == 1 and not settings.quirks.unshuffled_without_process_group:
        return "auto"
    from pytorch_lightning.strategies import DDPStrategy

    # a batch does not hold every dataset, and what is not in it has no gradient
    backend = "gloo" if devices.accelerator == "cpu" else None
    return DDPStrategy(find_unused_parameters=True, gradient_as_bucket_view=True, process_group_backend=backend)


def _accelerator(settings: Settings, machine: Machine) -> str:
    if settings.device == "auto":
        return "cuda" if machine.cuda else "cpu"
    if (settings.device == "cuda" and not machine.cuda) or (settings.device == "mps" and not machine.mps):
        raise SettingsError(f"device {settings.device!r}: this machine has none; auto takes what there is")
    return settings.device


def _precision(settings: Settings, accelerator: str) -> str:
    """16 and bf16 have always meant the mixed ones."""
    precision = settings.precision if settings.precision.endswith(("mixed", "32")) else f"{settings.precision}-mixed"
    if precision == "16-mixed" and accelerator == "cpu":
        raise SettingsError(f"precision {settings.precision!r} is for GPUs; on a processor, bf16 or 32 is expected")
    return precision
