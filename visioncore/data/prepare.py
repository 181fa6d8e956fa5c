"""From a dataset YAML to training and validation samples in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from visioncore.compat import Compat
from visioncore.data.config import DatasetConfig, parse_dataset_config, session_folder, source_of
from visioncore.data.dataset import Frames, SessionDataset
from visioncore.data.errors import DataError
from visioncore.data.filters import check_filters, filtered
from visioncore.data.formats import SUFFIXES, find_recording, read_recording
from visioncore.data.gaps import bridged, check_numbers
from visioncore.data.recording import Recording
from visioncore.data.resample import downsampled
from visioncore.data.splits import split_by_trial
from visioncore.data.transforms import check_transforms, transformed
from visioncore.errors import ConfigError

# of these torch neither makes sums nor joins them with others
UNSIGNED = (torch.uint16, torch.uint32, torch.uint64)


@dataclass(frozen=True)
class PreparedSession:
    """`config` is the dataset YAML's, with `behavior_dim` where there is behaviour."""

    name: str
    train: SessionDataset
    val: SessionDataset
    config: dict[str, Any]


def prepare_session(raw: Mapping[str, Any], compat: Compat | None = None) -> PreparedSession:
    """Read a session's recordings, filter, transform and split them.

    raw: as `load_dataset_configs` gives it. Raises ConfigError, DataError: which file, what was found, what was expected.
    """
    compat = compat or Compat()
    config = parse_dataset_config(raw)
    source = source_of(raw)
    check_transforms(config.transforms, source)
    check_filters(config.datafilters, source)
    folder = session_folder(config, raw)
    parts: list[Recording] = []
    normalise_later = False
    for kind in config.types:
        path = find_recording(folder, kind)
        if path is None:
            raise DataError(f"{source}: there is no recording {folder / 'datasets' / kind} ({', '.join(SUFFIXES)})")
        try:
            part, later = _prepared(read_recording(path), config, folder, compat)
        except ConfigError as error:
            raise ConfigError(f"{source}: {error} (in {path})") from error
        except DataError as error:
            raise DataError(str(error) if str(path) in str(error) else f"{_placed(path, config)}: {error}") from error
        parts.append(part)
        normalise_later |= later
    train, val = _split(parts, config, compat)
    if not len(train) or not len(val):
        missing = "training" if not len(train) else "validation"
        raise DataError(
            f"{source}: no frame is left for {missing}: {len(train) + len(val)} of {sum(part.frames for part in parts)} frames "
            f"have the eye, their history and a cell that counts, and train_val_split is {config.train_val_split:g}"
        )
    session = _joined(str(raw.get("_dataset_name") or config.session), parts, config, normalise_later, source)
    prepared = dict(raw)
    if "behavior" in session.covariates:
        prepared["behavior_dim"] = session.covariates["behavior"].shape[1]
    return PreparedSession(session.name, SessionDataset(session, train), SessionDataset(session, val), prepared)


def _placed(path: Path, config: DatasetConfig) -> str:
    """The recording, and how frames are counted where that is not as they were recorded."""
    if config.sampling is None or config.sampling.factor == 1:
        return str(path)
    return f"{path} at {config.sampling.target_rate:g} Hz"


def _prepared(recording: Recording, config: DatasetConfig, folder: Path, compat: Compat) -> tuple[Recording, bool]:
    """At the model's rate, with masks, transforms, and the cells of the config alone."""
    known = {
        name: value.long() if value.dtype in UNSIGNED and name != "stim" else value
        for name, value in recording.covariates.items()
    }
    recording = Recording(known, recording.metadata)
    if config.sampling is not None:
        recording = downsampled(recording, config.sampling.factor, compat)
    units = recording["robs"].shape[1]
    if max(config.cids) >= units:
        raise DataError(f"cids are columns of robs, which has {units}; {max(config.cids)} found")
    recording = filtered(recording, config.datafilters, folder)
    if "dfs" not in recording:
        recording = Recording({**recording.covariates, "dfs": _history(recording, config)}, recording.metadata)
    cids = torch.tensor(config.cids)
    inputs = {transform.source for transform in config.transforms.values()} | set(config.keys_lags)
    counts = (_of_cells(recording["dfs"], cids) > 0).any(1)
    recording = bridged(recording, inputs - {"stim", "robs", "dfs"}, counts)
    recording, normalise_later = transformed(recording, config.transforms, compat)
    covariates = dict(recording.covariates)
    covariates["robs"] = covariates["robs"][:, cids].float()
    covariates["dfs"] = _of_cells(covariates["dfs"], cids)
    for name in config.keys_lags:
        if name not in covariates:
            raise DataError(f"keys_lags names {name!r}, and there is no such covariate; found {sorted(covariates)}")
    if covariates["stim"].dim() == 3:
        covariates["stim"] = covariates["stim"].unsqueeze(1)
    if covariates["stim"].dim() != 4:
        raise DataError(f"the stimulus is (T, C, H, W) when its ops are done, {tuple(covariates['stim'].shape)} found")
    if "behavior" in covariates:
        behavior = covariates["behavior"].float()
        covariates["behavior"] = behavior if behavior.dim() > 1 else behavior[:, None]
    check_numbers(covariates, config.keys_lags.keys(), config.cids)
    return Recording(covariates, recording.metadata), normalise_later


def _of_cells(dfs: Tensor, cids: Tensor) -> Tensor:
    """(T, 1), or (T, N) of the cells of the config."""
    dfs = dfs.float()
    dfs = dfs if dfs.dim() > 1 else dfs[:, None]
    return dfs if dfs.shape[1] in (1, len(cids)) else dfs[:, cids]


def _history(recording: Recording, config: DatasetConfig) -> Tensor:
    """Without a filter: every frame whose whole history is in the recording."""
    return (torch.arange(recording.frames) >= _reach(config)).float()[:, None]


def _reach(config: DatasetConfig) -> int:
    """How many frames back a sample looks."""
    return max(max(lags if isinstance(lags, tuple) else (lags,)) for lags in config.keys_lags.values())


def _split(parts: Sequence[Recording], config: DatasetConfig, compat: Compat) -> tuple[Tensor, Tensor]:
    """Frames of training and of validation, counted through all parts."""
    chosen: tuple[list[Tensor], list[Tensor]] = ([], [])
    start = 0
    for part in parts:
        valid = (part["dfs"] > 0).any(1)
        # a sample that looks back beyond the recording would see the end of another one
        valid[: _reach(config)] = False
        trials = part["trial_inds"].flatten() if "trial_inds" in part else torch.arange(part.frames)
        both = split_by_trial(trials, valid.nonzero()[:, 0], config.train_val_split, config.seed, compat)
        for frames, those in zip(both, chosen, strict=True):
            those.append(frames + start)
        start += part.frames
    return torch.cat(chosen[0]), torch.cat(chosen[1])


def _joined(name: str, parts: list[Recording], config: DatasetConfig, normalise_later: bool, source: str) -> Frames:
    """The parts' covariates one behind the other; `parts` is emptied on the way, so that the stimulus is not there twice."""
    starts = torch.tensor([0, *(part.frames for part in parts[:-1])]).cumsum(0)
    for part in parts:
        # not every type is shown again and again; -1 is no place in a repeated sequence
        if "psth_inds" not in part and any("psth_inds" in other for other in parts):
            part.covariates["psth_inds"] = torch.full((part.frames,), -1)
    common = [key for key in parts[0].covariates if all(key in part for part in parts)]
    joined: dict[str, Tensor] = {}
    for key in common:
        values = [part.covariates.pop(key) for part in parts]
        shapes = {tuple(value.shape[1:]) for value in values}
        if len(shapes) > 1:
            told = ", ".join(
                f"{kind} {tuple(value.shape[1:])}" for kind, value in zip(config.types, values, strict=True)
            )
            raise DataError(f"{source}: {key} has another shape in each type: {told}")
        joined[key] = values[0] if len(values) == 1 else torch.cat(values)
    return Frames(name, joined, dict(config.keys_lags), normalise_later, config.types, starts)
