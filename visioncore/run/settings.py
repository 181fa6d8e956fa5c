"""What a run can be told: one declaration for the command line, for Hydra and for the program.

The first 25 are the old script's options, by its names and with its defaults.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from visioncore.compat import Compat
from visioncore.errors import nearest, one_of

PRECISIONS = ("16", "bf16", "32", "16-mixed", "bf16-mixed")
DEVICES = ("auto", "cpu", "cuda", "mps")
LOGGERS = ("csv", "wandb")
# those of the optimiser, which imports torch; --help does not wait for that
LR_SCHEDULERS = ("none", "step", "plateau", "cosine", "cosine_warmup")


class SettingsError(ValueError):
    """A setting that no run can be made of: which one, what was expected."""


def _setting(default: Any, key: str, text: str, **more: Any) -> Any:
    """key: where the setting lies in Hydra's configuration; more: `choices`, `least`, `most` where it is not 2**63."""
    return field(default=default, metadata={"key": key, "help": text, **more})


@dataclass(frozen=True, kw_only=True)
class Settings:
    model_config: str | None = _setting(None, "model.config", "model YAML")
    dataset_configs_path: str | None = _setting(None, "data.configs", "folder with one dataset YAML a session")
    max_datasets: int = _setting(30, "data.max_datasets", "use the first so many, sorted by name", least=1)
    batch_size: int = _setting(64, "data.batch_size", "samples a batch and process, of all sessions together", least=1)
    learning_rate: float = _setting(
        1e-4, "trainer.learning_rate", "of the adapters, recurrent stage and readouts", least=0
    )
    core_lr_scale: float = _setting(
        1.0, "trainer.core_lr_scale", "the core's learning rate is learning_rate times this", least=0
    )
    weight_decay: float = _setting(1e-5, "trainer.weight_decay", "of AdamW", least=0)
    max_epochs: int = _setting(100, "trainer.max_epochs", "epochs to train", least=1)
    precision: str = _setting("bf16", "trainer.precision", "of the forward pass", choices=PRECISIONS)
    num_gpus: int = _setting(
        2,
        "trainer.num_gpus",
        "devices a node, or processes with --device cpu; by default at most as many as there are",
        least=1,
    )
    num_workers: int = _setting(
        16, "data.num_workers", "loader processes a device; by default at most one a core", least=0
    )
    steps_per_epoch: int = _setting(1000, "trainer.steps_per_epoch", "training batches an epoch, at most", least=1)
    project_name: str = _setting("multidataset", "logger.project_name", "wandb project")
    experiment_name: str | None = _setting(
        None, "logger.experiment_name", "name of the run; by default made of the options"
    )
    checkpoint_dir: str = _setting("./checkpoints", "trainer.checkpoint_dir", "the run's folder is made in here")
    lr_scheduler: str = _setting("none", "trainer.lr_scheduler", "once an epoch", choices=LR_SCHEDULERS)
    warmup_epochs: int = _setting(5, "trainer.warmup_epochs", "of cosine_warmup", least=0)
    enable_curriculum: bool = _setting(False, "data.enable_curriculum", "high-contrast samples first")
    pretrained_checkpoint: str | None = _setting(
        None, "model.pretrained_checkpoint", "take adapters, frontend and convnet from it"
    )
    freeze_vision: bool = _setting(False, "model.freeze_vision", "what it gave is not trained")
    compile: bool = _setting(False, "model.compile", "torch.compile the network")
    gradient_clip_val: float = _setting(
        1.0, "trainer.gradient_clip_val", "largest norm of the gradient; 0 for none", least=0
    )
    accumulate_grad_batches: int = _setting(1, "trainer.accumulate_grad_batches", "batches an optimiser step", least=1)
    early_stopping_patience: int = _setting(
        10, "trainer.early_stopping_patience", "epochs without a better val_bps_overall", least=0
    )
    early_stopping_min_delta: float = _setting(
        0.0, "trainer.early_stopping_min_delta", "bits per spike that count as better", least=0
    )

    seed: int = _setting(0, "trainer.seed", "of the weights and of the order of the samples", least=0, most=2**32 - 1)
    resume: str | None = _setting(
        None, "trainer.resume", "a checkpoint to go on from, or auto: the run's last one if there is one"
    )
    device: str = _setting("auto", "trainer.device", "auto takes a GPU where there is one", choices=DEVICES)
    num_nodes: int = _setting(1, "trainer.num_nodes", "machines, of num_gpus devices each", least=1)
    val_fraction: float = _setting(0.05, "data.val_fraction", "of the validation samples to score every epoch", least=0)
    curriculum_steps: int = _setting(
        8000, "data.curriculum_steps", "optimiser steps until the curriculum is over", least=1
    )
    synthetic: bool = _setting(False, "data.synthetic", "make synthetic sessions, and train on them")
    loggers: str = _setting("csv,wandb", "logger.kinds", "csv, wandb or both; wandb is offline unless logged in")
    plots: bool = _setting(True, "logger.plots", "draw plots/ at the end")
    compat: str = _setting("", "compat", "quirks of the old trainer to keep: names with commas between, or all")

    given: frozenset[str] = frozenset()  # what was asked for, and not left at its default

    def __post_init__(self) -> None:
        for item in settings_fields():
            _check(item, getattr(self, item.name))
        if not self.val_fraction <= 1:
            raise SettingsError(f"val_fraction {self.val_fraction:g}: at most 1 is expected")
        try:
            Compat.parse(self.compat)
        except ValueError as error:
            raise SettingsError(str(error)) from error
        for kind in self.logger_kinds:
            if kind not in LOGGERS:
                raise SettingsError(f"logger {kind!r}: {one_of(LOGGERS)} is expected{nearest(kind, LOGGERS)}")

    @property
    def logger_kinds(self) -> list[str]:
        return [kind.strip() for kind in self.loggers.split(",") if kind.strip()]

    @property
    def quirks(self) -> Compat:
        return Compat.parse(self.compat)

    @property
    def name(self) -> str:
        """`experiment_name`, or what the old script made of the options."""
        if self.experiment_name is not None:
            return self.experiment_name
        return (
            f"{Path(str(self.model_config)).stem}_ddp_bs{self.batch_size}_ds{self.max_datasets}"
            f"_lr{self.learning_rate}_wd{self.weight_decay}"
        )

    @property
    def folder(self) -> Path:
        """Where the run's checkpoints, logs and plots go."""
        return Path(self.checkpoint_dir) / self.name

    def make_folder(self) -> None:
        """Raises SettingsError where there can be no such folder."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise SettingsError(
                f"the run's folder {str(self.folder)[:200]!r}, of checkpoint_dir and experiment_name, cannot be made: {reason}"
            ) from error

    def with_defaults(self, **values: Any) -> Settings:
        """These settings, with other values for what was not asked for."""
        return dataclasses.replace(self, **{name: value for name, value in values.items() if name not in self.given})


def settings_fields() -> list[dataclasses.Field[Any]]:
    """The settings in the order of their declaration."""
    return [item for item in dataclasses.fields(Settings) if item.metadata]


def from_values(values: Mapping[str, Any], given: frozenset[str] | None = None) -> Settings:
    """Settings from values by name. Raises SettingsError: a name or a value that cannot be."""
    known = {item.name: item for item in settings_fields()}
    for name in values:
        if name not in known:
            raise SettingsError(f"there is no setting {name!r}{nearest(name, known)}")
    return Settings(**values, given=frozenset(values) if given is None else given)


def kind_of(item: dataclasses.Field[Any]) -> Literal["int", "float", "str", "bool"]:
    """The type of a setting, but for None."""
    return str(item.type).removesuffix(" | None")  # type: ignore[return-value]  # the declarations above


def _check(item: dataclasses.Field[Any], value: Any) -> None:
    if value is None and "None" in str(item.type):
        return
    kind = kind_of(item)
    wanted = {"int": int, "float": (int, float), "str": str, "bool": bool}[kind]
    if not isinstance(value, wanted) or (isinstance(value, bool) and kind != "bool"):  # type: ignore[arg-type]
        raise SettingsError(f"{item.name}: a value of type {kind} is expected, {value!r} found")
    choices, least = item.metadata.get("choices"), item.metadata.get("least")
    if choices is not None and value not in choices:
        raise SettingsError(f"{item.name} {value!r}: {one_of(choices)} is expected{nearest(str(value), choices)}")
    if least is not None and not value >= least:
        raise SettingsError(f"{item.name} {value!r}: {least} or more is expected")
    most = item.metadata.get("most", 2**63 - 1)
    if kind == "int" and value > most:
        raise SettingsError(f"{item.name} {value!r}: at most {most} is expected")
