"""The old way to samples, for comparison: one by one through three wrappers, collated at the end (facts 6 and 7.2, in own words)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch.utils.data import ConcatDataset, DataLoader, Dataset

from visioncore.data.dataset import SessionDataset
from visioncore.training.lightning.views import Float32View, group_collate


class EmbeddedSamples(Dataset[dict[str, Any]]):
    """An index table of (recording, frame); a sample is gathered key by key, recording by recording, into zeros."""

    def __init__(self, session: SessionDataset) -> None:
        self.recordings = [session.session.covariates]
        self.table = torch.stack([torch.zeros_like(session.frames), session.frames], 1)
        self.lags = session.session.lags

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, i: int) -> dict[str, Any]:
        rows = self.table[i : i + 1]
        sample = {}
        for key, lags in self.lags.items():
            shape = self.recordings[0][key].shape[1:]
            listed = isinstance(lags, Sequence)
            out = torch.zeros(
                (len(rows), len(lags), *shape) if listed else (len(rows), *shape), dtype=self.recordings[0][key].dtype
            )
            for recording in rows[:, 0].unique():
                mine = rows[:, 0] == recording
                frames = rows[mine, 1]
                where = frames[:, None] - torch.tensor(lags) if listed else frames - lags
                out[mine] = self.recordings[int(recording)][key][where]
            if key == "stim":
                out = out.permute(0, 2, 1, 3, 4)
            sample[key] = out.squeeze(0)
        return sample


class Tag(Dataset[dict[str, Any]]):
    def __init__(self, view: Float32View, index: int) -> None:
        self.view, self.index = view, index

    def __len__(self) -> int:
        return len(self.view)

    def __getitem__(self, i: int) -> dict[str, Any]:
        sample = self.view[i]
        sample["dataset_idx"] = self.index
        return sample


def old_loader(sessions: Sequence[SessionDataset], order: list[int], batch: int, workers: int) -> DataLoader[Any]:
    """Batches as the old trainer's, float32 and normalised."""
    parts = [Tag(Float32View(EmbeddedSamples(session), norm_removed=True), i) for i, session in enumerate(sessions)]
    return DataLoader(
        ConcatDataset(parts),
        batch_size=batch,
        sampler=order,
        num_workers=workers,
        collate_fn=group_collate,
        drop_last=True,
    )
