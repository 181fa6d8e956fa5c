"""A dataset YAML: which session, which cells, and what is made of its covariates."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from visioncore.errors import ConfigError, one_of
from visioncore.reading import read

# what the lab notes beside: how the cells were chosen
PROVENANCE = ("visual", "qcmissing", "qccontam", "cidsqc", "snr", "missingth", "contamth")
# what the model reads of it, not the data
OF_THE_MODEL = ("adapter", "readout", "behavior_dim")
# what a sample has of one frame; the others may be histories, and the stimulus always is
SINGLE = ("robs", "dfs", "behavior")
FOLDER_OF_LAB = {"yates": "{subject}_{date}", "rowley": "{date}_{subject}"}
_SESSION = re.compile(r"(?P<subject>.+)_(?P<date>\d{4}-\d{2}-\d{2})")

Lags = int | tuple[int, ...]


@dataclass(frozen=True)
class Sampling:
    """Rates in Hz. Raises ValueError where one is no multiple of the other."""

    source_rate: float
    target_rate: float

    def __post_init__(self) -> None:
        if not 0 < self.target_rate <= self.source_rate or self.source_rate % self.target_rate:
            raise ValueError(
                f"source_rate is a multiple of target_rate, {self.source_rate:g} and {self.target_rate:g} found"
            )

    @property
    def factor(self) -> int:
        return round(self.source_rate / self.target_rate)


@dataclass(frozen=True)
class Transform:
    """`ops` in order on the covariate `source`; the result is the covariate `expose_as`, by default the source itself."""

    source: str
    ops: tuple[Any, ...] = ()
    expose_as: str | None = None
    concatenate: bool = False
    keys_lags: Mapping[str, Lags] = field(default_factory=dict)

    @property
    def target(self) -> str:
        return self.expose_as or self.source


@dataclass(frozen=True)
class DataFilter:
    """`ops`, all of which a frame has to pass."""

    ops: tuple[Any, ...] = ()
    expose_as: str = "dfs"
    keys_lags: Mapping[str, Lags] = field(default_factory=dict)


@dataclass(frozen=True)
class DatasetConfig:
    """What is read of one session, and how; see docs/training.md. `cids` are columns of `robs`, `keys_lags` names what a sample holds."""

    session: str
    cids: tuple[int, ...]
    types: tuple[str, ...]
    keys_lags: Mapping[str, Lags]
    lab: str = "yates"
    sampling: Sampling | None = None
    transforms: Mapping[str, Any] = field(default_factory=dict)
    datafilters: Mapping[str, Any] = field(default_factory=dict)
    train_val_split: float = 0.8
    seed: int = 1002
    session_dir: str | None = None

    def __post_init__(self) -> None:
        if self.lab not in FOLDER_OF_LAB:
            raise ValueError(f"lab is {one_of(FOLDER_OF_LAB)}, {self.lab!r} found")
        if not _SESSION.fullmatch(self.session):
            raise ValueError(f"session is Subject_YYYY-MM-DD, {self.session!r} found")
        if not 0 < self.train_val_split < 1:
            raise ValueError(f"train_val_split is between 0 and 1, {self.train_val_split} found")
        for name, values in (("cids", self.cids), ("types", self.types)):
            if not values:
                raise ValueError(f"{name} is a list of at least one")
            if len(set(values)) < len(values):
                raise ValueError(f"{name} names one twice: {', '.join(map(str, values))}")
        if min(self.cids) < 0:
            raise ValueError(f"cids are columns of robs, from 0 on; {min(self.cids)} found")
        if "stim" not in self.keys_lags or "robs" not in self.keys_lags:
            raise ValueError("keys_lags has at least stim and robs")
        for name, lags in self.keys_lags.items():
            if min(lags if isinstance(lags, tuple) else (lags,), default=-1) < 0:
                raise ValueError(
                    f"keys_lags.{name} is a number of frames back, 0 or more, or a list of them; {lags} found"
                )
            if name == "stim" and not isinstance(lags, tuple):
                raise ValueError(f"keys_lags.stim is a list of frames back, {lags} found; [{lags}] is a history of one")
            if name in SINGLE and isinstance(lags, tuple):
                raise ValueError(f"keys_lags.{name} is one number of frames back, {list(lags)} found")
        if not 0 <= self.seed < 2**32:
            raise ValueError(f"seed is a whole number from 0 to {2**32 - 1}, {self.seed} found")

    @property
    def folder(self) -> str:
        """The name of the session's folder."""
        match = _SESSION.fullmatch(self.session)
        assert match is not None
        return FOLDER_OF_LAB[self.lab].format(**match.groupdict())


def parse_dataset_config(raw: Mapping[str, Any]) -> DatasetConfig:
    """A dataset YAML's content, as `load_dataset_configs` gives it. Raises ConfigError: which key, what was expected."""
    source = source_of(raw)
    ours = {
        key: value
        for key, value in raw.items()
        if not str(key).startswith("_") and key not in PROVENANCE and key not in OF_THE_MODEL
    }
    config = read(DatasetConfig, ours, "", source)
    transforms: dict[str, Transform] = {
        label: read(Transform, block, f"transforms.{label}", source)
        for label, block in (config.transforms or {}).items()
    }
    filters: dict[str, DataFilter] = {
        label: read(DataFilter, block, f"datafilters.{label}", source)
        for label, block in (config.datafilters or {}).items()
    }
    lags = dict(config.keys_lags)
    for own in [block.keys_lags for block in transforms.values()] + [block.keys_lags for block in filters.values()]:
        lags |= own
    return read(
        DatasetConfig, {**vars(config), "transforms": transforms, "datafilters": filters, "keys_lags": lags}, "", source
    )


def session_folder(config: DatasetConfig, raw: Mapping[str, Any]) -> Path:
    """Where the session lies: in `session_dir` (relative to the YAML), $VISIONCORE_SESSIONS, or `sessions` beside the YAMLs' folder.

    Raises ConfigError where there is no such folder.
    """
    beside = Path(raw.get("_config_path", ".")).parent
    if config.session_dir is not None:
        root, told = beside / Path(config.session_dir).expanduser(), "session_dir"
    elif "VISIONCORE_SESSIONS" in os.environ:
        root, told = Path(os.environ["VISIONCORE_SESSIONS"]).expanduser(), "VISIONCORE_SESSIONS"
    else:
        root, told = beside.parent / "sessions", "the folder of the dataset YAMLs"
    folder = root / config.folder
    if not folder.is_dir():
        raise ConfigError(
            f"{source_of(raw)}: there is no folder {folder}; the session's recordings are expected there (by {told}; "
            "`session_dir` in the YAML or VISIONCORE_SESSIONS names the folder of all sessions)"
        )
    return folder


def source_of(raw: Mapping[str, Any]) -> str:
    """What opens a sentence about this config."""
    return str(raw.get("_config_path") or raw.get("session") or "the dataset config")
