"""Which files of a folder are checkpoints, what each is called below another one, and that none of them is written over there."""

from __future__ import annotations

import os
import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain, count, takewhile
from pathlib import Path
from typing import Final

from legacy.checkpoint import CheckpointError
from legacy.checkpoint.files import Identity, identity
from legacy.translate import Form, suffixed

SUFFIXES: Final = (".ckpt", ".pt", ".pth", ".th", ".pth.tar", ".bin", ".safetensors")
_ADVICE: Final = "nothing is written over a source, so give another folder to write to"


@dataclass(frozen=True, slots=True)
class Found:
    """The checkpoints of a folder, by sorted names below it, and what may not be written to: they and the folders walked."""

    names: list[str]
    spared: frozenset[Identity]


def found(source: Path, destination: Path) -> Found:
    """What lies below `source`, behind links to folders as well; `destination` is left out where it lies within."""
    names: list[str] = []
    spared: set[Identity] = set()
    within: dict[str, frozenset[Identity | None]] = {str(source): frozenset({identity(source), identity(destination)})}
    for folder, subfolders, files in os.walk(source, followlinks=True):
        above = within.pop(folder)
        below = {name: identity(Path(folder, name)) for name in subfolders}
        subfolders[:] = [name for name, one in below.items() if one not in above]  # a link may lead up again
        within.update((os.path.join(folder, name), above | {below[name]}) for name in subfolders)
        here = [name for name in files if name.lower().endswith(SUFFIXES) and not name.startswith(".")]
        names += [os.path.relpath(os.path.join(folder, name), source) for name in here]
        looked_at = [identity(path) for path in (Path(folder), *(Path(folder, name) for name in here))]
        spared.update(one for one in looked_at if one)
    return Found(sorted(names), frozenset(spared))


def _same(one: Path, other: Path) -> bool:
    found = identity(one)
    return found is not None and found == identity(other)


def targets(names: Iterable[str], to: Form = "ckpt") -> dict[str, str]:
    """The name of each translation, by nothing but `names`: every shard and every later run finds the same.

    a.ckpt and a.pt cannot both be a.safetensors: they are a.ckpt.safetensors and a.pt.safetensors, or with a number where those are taken.
    """
    wanted = {name: str(suffixed(Path(name), to)) for name in sorted(names)}
    times = Counter(wanted.values())
    taken = {_folded(str(folder)) for name in wanted for folder in Path(name).parents}
    made: dict[str, str] = {}
    # those with a name of their own come first, so that the others find it taken
    for name, target in sorted(wanted.items(), key=lambda item: times[item[1]] > 1):
        own = [] if times[target] > 1 else [target]
        more = (f"{name}.{to}" if n == 1 else f"{name}.{n}.{to}" for n in count(1))
        made[name] = next(choice for choice in chain(own, more) if _folded(choice) not in taken)
        taken.add(_folded(made[name]))
    return {name: made[name] for name in wanted}


def _folded(name: str) -> str:
    """Equal for names that some file system takes for the same."""
    return unicodedata.normalize("NFC", name).casefold()


def check_folders(source: Path, destination: Path) -> None:
    """Raises `CheckpointError` where the one cannot go into the other."""
    if destination.exists() and not destination.is_dir():
        raise CheckpointError(f"{destination} is a file: {source} is a folder, and goes into one")
    if _same(source, destination):
        raise CheckpointError(f"{destination} is the folder that is read: give another one to write to")
    within = any(_same(folder, source) for folder in Path(os.path.realpath(destination)).parents)
    # One within that was made here has a manifest from the first file on. Without it, what lies there was never translated.
    if within and not any(destination.glob("manifest*.jsonl")) and found(destination, source).names:
        raise CheckpointError(f"{destination} lies in {source} and has checkpoints of its own: give a new folder")


def check_targets(spared: frozenset[Identity], destination: Path, paths: Iterable[Path]) -> None:
    """Raises `CheckpointError` where one of `paths`, below `destination`, is `spared` or would come into a folder that is."""
    folders: set[Path] = set()
    for path in paths:
        if identity(path) in spared:
            raise CheckpointError(f"{path} would be written, and is among the files that are read: {_ADVICE}")
        folders.update(takewhile(lambda folder: folder != destination, path.parents))
    for folder in sorted(folders):
        if identity(folder) in spared:
            raise CheckpointError(f"{folder} would be written to, and is a folder that is read: {_ADVICE}")
