"""The LightningDataModule."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
import torch.distributed as dist
from pytorch_lightning.utilities import rank_zero_info
from torch import Tensor
from torch.utils.data import DataLoader, Sampler
from torch.utils.data.distributed import DistributedSampler

from visioncore.compat import Compat
from visioncore.data.batches import MixedDataset, keep_groups, normalise
from visioncore.data.buffers import Slabs
from visioncore.data.dataset import SessionDataset
from visioncore.data.loader import ThreadedLoader
from visioncore.data.prepare import prepare_session
from visioncore.training.curriculum import Scores, contrast_scores
from visioncore.training.lightning.views import Float32View, cast_stim, group_collate, tagged
from visioncore.training.samplers import ContrastWeightedSampler, FixedSubset, Undistributed
from visioncore.training.sessions import read_dataset_configs

__all__ = ["Float32View", "MultiDatasetDM", "cast_stim", "group_collate"]


class MultiDatasetDM(pl.LightningDataModule):
    """All the sessions of a folder of dataset YAMLs, served as mixed batches: a list with a dict for each dataset in the batch.

    With a curriculum, high-contrast samples come more often in the first `curriculum_steps` optimiser steps; `CurriculumCallback`
    has to tell the sampler the step.
    """

    def __init__(
        self,
        cfg_dir: str | Path,
        max_ds: int,
        batch: int,
        workers: int,
        steps_per_epoch: int,
        enable_curriculum: bool = False,
        *,
        compat: Any = None,
        seed: int = 0,
        val_fraction: float = 0.05,
        curriculum_steps: int = 8000,
    ) -> None:
        """
        cfg_dir: folder of dataset YAMLs, of which the first `max_ds` by name are used
        batch: samples per batch and process, all datasets together; workers: loader processes per process
        steps_per_epoch: for reference, the Trainer limits the batches
        compat: what `Compat.parse` takes; seed: of the order of the samples, the same on all ranks
        val_fraction: of the validation samples to score, the same ones every epoch, but never less than a batch

        Raises ValueError: a batch, or a fraction, that cannot be.
        """
        super().__init__()
        if batch < 1 or workers < 0:
            raise ValueError(f"batches of {batch} by {workers} workers; at least 1 and 0 are expected")
        if not 0 < val_fraction <= 1:
            raise ValueError(
                f"a fraction of {val_fraction} of the validation samples; above 0 and at most 1 is expected"
            )
        self.cfg_dir, self.max_ds = cfg_dir, max_ds
        self.batch, self.workers, self.spe = batch, workers, steps_per_epoch
        self.enable_curriculum, self.curriculum_steps = enable_curriculum, curriculum_steps
        self.compat = Compat.parse(compat)
        # the old trainer's order had no seed of its own
        self.seed = 0 if self.compat.unseeded else seed
        self.val_fraction = val_fraction
        self.names: list[str] = []
        self.cfgs: list[dict[str, Any]] = []
        self.name2idx: dict[str, int] = {}
        self.train_dsets: dict[str, SessionDataset] = {}
        self.val_dsets: dict[str, SessionDataset] = {}
        self.contrast_scores: dict[str, Scores] = {}
        self._tables: dict[torch.device, list[Tensor | None]] = {}
        self._slabs = Slabs()

    @property
    def limit_val_batches(self) -> float:
        """For the Trainer: all that `val_dataloader` serves; with `validation_reshuffled`, the fraction is the Trainer's to take (Q16)."""
        return self.val_fraction if self.compat.validation_reshuffled else 1.0

    def setup(self, stage: str | None = None) -> None:
        """Read and prepare every session, once. Raises DataError, ConfigError."""
        if self.train_dsets:
            return
        self.cfgs = read_dataset_configs(self.cfg_dir, self.max_ds)
        self.names = [config["_dataset_name"] for config in self.cfgs]
        self.name2idx = {name: idx for idx, name in enumerate(self.names)}
        for name, config in zip(self.names, self.cfgs, strict=True):
            prepared = prepare_session(config, self.compat)
            self.train_dsets[name], self.val_dsets[name] = prepared.train, prepared.val
        n_train, n_val = (sum(map(len, part.values())) for part in (self.train_dsets, self.val_dsets))
        rank_zero_info(f"{len(self.names)} datasets: {n_train} training and {n_val} validation samples")
        if self.enable_curriculum:
            self.contrast_scores = contrast_scores(self.train_dsets, by_raw_frame=self.compat.curriculum_never_anneals)

    def one_sample_each(self) -> list[dict[str, Tensor]]:
        """A batch of one sample of each dataset, of which the shapes are wanted."""
        first = torch.tensor([0])
        return [
            (self.train_dsets if len(self.train_dsets[name]) else self.val_dsets)[name].gather(first)
            for name in self.names
        ]

    def train_dataloader(self) -> DataLoader[Any]:
        dataset = self._mixed(self.train_dsets)
        return self._loader(dataset, self._training_sampler(dataset), drop_last=True)

    def val_dataloader(self) -> DataLoader[Any]:
        dataset = self._mixed(self.val_dsets)
        if self.compat.validation_reshuffled:
            weighted = self.enable_curriculum and self.compat.curriculum_never_anneals
            sampler = self._training_sampler(dataset) if weighted else self._shuffled(dataset)
            return self._loader(dataset, sampler, drop_last=True)
        world, rank = _world_and_rank()
        subset = FixedSubset(dataset, self.val_fraction, self.batch, world, rank, self.seed)
        return self._loader(dataset, subset, drop_last=False)

    def transfer_batch_to_device(
        self, batch: Sequence[dict[str, Any]], device: torch.device, dataloader_idx: int
    ) -> list[dict[str, Any]]:
        """Everything but the datasets' indices, which the host reads, and the stimulus where nothing looks at it."""
        module = self.trainer.lightning_module if self.trainer else None
        stays = ("dataset_idx", "stim") if getattr(module, "is_modulator_only", False) else ("dataset_idx",)
        return [
            {
                key: value.to(device, non_blocking=True) if isinstance(value, Tensor) and key not in stays else value
                for key, value in group.items()
            }
            for group in batch
        ]

    def on_after_batch_transfer(self, batch: Sequence[dict[str, Any]], dataloader_idx: int) -> list[dict[str, Any]]:
        """uint8 stimuli become float32 here, on the device."""
        return [self._normalised(group) if group["stim"].dtype == torch.uint8 else group for group in batch]

    def _normalised(self, group: dict[str, Any]) -> dict[str, Any]:
        device = group["stim"].device
        if device not in self._tables:
            tables = (self.train_dsets[name].stim_table for name in self.names)
            self._tables[device] = [None if table is None else table.to(device) for table in tables]
        normalised: dict[str, Any] = normalise(group, self._tables[device], self._slabs)
        return normalised

    def _mixed(self, sessions: dict[str, SessionDataset]) -> Any:
        parts = [sessions[name] for name in self.names]
        if self.compat.fork_only_workers:
            return tagged(Float32View(part, norm_removed=False) for part in parts)
        return MixedDataset(parts, pin=torch.cuda.is_available())

    def _training_sampler(self, dataset: Any) -> Sampler[int] | None:
        old = self.compat.curriculum_never_anneals
        if not self.enable_curriculum or (old and not _has_process_group()):
            return self._shuffled(dataset)
        world, rank = _world_and_rank()
        sampler = ContrastWeightedSampler(
            dataset,
            self.contrast_scores,
            self.name2idx,
            world,
            rank,
            seed=self.seed,
            drop_last=True,
            warmup_steps=8000 if old else self.curriculum_steps,
        )
        if old:
            return Undistributed(sampler)
        # workers begin with the first epoch's list before any callback has a say
        sampler.set_step(self.trainer.global_step if self.trainer else 0)
        return sampler

    def _shuffled(self, dataset: Any) -> Sampler[int] | None:
        """Another order every epoch, the same with a process group of one as without; none at all for Q8."""
        if self.compat.unshuffled_without_process_group and not _has_process_group():
            return None
        world, rank = _world_and_rank()
        return DistributedSampler(dataset, world, rank, shuffle=True, seed=self.seed, drop_last=True)

    def _loader(self, dataset: Any, sampler: Sampler[int] | None, drop_last: bool) -> DataLoader[Any]:
        available = len(dataset if sampler is None else sampler)  # type: ignore[arg-type]
        if available < self.batch and drop_last:
            raise ValueError(
                f"{available} samples a process do not make a batch of {self.batch}; a smaller batch_size is expected"
            )
        # a loader draws a seed for its workers at every epoch; from torch's generator, that would move the dropout along
        generator = None if self.compat.unseeded else torch.Generator().manual_seed(self.seed)
        options: dict[str, Any] = {
            "batch_size": self.batch,
            "sampler": sampler,
            "num_workers": self.workers,
            "drop_last": drop_last,
            "generator": generator,
        }
        if self.compat.fork_only_workers:
            pin = torch.cuda.is_available()
            return DataLoader(dataset, collate_fn=group_collate, pin_memory=pin, **options)
        return ThreadedLoader(dataset, collate_fn=keep_groups, persistent_workers=self.workers > 0, **options)


def _has_process_group() -> bool:
    return dist.is_available() and dist.is_initialized()


def _world_and_rank() -> tuple[int, int]:
    return (dist.get_world_size(), dist.get_rank()) if _has_process_group() else (1, 0)
