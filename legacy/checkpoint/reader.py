"""`read`: any checkpoint file, whatever its format, as containers and records."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

from legacy.checkpoint import old_format, safetensors_reader
from legacy.checkpoint.beside import Beside, read_beside
from legacy.checkpoint.errors import CheckpointError, Damaged, Refused
from legacy.checkpoint.files import Source, opened, read_at
from legacy.checkpoint.forms import check_form
from legacy.checkpoint.names import Globals, Tally
from legacy.checkpoint.old_format import MAX_PICKLE
from legacy.checkpoint.pickles import run
from legacy.checkpoint.pickles.machine import Machine, Truncated, uncollected
from legacy.checkpoint.pickles.opcodes import NAMES
from legacy.checkpoint.pickles.plain import TENSOR
from legacy.checkpoint.records import Call, Global, Storage
from legacy.checkpoint.storages import Extent, StorageTable
from legacy.checkpoint.structure import FUNCTION, walk
from legacy.checkpoint.tensors import is_sound
from legacy.checkpoint.zip_reader import read_directory, read_record

Format: TypeAlias = Literal["zip", "legacy-pickle", "pickle", "safetensors"]
PROVENANCE: Final = "provenance.json"
_MAX_MARK: Final = 1 << 20
_MAX_NESTED: Final = 100  # each translation puts the provenance of the one before into its own


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint as it lies on disk. The tensors' bytes stay there; `extents` says where, by storage key."""

    path: Path
    source: Source
    format: Format
    root: Any
    storages: dict[str, Storage]
    globals: Globals
    extents: dict[str, Extent] = field(repr=False)
    byteorder: Literal["little", "big"] = "little"
    provenance: dict[str, Any] | None = None
    metadata: dict[str, str] = field(default_factory=dict)  # of safetensors
    beside: Beside | None = None  # the same


def read(path: str | os.PathLike[str]) -> Checkpoint:
    """Reads a checkpoint without torch and without running any of it.

    Raises `Damaged` for what is no whole checkpoint and `Refused` for one that hides something, each with the path and the
    reason. Globals that nobody allowed are no error here: `globals.refused` has them.
    """
    path = Path(path)
    with opened(path) as (descriptor, source), uncollected():
        try:
            return _read(path, source, descriptor)
        except CheckpointError as error:
            message = str(error)
            raise type(error)(message if message.startswith(str(path)) else f"{path}: {message}") from None


def _read(path: Path, source: Source, descriptor: int) -> Checkpoint:
    size = source.size
    head = read_at(descriptor, 0, min(size, 512))
    if head.startswith(b"PK\3\4"):
        return _read_zip(path, source, descriptor)
    if head[8:9] == b"{" and 8 + int.from_bytes(head[:8], "little") <= size:
        weights, storages, extents, metadata = safetensors_reader.parse(descriptor, size)
        other = read_beside(path)
        root = _with_others(weights, other.plain() if other else {})
        return Checkpoint(
            path,
            source,
            "safetensors",
            root,
            storages,
            _survey(root),
            extents,
            "little",
            _provenance(metadata.get("provenance")),
            metadata,
            other,
        )
    if not head:
        raise Damaged("the file is empty")
    if head[257:262] == b"ustar":
        raise Refused("a tar archive, torch's format before 0.1.12: torch 1.x can still load it and save it again")
    if head.startswith(b"version https://git-lfs"):
        raise Damaged("a pointer of Git LFS, in place of the file: `git lfs pull` brings the file itself")
    if head[0] not in NAMES:
        raise Damaged(f"no checkpoint: it begins with {head[:8]!r}, as no zip archive, pickle or safetensors file does")
    parsed = old_format.parse(descriptor, size)
    form: Format = "legacy-pickle" if parsed.format == "legacy-pickle" else "pickle"
    return Checkpoint(
        path, source, form, parsed.root, parsed.storages, _survey(parsed.root, parsed.names.items()), parsed.extents
    )


def _with_others(weights: dict[str, Any], others: dict[str, Any]) -> dict[str, Any]:
    """The checkpoint that weights and the JSON beside them are; weights alone are their own."""
    if not others:
        return weights
    extra = others.pop("state_dict", None)
    return {"state_dict": {**extra, **weights} if isinstance(extra, dict) else weights, **others}


def _read_zip(path: Path, source: Source, descriptor: int) -> Checkpoint:
    records = read_directory(descriptor, source.size)
    tops = [name for name in records if name.count("/") == 1 and name.endswith("/data.pkl")]
    if len(tops) != 1:
        raise (Refused if tops else Damaged)(f"the archive has {len(tops)} records data.pkl where a checkpoint has one")
    top = tops[0].removesuffix("data.pkl")
    if f"{top}constants.pkl" in records:
        raise Refused("a TorchScript archive: it holds code to run, not only tensors")

    def record(name: str, limit: int) -> bytes | None:
        extent = records.get(top + name)
        return None if extent is None else read_record(descriptor, top + name, extent, limit)

    order = record("byteorder", _MAX_MARK)
    if order not in (None, b"little", b"big"):
        raise Damaged("its byte order is neither little nor big")
    table = StorageTable()
    machine = Machine(record("data.pkl", MAX_PICKLE) or b"", 0, table)
    try:
        root = run(machine)
    except Truncated as error:
        raise Damaged(str(error)) from None
    if machine.position != len(machine.code):
        raise Damaged(f"something follows the pickle, which ends at byte {machine.position:,} of {len(machine.code):,}")
    extents = {key: _extent(records, top, storage) for key, storage in table.storages.items()}
    provenance = record(PROVENANCE, _MAX_MARK)
    return Checkpoint(
        path,
        source,
        "zip",
        root,
        table.storages,
        _survey(root, machine.names.items()),
        extents,
        "big" if order == b"big" else "little",
        _provenance(provenance),
    )


def _extent(records: dict[str, Extent], top: str, storage: Storage) -> Extent:
    extent = records.get(f"{top}data/{storage.key}")
    if extent is None:
        raise Damaged(f"storage {storage.key[:40]!r} is not in the archive")
    if extent.nbytes != storage.nbytes:
        raise Damaged(f"storage {storage.key[:40]!r} has {extent.nbytes:,} bytes where {storage.nbytes:,} are expected")
    return extent


def _survey(root: object, named: Iterable[tuple[Global, int]] = ()) -> Globals:
    """The globals; on the way every tensor is checked against its storage, and how deep it all goes."""
    tally = Tally()
    entered: set[int] = set()
    for trail, node in walk(root, entered):
        if type(node) is Global:
            tally.add(node, trail)
        elif type(node) is Call and id(node) not in entered:
            if is_sound(node):  # nearly all: nothing in it but what was looked at
                entered.add(id(node))
                tally.add(TENSOR, trail, FUNCTION)
            else:
                check_form(trail, node)
    return tally.sorted(named)


def _provenance(text: bytes | str | None) -> dict[str, Any] | None:
    """A record that cannot be read, or is larger or deeper than any that `translate` writes, is none: it proves nothing."""
    try:
        found = json.loads(text or "null") if len(text or "") <= _MAX_MARK else None
    except (ValueError, RecursionError):
        return None
    level: list[Any] = [found] if isinstance(found, dict) else []
    for _ in range(_MAX_NESTED):
        parts = (part for each in level for part in (each.values() if isinstance(each, dict) else each))
        level = [part for part in parts if isinstance(part, (dict, list))]
    return found if isinstance(found, dict) and not level else None
