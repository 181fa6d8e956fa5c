"""Transforms: a covariate through its ops, under the name that samples have it by."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from visioncore.compat import Compat
from visioncore.data.config import Transform
from visioncore.data.errors import DataError
from visioncore.data.ops import apply, keeps_bytes, parse
from visioncore.data.recording import Recording
from visioncore.errors import ConfigError, nearest


def check_transforms(transforms: Mapping[str, Transform], source: str) -> None:
    """Before anything is read from disk. Raises ConfigError: an op or an argument that there is not, with the nearest."""
    for label, transform in transforms.items():
        for step in transform.ops:
            try:
                parse(step)
            except ConfigError as error:
                raise ConfigError(f"{source}: transforms.{label}: {error}") from error


def transformed(recording: Recording, transforms: Mapping[str, Transform], compat: Compat) -> tuple[Recording, bool]:
    """The recording with its exposed covariates, and whether the stimulus's pixelnorm is left to be done sample by sample.

    A byte stimulus that is only normalised and given its channel axis stays bytes; all else becomes float32 first. Transforms with
    `concatenate` are joined on the last axis with what is exposed under the same name. Raises DataError: a source that there is not.
    """
    exposed: dict[str, Tensor] = {}
    pending = False
    for label, transform in transforms.items():
        if transform.source not in recording:
            known = recording.covariates
            raise DataError(
                f"transforms.{label}: there is no covariate {transform.source!r} in the recording"
                f"{nearest(transform.source, known) or f'; found {sorted(known)}'}"
            )
        try:
            value, left = _run(transform, recording[transform.source], compat)
        except (ConfigError, DataError) as error:
            raise type(error)(f"transforms.{label}: {error}") from error
        pending |= left
        target = transform.target
        if transform.concatenate and target in exposed:
            value = torch.cat([exposed[target], value], -1)
        exposed[target] = value
    return Recording({**recording.covariates, **exposed}, recording.metadata), pending


def _run(transform: Transform, value: Tensor, compat: Compat) -> tuple[Tensor, bool]:
    names = [parse(step)[0] for step in transform.ops]
    is_stimulus = transform.source == transform.target == "stim"
    plain = is_stimulus and value.dtype == torch.uint8 and keeps_bytes(transform.ops)
    postponed = is_stimulus and "pixelnorm" in names and (plain or compat.normalise_last)
    if not plain or compat.float32_stimulus:
        value = value.float()
    for name, step in zip(names, transform.ops, strict=True):
        if not (postponed and name == "pixelnorm"):
            value = apply(value, step)
    return value, postponed
