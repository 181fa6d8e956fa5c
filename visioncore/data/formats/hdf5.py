"""HDF5, a native format: a dataset for each covariate in the group `covariates`, in chunks of whole frames.

Root attribute: `format_version`; the dataset `metadata` is JSON text. Attributes of a covariate: `dtype`, that of the tensor, and
`unit`. Booleans are kept as bytes, bfloat16 as int16 of the same bits.
"""

from __future__ import annotations

from pathlib import Path

from visioncore.data.errors import DataError
from visioncore.data.formats.content import (
    FORMAT_VERSION,
    UNITS,
    check_version,
    chunks,
    described,
    dtype_name,
    missing,
    parsed,
    reading,
    restored,
    stored,
)
from visioncore.data.formats.seal import check_seal, sealed_file
from visioncore.data.recording import Recording

try:
    import h5py
except ImportError as error:
    raise missing("h5py") from error


def read(path: Path) -> Recording:
    """Raises DataError."""
    with reading(path, "HDF5 file"):
        check_seal(path)
        with h5py.File(path, "r") as file:
            check_version(file.attrs.get("format_version"))
            group = file.get("covariates")
            if not isinstance(group, h5py.Group):
                raise DataError("there is no group `covariates`")
            covariates = {}
            for name, dataset in group.items():
                if not isinstance(dataset, h5py.Dataset):
                    raise DataError(f"covariate {name!r} is no dataset")
                covariates[name] = restored(dataset[()], dataset.attrs.get("dtype"))
            return Recording(covariates, parsed(file["metadata"].asstr()[()] if "metadata" in file else "{}"))


def write(recording: Recording, path: Path) -> None:
    """Raises DataError: what the format does not hold; OSError as the disk has it."""
    metadata = described(recording)
    with sealed_file(path) as file:
        file.attrs["format_version"] = FORMAT_VERSION
        file["metadata"] = metadata
        group = file.create_group("covariates", track_order=True)
        for name, value in recording.covariates.items():
            array = stored(value)
            kept = {"chunks": chunks(array), "compression": "gzip", "compression_opts": 1} if array.size else {}
            dataset = group.create_dataset(name, data=array, shuffle=array.size > 0 and array.itemsize > 1, **kept)
            dataset.attrs["dtype"] = dtype_name(value)
            if name in UNITS:
                dataset.attrs["unit"] = UNITS[name]
