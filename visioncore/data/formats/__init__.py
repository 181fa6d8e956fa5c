"""Sessions on disk. To add a format: a module with `read(path)` and `write(recording, path)`, and a row in `SUFFIXES`."""

from __future__ import annotations

import importlib
import os
import shutil
import uuid
from pathlib import Path
from typing import Any

from visioncore.data.errors import DataError
from visioncore.data.formats.content import sync
from visioncore.data.recording import Recording

# in the order in which they are looked for
SUFFIXES = {".dset": "dset", ".h5": "hdf5", ".zarr": "zarr", ".nwb": "nwb"}


def read_recording(path: str | Path) -> Recording:
    """A recording of any format, by its suffix. Raises DataError: missing, damaged, or nothing to train on."""
    path = Path(path)
    if not path.exists():
        raise DataError(f"{path}: there is no such recording")
    if not (path.is_file() or path.is_dir()):
        raise DataError(f"{path} is neither file nor folder")  # one would wait for ever for what a pipe gives
    try:
        recording: Recording = _module(path).read(path)
    except DataError as error:
        raise DataError(str(error) if str(path) in str(error) else f"{path}: {error}") from error
    return recording.checked(str(path))


def write_recording(recording: Recording, path: str | Path) -> None:
    """In the format of the suffix, whole or not at all: until it is on the disk, a previous one stays in its place.

    Raises DataError: the format is unknown, or does not hold this recording; OSError as the disk has it.
    """
    path = Path(path)
    module = _module(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{uuid.uuid4().hex}{path.suffix}")
    try:
        try:
            module.write(recording, temporary)
        except DataError as error:
            raise DataError(f"{path}: {error}") from error
        sync(temporary)
        _put(temporary, path)
        sync(path.parent, inside=False)
    finally:
        _remove(temporary)


def _put(new: Path, path: Path) -> None:
    """`new` under the name `path`. A folder cannot take the place of another in one step: the old one steps aside."""
    if not (new.is_dir() and path.exists()):
        os.replace(new, path)
        return
    aside = new.with_name(f"{new.name}.old")
    os.replace(path, aside)
    try:
        os.replace(new, path)
    except BaseException:
        os.replace(aside, path)
        raise
    _remove(aside)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def find_recording(session: str | Path, stimulus_type: str) -> Path | None:
    """`datasets/{stimulus_type}` of a session's folder, in whatever format it is; None if it is in none."""
    for suffix in SUFFIXES:
        path = Path(session) / "datasets" / f"{stimulus_type}{suffix}"
        if path.exists():
            return path
    return None


def _module(path: Path) -> Any:
    if path.suffix not in SUFFIXES:
        raise DataError(f"{path}: the suffix of a recording is one of {', '.join(SUFFIXES)}")
    return importlib.import_module(f"{__name__}.{SUFFIXES[path.suffix]}")
