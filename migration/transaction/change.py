"""What a migration does to one file, and what is at a path right now."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from migration.errors import BadInput
from migration.tree import Overlay, Tree, checked_path

PRIVATE = frozenset({".git", ".migration"})


@dataclass(frozen=True)
class Change:
    """One file's content and permission bits before and after; None where the file does not exist."""

    path: str
    before: bytes | None
    after: bytes | None
    mode_before: int | None
    mode_after: int | None

    @property
    def real(self) -> bool:
        """Whether the change changes anything; a `mode_after` of None keeps the mode."""
        return self.before != self.after or (self.after is not None and self.mode_after not in (None, self.mode_before))


def changes_of(base: Overlay, after: Overlay) -> list[Change]:
    """The files in which `after` differs from `base` in content, mode or existence, sorted by path."""
    changes = []
    for path in sorted({*_touched(base), *_touched(after)}):
        before, mode_before = (base.read(path), base.mode(path)) if base.exists(path) else (None, None)
        content, mode_after = (after.read(path), after.mode(path)) if after.exists(path) else (None, None)
        changes.append(Change(path, before, content, mode_before, mode_after))
    return [change for change in changes if change.real]


def _touched(tree: Tree | Overlay) -> Iterator[str]:
    while isinstance(tree, Overlay):
        yield from tree.edits
        yield from tree.modes
        tree = tree.base


@dataclass(frozen=True)
class File:
    """A regular file as it is on disk."""

    content: bytes
    status: os.stat_result

    @property
    def mode(self) -> int:
        return stat.S_IMODE(self.status.st_mode)

    @property
    def digest(self) -> str:
        return digest(self.content)

    def same_as(self, other: File) -> bool:
        """Same bytes, permission bits and modification time."""
        return (self.content, self.mode, self.status.st_mtime_ns) == (
            other.content,
            other.mode,
            other.status.st_mtime_ns,
        )


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def digest_of(file: File | None) -> str | None:
    return file.digest if file else None


def look(root: Path, path: str) -> File | None:
    """The file at `path`, or None. Raises BadInput where a link, a folder or something else is in the way."""
    if not clear_way(root, str(PurePosixPath(path).parent)):
        return None
    try:
        status = os.lstat(root / path)
    except FileNotFoundError:
        return None
    if stat.S_ISLNK(status.st_mode):
        raise BadInput(
            f"{path} is a symbolic link, which is never followed; name the real file or replace the link by it"
        )
    if not stat.S_ISREG(status.st_mode):
        raise BadInput(
            f"{path} is {'a folder' if stat.S_ISDIR(status.st_mode) else 'not a regular file'}, a file was expected"
        )
    # O_NOFOLLOW: between lstat and here somebody may have put a link in its place.
    with os.fdopen(os.open(root / path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb") as stream:
        return File(stream.read(), os.fstat(stream.fileno()))


def clear_way(root: Path, folder: str) -> bool:
    """Whether `folder` exists, its parents and itself real folders. Raises BadInput for links, files and private folders."""
    way = root
    for part in PurePosixPath(folder).parts:
        way = way / part
        name = way.relative_to(root).as_posix()
        if part.lower() in PRIVATE:
            raise BadInput(f"{name} is not part of the tree; a migration must not write there")
        try:
            mode = os.lstat(way).st_mode
        except FileNotFoundError:
            return False
        if stat.S_ISLNK(mode):
            raise BadInput(f"{name} is a symbolic link, which is never followed; name the real folder behind it")
        if not stat.S_ISDIR(mode):
            raise BadInput(f"{name} is a file, a folder was expected")
    return True


def checked(path: str) -> str:
    """`path` if a migration may write there. Raises BadInput for paths that leave the tree or enter git's or our own folder."""
    if checked_path(path) != path or path.split("/")[-1].lower() in PRIVATE:
        raise BadInput(f"{path!r} is not a path that a migration may write; expected a file inside the repository")
    return path


def folders_above(path: str) -> list[str]:
    """The folders that hold `path`, outermost first, without the repository itself."""
    return [str(parent) for parent in reversed(PurePosixPath(path).parents) if parent.parts]
