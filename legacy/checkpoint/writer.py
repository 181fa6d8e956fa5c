"""`write_ckpt`: a structure and the storages it names as a checkpoint that plain torch loads with `weights_only=True`."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from legacy.checkpoint.errors import CheckpointError, Refused
from legacy.checkpoint.files import Identity, destination
from legacy.checkpoint.names import PLACES, Use, classify
from legacy.checkpoint.pickles.emit import Emitter
from legacy.checkpoint.pickles.machine import uncollected
from legacy.checkpoint.reader import PROVENANCE, Checkpoint
from legacy.checkpoint.records import Global
from legacy.checkpoint.zip_writer import ZipWriter

_TOP: Final = "archive"


@dataclass(frozen=True, slots=True)
class Written:
    """What a written file came to; `replaced` counts what has a plainer type in it than in its source."""

    path: Path
    nbytes: int
    storages: int
    replaced: dict[str, int]


def write_ckpt(
    checkpoint: Checkpoint,
    root: object,
    path: str | os.PathLike[str],
    provenance: Mapping[str, Any] | Callable[[Emitter], Mapping[str, Any]],
    *,
    allow: Collection[str] = (),
    check: bool = False,
    spared: Collection[Identity] = (),
    synced: bool = True,
) -> Written:
    """Writes `root`, whose storages are those of `checkpoint`, to `path`: whole and (unless told otherwise) synced, or not at all.

    Tensor bytes are copied, not loaded; `check` compares their CRCs on the way. `allow` has globals to be written although
    plain torch will refuse them. What is `spared` is never written over. A `provenance` that is a function is asked once the tensors
    are written. Raises `Refused` for a root that cannot be written so, `Damaged` where the source is corrupt or has changed,
    `CheckpointError` where `path` cannot be written.
    """
    program, emitter = encode(checkpoint, root, allow)
    with checkpoint.source.open() as descriptor, destination(Path(path), checkpoint.source, spared, synced) as made:
        archive = ZipWriter(made)
        archive.add(f"{_TOP}/data.pkl", program)
        archive.add(f"{_TOP}/byteorder", checkpoint.byteorder.encode())
        for old, new in emitter.keys.items():
            archive.add_copy(f"{_TOP}/data/{new}", descriptor, checkpoint.extents[old], check)
        archive.add(f"{_TOP}/version", b"3\n")
        if callable(provenance):
            made.settle()  # while it may still be looking at the source
        record = provenance(emitter) if callable(provenance) else provenance
        archive.add(f"{_TOP}/{PROVENANCE}", json.dumps(dict(record), sort_keys=True).encode())
        archive.close()
        nbytes = made.position
    return Written(Path(path), nbytes, len(emitter.keys), emitter.replaced)


def encode(checkpoint: Checkpoint, root: object, allow: Collection[str] = ()) -> tuple[bytes, Emitter]:
    """The pickle of `root`, and what is told of it. Raises as `write_ckpt` does."""
    emitter = Emitter(allow)
    with uncollected():
        program = emitter.emit(root)
    if emitter.foreign:
        raise Refused(_foreign(checkpoint.path, root, emitter.foreign))
    missing = [key for key in emitter.keys if key not in checkpoint.extents]
    if missing:
        raise CheckpointError(
            f"{checkpoint.path} has no storage {missing[0]!r}: the structure to write belongs to another file"
        )
    return program, emitter


def _foreign(path: Path, root: object, names: set[Global]) -> str:
    found = classify(root)
    uses = found.allowed | found.shimmed | found.refused
    lines = []
    for name in sorted(map(str, names)):
        use = uses.get(name, Use())
        more = f" and {use.count - PLACES:,} more" if use.count > PLACES else ""
        lines.append(f"\n  {name} at {', '.join(use.places)}{more}")
    return (
        f"{path}: cannot be written so that torch loads it with weights_only=True, for these globals. "
        f"Have a rule replace them, or allow them by name:{''.join(lines)}"
    )
