"""Samples one by one, as the old loader served them; `MixedDataset` serves whole batches and gives the same bits."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

import torch
from torch import Tensor
from torch.utils.data import ConcatDataset, Dataset, default_collate

Sample = dict[str, Any]


def cast_stim(x: Tensor, norm_removed: bool, dtype: torch.dtype = torch.float32) -> Tensor:
    """`x` in another type and, where pixelnorm was left to do, as (x - 127) / 255."""
    x = x.to(dtype)
    return (x - 127) / 255 if norm_removed else x


class Float32View(Dataset[Sample]):
    """Samples with stimulus, counts and behaviour in float32 (bfloat16 with `float16`), so that what is stored can be small."""

    def __init__(self, ds: Any, norm_removed: bool, float16: bool = False) -> None:
        self.ds = ds
        self.norm_removed = norm_removed
        self.dtype = torch.bfloat16 if float16 else torch.float32

    def __len__(self) -> int:
        return len(self.ds)

    def __getitem__(self, i: int) -> Sample:
        sample = dict(self.ds[i])
        sample["stim"] = cast_stim(sample["stim"], self.norm_removed, self.dtype)
        for name in ("robs", "behavior"):
            if name in sample:
                sample[name] = sample[name].to(self.dtype)
        return sample


def group_collate(samples: Iterable[Sample]) -> list[Sample]:
    """One collated dict for each dataset among the samples, in order of first appearance."""
    bucket: dict[int, list[Sample]] = {}
    for sample in samples:
        bucket.setdefault(sample["dataset_idx"], []).append(sample)
    return [default_collate(group) for group in bucket.values()]


def tagged(views: Iterable[Dataset[Sample]]) -> ConcatDataset[Sample]:
    """The datasets one behind the other, each sample with its `dataset_idx`; not to be pickled, so workers need fork (Q11)."""

    class Tag(Dataset[Sample]):
        def __init__(self, ds: Dataset[Sample], idx: int) -> None:
            self.ds, self.idx = ds, idx

        def __len__(self) -> int:
            return len(cast("Any", self.ds))

        def __getitem__(self, i: int) -> Sample:
            return {**self.ds[i], "dataset_idx": self.idx}

    return ConcatDataset([Tag(view, idx) for idx, view in enumerate(views)])
