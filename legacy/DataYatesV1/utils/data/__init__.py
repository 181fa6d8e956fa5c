"""Sessions as samples."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor
from torch.utils.data import Dataset

from visioncore.compat import Compat
from visioncore.data.dataset import SessionDataset
from visioncore.data.prepare import prepare_session
from visioncore.models import load_dataset_configs

# what the private package did; how the trainer used it is the old script's business
QUIRKS = Compat.parse(["float32_stimulus", "normalise_last", "downsample_averages_indices", "unseeded"])


class CombinedEmbeddedDataset(Dataset[dict[str, Tensor]]):
    """Samples of a session one by one; `dsets` holds the recordings' covariates, all types in one."""

    def __init__(self, session: SessionDataset) -> None:
        self.session = session
        self.dsets = [session.session.covariates]

    def __len__(self) -> int:
        return len(self.session)

    def __getitem__(self, i: int) -> dict[str, Tensor]:
        return self.session[i]


def prepare_data(
    config: Mapping[str, Any] | str | Path, strict: bool = True
) -> tuple[CombinedEmbeddedDataset, CombinedEmbeddedDataset, dict[str, Any]]:
    """Training samples, validation samples, and the config with its `behavior_dim`; seeds every generator on the way.

    Errors are raised whether `strict` or not: the private package hid them, and what it left out was missed much later.
    """
    raw = load_dataset_configs([config])[0] if isinstance(config, str | Path) else config
    prepared = prepare_session(raw, QUIRKS)
    return CombinedEmbeddedDataset(prepared.train), CombinedEmbeddedDataset(prepared.val), prepared.config
