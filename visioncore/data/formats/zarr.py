"""Zarr (version 3), a native format: a folder with an array for each covariate in the group `covariates`, in chunks of whole frames.

Root attributes: `format_version`, `checksum`, `metadata` as JSON text. Attributes of a covariate: `dtype`, that of the tensor;
`unit`. Booleans are kept as bytes, bfloat16 as int16 of the same bits.
"""

from __future__ import annotations

import warnings
from pathlib import Path

from visioncore.data.errors import DataError
from visioncore.data.formats.content import (
    FORMAT_VERSION,
    UNITS,
    check_version,
    checksum,
    chunks,
    described,
    dtype_name,
    missing,
    parsed,
    reading,
    restored,
    stored,
)
from visioncore.data.recording import Recording

try:
    import zarr
    from zarr.codecs import ZstdCodec
except ImportError as error:
    raise missing("zarr") from error

# not Blosc, the usual choice: it reads past the end of a damaged chunk, which can take the whole process along
ZSTD = ZstdCodec(level=1, checksum=True)


def read(path: Path) -> Recording:
    """Raises DataError."""
    with reading(path, "Zarr folder"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        root = zarr.open_group(path, mode="r")
        check_version(root.attrs.get("format_version"))
        group = root.get("covariates")
        if not isinstance(group, zarr.Group):
            raise DataError("there is no group `covariates`")
        covariates = {}
        for name, array in sorted(group.arrays()):
            dtype = array.attrs.get("dtype")
            covariates[name] = restored(array[...], None if dtype is None else str(dtype))
        recording = Recording(covariates, parsed(str(root.attrs.get("metadata", "{}"))))
        written = root.attrs.get("checksum")
        if written is not None and written != checksum(recording):
            raise DataError(
                "the content is not what was written: damaged, or edited; to read it as it is, delete the attribute `checksum`"
            )
        return recording


def write(recording: Recording, path: Path) -> None:
    """Raises DataError: what the format does not hold; OSError as the disk has it."""
    metadata = described(recording)
    root = zarr.open_group(
        path,
        mode="w",
        zarr_format=3,
        attributes={"format_version": FORMAT_VERSION, "checksum": checksum(recording), "metadata": metadata},
    )
    group = root.create_group("covariates")
    for name, value in recording.covariates.items():
        array = stored(value)
        attributes: dict[str, zarr.core.common.JSON] = {"dtype": dtype_name(value)}
        if name in UNITS:
            attributes["unit"] = UNITS[name]
        group.create_array(
            name,
            data=array,
            chunks=chunks(array),
            compressors=ZSTD,
            attributes=attributes,
        )
