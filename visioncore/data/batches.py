"""Batches of several sessions, gathered at once instead of sample by sample."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from visioncore.data.buffers import Slabs
from visioncore.data.dataset import CONTRAST, SessionDataset

Group = dict[str, Any]
CHUNK = 8  # samples that are normalised at a time, so that they stay in the cache


class MixedDataset(Dataset[Group]):
    """The sessions one behind the other, as `ConcatDataset` has them, for a loader that asks for batches (`__getitems__`).

    pin: into pinned memory, from which a GPU copies without waiting
    """

    def __init__(self, sessions: Sequence[SessionDataset], pin: bool = False) -> None:
        self.datasets = list(sessions)
        self.cumulative_sizes = list(accumulate(map(len, self.datasets)))
        self._ends = torch.tensor(self.cumulative_sizes)
        self._starts = self._ends - torch.tensor([len(session) for session in self.datasets])
        self._slabs = Slabs(pin=pin)

    def __len__(self) -> int:
        return self.cumulative_sizes[-1]

    def __getitem__(self, i: int) -> Group:
        """A sample, normalised, with its `dataset_idx`."""
        if not -len(self) <= i < len(self):
            raise IndexError(f"sample {i} of {len(self)}")
        idx, within = self._located(torch.tensor([i % len(self)]))
        return {**self.datasets[int(idx)][int(within)], "dataset_idx": int(idx)}

    def __getitems__(self, indices: Sequence[int]) -> list[Group]:
        """One dict for each session among the samples, in order of first appearance, the samples in the order given.

        Stimuli are as they are stored: `normalise` is what is left to do. dataset_idx is (B,) int64.
        """
        idx, within = self._located(torch.as_tensor(indices))
        groups = []
        for session in dict.fromkeys(idx.tolist()):
            mine = within[idx == session]
            gathered = self.datasets[session].gather(mine, self._slabs)
            groups.append({**gathered, "dataset_idx": torch.full((len(mine),), session)})
        return groups

    def _located(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """The session of each sample, and its place therein."""
        idx = torch.searchsorted(self._ends, indices, right=True)
        return idx, indices - self._starts[idx]


def keep_groups(batch: list[Group]) -> list[Group]:
    """The `collate_fn` for `__getitems__`: there is nothing left to collate."""
    return batch


def normalise(group: Group, tables: Sequence[Tensor | None], slabs: Slabs | None = None) -> Group:
    """The group with its stimulus as float32, by the table of its session, on the device where both are; in `slabs` on a CPU."""
    table = tables[int(group["dataset_idx"][0])]
    stim = group["stim"]
    if table is None or stim.dtype != torch.uint8:
        return group
    if stim.device.type != "cpu":
        return {**group, "stim": table[stim.int()]}
    out = torch.empty(stim.shape) if slabs is None else slabs.take(tuple(stim.shape), torch.float32)
    _look_up(stim, table, out)
    return {**group, "stim": out}


def _look_up(stim: Tensor, table: Tensor, out: Tensor) -> None:
    """On a CPU, where arithmetic has the table's bits and takes half the time of looking them up."""
    contrast = torch.equal(table, CONTRAST)
    for start in range(0, len(stim), CHUNK):
        part, target = stim[start : start + CHUNK], out[start : start + CHUNK]
        if contrast:
            target.copy_(part).sub_(127).div_(255)
        else:
            torch.index_select(table, 0, part.flatten().int(), out=target.view(-1))
