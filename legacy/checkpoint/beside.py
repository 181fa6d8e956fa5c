"""The JSON beside safetensors, for everything of a checkpoint but its weights: written with them, and read with them again."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from legacy.checkpoint.as_json import as_json
from legacy.checkpoint.errors import CheckpointError, Damaged, Refused
from legacy.checkpoint.files import opened, read_at
from legacy.checkpoint.names import HYPER_PARAMETERS
from legacy.checkpoint.structure import walk

_OURS: Final = {"written_by": "python -m legacy"}  # how it begins: no one else's is written over
_MAX_BYTES: Final = 1 << 25


@dataclass(frozen=True, slots=True)
class Beside:
    """What it has of a checkpoint, and the ways to those parts that have no JSON form and are described in words."""

    checkpoint: dict[str, Any]
    described: list[list[str]]

    def plain(self) -> dict[str, Any]:
        """What is as it was, but that tuples are lists."""
        made = dict(self.checkpoint)
        for first, *below in self.described:
            held = made.pop(first, None)
            if below and isinstance(held, dict):
                made[first] = {key: value for key, value in held.items() if key not in below}
        return made

    def words(self) -> dict[str, Any]:
        """The rest, by the ways to it."""
        return {".".join(way): self._at(way) for way in self.described}

    def _at(self, way: list[str]) -> Any:
        found: Any = self.checkpoint
        for step in way:
            found = found.get(step) if isinstance(found, dict) else None
        return found


def beside(path: Path) -> Path:
    """Where it goes."""
    return path.with_suffix(".json")


def check_beside(path: Path) -> None:
    """Raises `CheckpointError` where that is the weights' own name, or a file that was not written here."""
    configuration = beside(path)
    if path.suffix.lower() == ".json":
        raise CheckpointError(f"{path} is where the configuration goes: give the weights another suffix")
    if not configuration.is_file():
        return
    with opened(configuration) as (descriptor, file):
        if not _ours(descriptor, file.size):
            raise CheckpointError(
                f"{configuration} is there and was not written with a checkpoint: the configuration goes there, "
                "so give another name to write to, or move it"
            )


def configuration(rest: Mapping[Any, Any], old: Beside | None, **more: Any) -> bytes:
    """The file's content: `rest` as JSON, what only the `old` one describes as there, and `more` before it.

    Raises `Refused` for what would have no end.
    """
    made = as_json(dict(rest))
    described = list(_described(rest))
    for way in old.described if old else []:
        *above, last = way
        held = made.setdefault(above[0], {}) if above else made
        if old and isinstance(held, dict) and last not in held:
            held[last] = old._at(way)
            described.append(way)
    return _json({**_OURS, **more, "described": described, "checkpoint": made}) + b"\n"


def _described(rest: Mapping[Any, Any]) -> Iterator[list[str]]:
    for key, value in rest.items():
        if key in HYPER_PARAMETERS and type(value) is dict:
            yield from ([str(key), str(name)] for name, item in value.items() if _has_records(item))
        elif _has_records(value):
            yield [str(key)]


def _has_records(value: object) -> bool:
    return next(walk(value), None) is not None


def read_beside(path: Path) -> Beside | None:
    """What was written beside these weights; None where nothing of ours, or nothing whole, is there.

    Raises `Refused` where it is too large to be read.
    """
    configuration = beside(path)
    try:
        with opened(configuration) as (descriptor, file):  # which a pipe does not hold up
            if not _ours(descriptor, file.size):
                return None
            if file.size > _MAX_BYTES:
                raise Refused(
                    f"{configuration} is {file.size:,} bytes long, over the limit of {_MAX_BYTES:,}: "
                    "without it the weights alone are read"
                )
            found = json.loads(read_at(descriptor, 0, file.size))
    except (Damaged, ValueError, RecursionError):
        return None
    match found:
        case {"checkpoint": dict() as checkpoint, **more}:
            described: Any = more.get("described", [[key] for key in checkpoint if key not in HYPER_PARAMETERS])
            if _are_ways(described):
                return Beside(checkpoint, described)
    return None


def _are_ways(described: Any) -> bool:
    return isinstance(described, list) and all(
        isinstance(way, list) and len(way) in (1, 2) and all(isinstance(step, str) for step in way) for way in described
    )


def _ours(descriptor: int, size: int) -> bool:
    begin = _json(_OURS).removesuffix(b"\n}") + b","
    return read_at(descriptor, 0, min(size, len(begin))) == begin


def _json(value: object) -> bytes:
    return json.dumps(value, indent=1, allow_nan=False).encode()
