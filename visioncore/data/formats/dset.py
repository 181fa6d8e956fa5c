"""The lab's `.dset`: `torch.save` of `{"covariates": {name: tensor}, "metadata": dict}`."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path

import torch

from visioncore.data.errors import DataError
from visioncore.data.formats.content import reading
from visioncore.data.recording import Recording


def read(path: Path) -> Recording:
    """Without running code from the file: it is read with `weights_only=True`. Raises DataError."""
    with reading(path, ".dset file"):
        _check_bytes(path)
        try:
            content = torch.load(path, map_location="cpu", weights_only=True)
        except pickle.UnpicklingError as error:
            first = str(error).split("\n", 1)[0]
            raise DataError(
                f"{path} holds more than tensors and plain values, or is damaged; it is not read: {first}"
            ) from error
        covariates = content.get("covariates") if isinstance(content, dict) else None
        if not isinstance(covariates, dict) or not all(
            isinstance(value, torch.Tensor) for value in covariates.values()
        ):
            raise DataError(f"{path}: a dict with 'covariates', tensors by name, is expected")
        metadata = content.get("metadata") or {}
        if not isinstance(metadata, dict):
            raise DataError(f"{path}: metadata is a dict, {type(metadata).__name__} found")
        return Recording(covariates, metadata)


def write(recording: Recording, path: Path) -> None:
    """Raises OSError as the disk has it."""
    try:
        with path.open("wb") as file:
            torch.save({"covariates": recording.covariates, "metadata": recording.metadata}, file)
    except RuntimeError as error:
        # on a full disk torch stumbles over what it could not write
        raise OSError(f"{path} cannot be written: {error.__context__ or error}") from error


def _check_bytes(path: Path) -> None:
    """torch writes a CRC-32 of each part, and does not look at it when it reads. Files from before torch 1.6 have none."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            part = archive.testzip()
        if part is not None:
            raise DataError(f"{path} is damaged: its part {part.split('/', 1)[-1]!r} is not what was written")
