"""Which samples, in which order, on which rank.

All are `DistributedSampler`s, also on one rank: Lightning then leaves them as they are, and tells them the epoch.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol, cast

import numpy as np
import torch
from torch.utils.data import Dataset, Sampler
from torch.utils.data.distributed import DistributedSampler


class Concatenated(Protocol):
    """`ConcatDataset`, or what looks like it: samples are numbered through the datasets, one after the other."""

    @property
    def datasets(self) -> Sequence[Any]: ...

    def __len__(self) -> int: ...


class ContrastWeightedSampler(DistributedSampler[int]):
    """Prefers high-contrast samples early in training.

    Below `warmup_steps` samples are drawn with replacement, a sample of contrast c with weight min((0.5 + 0.5 step / warmup_steps) c, 1);
    from then on each comes once, in random order. All ranks draw the same list, by `seed + epoch`, and take their share of it.

    dataset: the sessions, concatenated
    contrast_scores_dict: name → one score a sample, 1 = the median contrast; without a score a sample counts as 1, surplus scores
        are not looked at
    dataset_name_to_idx: name → position in `dataset.datasets`
    num_replicas, rank: of the process group if None
    warmup_steps: optimiser steps until the weighting is off

    Raises ValueError: a rank that is not below num_replicas.
    """

    def __init__(
        self,
        dataset: Concatenated,
        contrast_scores_dict: Mapping[str, Any],
        dataset_name_to_idx: Mapping[str, int],
        num_replicas: int | None = None,
        rank: int | None = None,
        shuffle: bool = True,
        seed: int = 0,
        drop_last: bool = False,
        warmup_steps: int = 8000,
    ) -> None:
        super().__init__(cast("Dataset[Any]", dataset), num_replicas, rank, shuffle, seed, drop_last)
        self.warmup_steps = warmup_steps
        self.current_step = 0
        self.contrast = _contrast_by_sample(dataset, contrast_scores_dict, dataset_name_to_idx)

    def set_step(self, step: int) -> None:
        """How many optimiser steps have been taken; heeded by the next list that is drawn, that is, from the next epoch on."""
        self.current_step = step

    def __iter__(self) -> Iterator[int]:
        n = len(self.contrast)
        generator = torch.Generator()
        generator.manual_seed(self.seed + self.epoch)
        if not self.shuffle:
            indices = list(range(n))
        elif self.current_step >= self.warmup_steps:
            indices = torch.randperm(n, generator=generator).tolist()
        else:
            alpha = 0.5 + 0.5 * self.current_step / self.warmup_steps
            weights = torch.clamp(alpha * self.contrast, max=1.0)
            indices = torch.multinomial(weights, n, replacement=True, generator=generator).tolist()
        return iter(share(indices, self.total_size, self.rank, self.num_replicas))


class FixedSubset(DistributedSampler[int]):
    """The same `fraction` of the samples of every dataset in every epoch, mixed once, without any sample twice.

    Each dataset gives evenly spaced samples, from a seeded first one on, and at least one. `at_least` samples a rank are taken if
    there are as many. All ranks get equally many, so that none waits for the others; for that, up to num_replicas - 1 are left out.
    """

    def __init__(
        self, dataset: Concatenated, fraction: float, at_least: int, num_replicas: int, rank: int, seed: int = 0
    ) -> None:
        super().__init__(cast("Dataset[Any]", dataset), num_replicas, rank, shuffle=False, seed=seed, drop_last=True)
        n = len(dataset)
        wanted = min(max(math.ceil(fraction * n), at_least * num_replicas), n)
        chosen = _stratified([len(part) for part in dataset.datasets], wanted, seed)
        if len(chosen) < num_replicas:
            raise ValueError(
                f"{len(chosen)} validation samples cannot be shared by {num_replicas} ranks; train on fewer devices"
            )
        self.num_samples = len(chosen) // num_replicas
        self.total_size = self.num_samples * num_replicas
        self.indices = share(chosen, self.total_size, rank, num_replicas)

    def __iter__(self) -> Iterator[int]:
        return iter(self.indices)


class Undistributed(Sampler[int]):
    """A sampler that Lightning does not see is distributed already: it shards the samples again, and no step arrives (Q10)."""

    def __init__(self, sampler: DistributedSampler[int]) -> None:
        self.sampler = sampler

    def set_epoch(self, epoch: int) -> None:
        self.sampler.set_epoch(epoch)

    def __iter__(self) -> Iterator[int]:
        return iter(self.sampler)

    def __len__(self) -> int:
        return len(self.sampler)


def share(indices: list[int], total_size: int, rank: int, num_replicas: int) -> list[int]:
    """A rank's share of a list that is first repeated or cut to `total_size`."""
    if len(indices) < total_size:
        indices = indices * math.ceil(total_size / max(len(indices), 1))
    return indices[:total_size][rank::num_replicas]


def _contrast_by_sample(dataset: Concatenated, scores: Mapping[str, Any], position: Mapping[str, int]) -> torch.Tensor:
    """(len(dataset),) float32."""
    parts = [torch.ones(len(part), dtype=torch.float32) for part in dataset.datasets]
    for name, idx in position.items():
        if scores.get(name) is not None:
            given = torch.as_tensor(np.asarray(scores[name]), dtype=torch.float32)[: len(parts[idx])]
            parts[idx][: len(given)] = given
    return torch.cat(parts)


def _stratified(sizes: Sequence[int], wanted: int, seed: int) -> list[int]:
    """`wanted` of the samples, or a few more, from each dataset in proportion and at least one, in mixed order."""
    generator = torch.Generator()
    generator.manual_seed(seed)
    total, start = max(sum(sizes), 1), 0
    chosen: list[torch.Tensor] = []
    for size in sizes:
        count = min(size, max(1, math.ceil(wanted * size / total)))
        if count:
            offset = torch.rand((), generator=generator, dtype=torch.float64)
            spaced = (torch.arange(count, dtype=torch.float64) + offset) * (size / count)
            chosen.append(start + spaced.long().clamp(max=size - 1))
        start += size
    mixed = torch.cat(chosen) if chosen else torch.empty(0, dtype=torch.int64)
    order: list[int] = mixed[torch.randperm(len(mixed), generator=generator)].tolist()
    return order
