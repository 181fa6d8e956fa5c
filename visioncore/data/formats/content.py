"""What the formats share: which recordings they hold, tensors as arrays, metadata as JSON, and a checksum of the whole."""

from __future__ import annotations

import json
import os
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from visioncore.data.errors import DataError
from visioncore.data.recording import Recording

FORMAT_VERSION = 1
CHUNK_BYTES = 1 << 21
UNITS = {"stim": "grey level", "robs": "spikes per bin", "eyepos": "degrees", "t_bins": "seconds"}
# tensors of these are kept as another type, which every reader of the format knows
STORED = {"bool": torch.uint8, "bfloat16": torch.int16}
DTYPES: dict[str, torch.dtype] = {
    str(dtype).removeprefix("torch."): dtype
    for dtype in (
        *(torch.bool, torch.uint8, torch.uint16, torch.uint32, torch.uint64, torch.int8, torch.int16, torch.int32),
        *(torch.int64, torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.complex64, torch.complex128),
    )
}


def missing(package: str) -> DataError:
    return DataError(f"this format needs {package}, which is not installed: pip install 'visioncore-migration[data]'")


@contextmanager
def reading(path: Path, kind: str) -> Iterator[None]:
    """Whatever goes wrong inside, as a DataError that names the file: of a damaged one, libraries raise anything."""
    try:
        if path.is_file() and not path.stat().st_size:
            raise DataError(f"{path} is empty")
        yield
    except DataError as error:
        raise DataError(str(error) if str(path) in str(error) else f"{path}: {error}") from error
    except Exception as error:
        told = " ".join((repr(error) if isinstance(error, LookupError) else str(error)).split())[:200]
        raise DataError(f"{path} is damaged, cannot be read, or is no {kind}: {told}") from error


def described(recording: Recording) -> str:
    """The metadata as JSON. Raises DataError: a covariate's name or type, or a value of the metadata, that formats do not hold."""
    for name, value in recording.covariates.items():
        if not re.fullmatch(r"\w[\w +-]*", name):
            raise DataError(f"a covariate's name is letters, digits, _, + and -; {name!r} found")
        if dtype_name(value) not in DTYPES or value.layout != torch.strided:
            raise DataError(f"covariate {name!r} is a {value.layout} tensor of {value.dtype}, which only .dset holds")
    _check_plain(recording.metadata, "metadata")
    return json.dumps(recording.metadata)


def _check_plain(value: Any, where: str) -> None:
    if isinstance(value, dict):
        for key, inner in value.items():
            if not isinstance(key, str):
                raise DataError(f"{where} has the key {key!r}; keys are text in every format but .dset")
            _check_plain(inner, f"{where}[{key!r}]")
    elif isinstance(value, list | tuple):
        for position, inner in enumerate(value):
            _check_plain(inner, f"{where}[{position}]")
    elif value is not None and type(value) not in (str, int, float, bool):
        raise DataError(
            f"{where} is a {type(value).__name__}; text, numbers, lists and dicts are held by formats but .dset"
        )


def dtype_name(value: Tensor) -> str:
    return str(value.dtype).removeprefix("torch.")


def stored(value: Tensor) -> NDArray[Any]:
    """A tensor as the array that goes to disk; `restored` is its inverse, given `dtype_name`."""
    value = value.detach().cpu().contiguous()
    kept: NDArray[Any] = value.view(STORED.get(dtype_name(value), value.dtype)).numpy()
    return kept


def restored(array: Any, dtype: str | None = None) -> Tensor:
    """The tensor of an array; without a `dtype`, of the array's own type. Raises DataError: no numbers, or no such type."""
    array = np.asarray(array)
    if array.dtype.kind not in "biufc":
        raise DataError(f"numbers are expected, an array of {array.dtype} found")
    value = torch.from_numpy(np.ascontiguousarray(array, array.dtype.newbyteorder("=")))
    if dtype is None:
        return value
    if dtype not in DTYPES:
        raise DataError(f"an unknown type of numbers, {str(dtype)[:40]!r}; known are {', '.join(DTYPES)}")
    if dtype == "bfloat16" and value.dtype == STORED[dtype]:
        return value.view(torch.bfloat16)
    return value.to(DTYPES[dtype])


def chunks(array: NDArray[Any]) -> tuple[int, ...]:
    """Whole frames, about `CHUNK_BYTES` of them."""
    frame = max(1, array[:1].nbytes)
    return (max(1, min(len(array), CHUNK_BYTES // frame)), *(max(1, length) for length in array.shape[1:]))


def checksum(recording: Recording) -> str:
    """CRC-32 of everything in it."""
    crc = zlib.crc32(json.dumps(recording.metadata).encode())
    for name in sorted(recording.covariates):
        array = stored(recording[name])
        crc = zlib.crc32(f"{name} {dtype_name(recording[name])} {array.shape}".encode(), crc)
        crc = zlib.crc32(array.reshape(-1).view(np.uint8).data, crc)
    return f"crc32:{crc:08x}"


def parsed(metadata: str) -> dict[str, Any]:
    """Raises DataError: no JSON, or no dict."""
    try:
        values = json.loads(metadata)
    except ValueError as error:
        raise DataError(f"metadata is no JSON: {error}") from error
    if not isinstance(values, dict):
        raise DataError(f"metadata is a dict, {type(values).__name__} found")
    return values


def check_version(version: Any) -> None:
    if version is None:
        raise DataError("this is no recording: there is no attribute `format_version`")
    if version != FORMAT_VERSION:
        raise DataError(f"format_version is {version}, {FORMAT_VERSION} is expected; convert it, or update visioncore")


def sync(path: Path, inside: bool = True) -> None:
    """Have the disk keep a file, or a folder and all in it, before another's name is taken. Raises OSError: the disk is full."""
    for each in (*sorted(path.rglob("*") if inside and path.is_dir() else (), reverse=True), path):
        descriptor = os.open(each, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
