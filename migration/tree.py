"""The files of a repository as they are (`Tree`), and the same with edits laid over them (`Overlay`).

Paths are POSIX strings relative to the repository. Nothing here writes to the disk; symbolic links are never followed.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path, PurePosixPath

from migration.analysis.source import Source
from migration.errors import BadInput

SKIPPED_FOLDERS = frozenset(
    {
        ".git",
        ".hg",
        ".svn",
        ".migration",
        "__pycache__",
        "node_modules",
        ".mypy_cache",
        ".ruff_cache",
        ".pytest_cache",
        ".ipynb_checkpoints",
        ".tox",
        ".nox",
    }
)
# wandb keeps a copy of the script of every run, people keep *.backup files: records of what was, neither importers nor duplicates.
RECORDS = re.compile(r"(^|/)wandb/(offline-)?run-[^/]*/|\.(backup|bak|orig)$")
LARGEST_TEXT = 4 << 20
LARGEST_NOTEBOOK = 64 << 20


def is_record(path: str) -> bool:
    """Whether `path` is a snapshot of an earlier state, to be left exactly as it is."""
    return RECORDS.search(path) is not None


def checked_path(path: str, what: str = "path") -> str:
    """`path` in normal form, or BadInput where it would leave the repository."""
    pure = PurePosixPath(path)
    if pure.is_absolute() or ".." in pure.parts or "\\" in path or not pure.parts or "\0" in path:
        raise BadInput(f"{what} {path!r} must be relative to the repository and stay inside it")
    return str(pure)


class Tree:
    """The repository on disk, read once: every file's bytes are read at most one time."""

    def __init__(self, root: Path) -> None:
        if not root.is_dir():
            raise BadInput(f"{root} is not a folder; --repo takes the top folder of the repository to migrate")
        self.root = root.resolve()
        self._bytes: dict[str, bytes] = {}
        self._holding: dict[bytes, frozenset[str]] = {}

    @cached_property
    def _entries(self) -> dict[str, os.stat_result]:
        return dict(sorted(_walk(self.root)))

    def paths(self) -> Iterable[str]:
        """Every regular file, sorted."""
        return self._entries.keys()

    def exists(self, path: str) -> bool:
        return path in self._entries

    def mode(self, path: str) -> int:
        """Permission bits, for example 0o755."""
        return stat.S_IMODE(self._entries[path].st_mode)

    def size(self, path: str) -> int:
        return self._entries[path].st_size

    def read(self, path: str) -> bytes:
        if path not in self._bytes:
            if path not in self._entries:
                raise BadInput(f"{path}: {self.absence(path)}")
            try:
                self._bytes[path] = (self.root / path).read_bytes()
            except OSError as error:
                raise BadInput(f"{path} cannot be read ({error.strerror})") from error
        return self._bytes[path]

    def holding(self, needle: bytes) -> frozenset[str]:
        """Text files whose bytes contain `needle`; asked for again, the answer is remembered."""
        if needle not in self._holding:
            self._holding[needle] = frozenset(path for path in self._texts if needle in self.read(path))
        return self._holding[needle]

    @cached_property
    def _texts(self) -> list[str]:
        return [p for p in self.paths() if self.size(p) <= largest(p) and b"\0" not in self.read(p)[:8192]]

    def absence(self, path: str) -> str:
        """Why `path` is not a file of this tree, in words."""
        full = self.root / path
        if full.is_symlink() or any(
            parent.is_symlink() for parent in full.parents if parent.is_relative_to(self.root) and parent != self.root
        ):
            return "is, or lies behind, a symbolic link, which is never followed; name the real file"
        return "is a folder, a file was expected" if full.is_dir() else "no such file in the repository"


class Overlay:
    """A tree with edits laid over it. `base` stays what it was, so gates can compare the two."""

    def __init__(self, base: Tree | Overlay, edits: Mapping[str, bytes | None] | None = None) -> None:
        self.base = base
        self.root: Path = base.root
        self.edits: dict[str, bytes | None] = dict(edits or {})
        self.modes: dict[str, int] = {}
        self._sources: dict[str, Source] = {}

    def edit(self, edits: Mapping[str, bytes | None], modes: Mapping[str, int] | None = None) -> None:
        """Lay `edits` (path to new bytes, None for deleted) over what is there."""
        for path, content in edits.items():
            self._sources.pop(path, None)
            unchanged = self.base.read(path) if self.base.exists(path) else None
            if content == unchanged:
                self.edits.pop(path, None)
            else:
                self.edits[path] = content
        self.modes.update(modes or {})

    def paths(self) -> Iterable[str]:
        kept = (p for p in self.base.paths() if self.edits.get(p, b"") is not None)
        added = [p for p, content in self.edits.items() if content is not None and not self.base.exists(p)]
        return sorted([*kept, *added]) if added else kept

    def exists(self, path: str) -> bool:
        return self.edits[path] is not None if path in self.edits else self.base.exists(path)

    def read(self, path: str) -> bytes:
        content = self.edits.get(path, b"") if path in self.edits else self.base.read(path)
        if content is None:
            raise BadInput(f"{path}: an earlier step of the plan removes it")
        return content

    def mode(self, path: str) -> int:
        if path in self.modes:
            return self.modes[path]
        return self.base.mode(path) if self.base.exists(path) else 0o644

    def size(self, path: str) -> int:
        return len(self.edits[path] or b"") if path in self.edits else self.base.size(path)

    def absence(self, path: str) -> str:
        return self.base.absence(path)

    def obstacle(self, path: str) -> str | None:
        """What keeps a new file from being made at `path`, in words; None where nothing does."""
        for folder in [str(parent) for parent in PurePosixPath(path).parents][-2::-1]:
            if (self.root / folder).is_symlink():
                return f"{folder} is a symbolic link, which is never followed; name the real folder"
            if self.exists(folder):
                return f"{folder} is a file, a folder was expected"
        full = self.root / path
        if full.is_symlink():
            return "is a symbolic link, which is never followed; name the real file"
        return "is a folder, a file was expected" if full.is_dir() else None

    def source(self, path: str) -> Source:
        """The file as parsed Python; parsing is lazy and cached. A file untouched by the overlay shares the base's cache."""
        if path not in self._sources:
            untouched = path not in self.edits and isinstance(self.base, Overlay)
            self._sources[path] = (
                self.base.source(path)
                if untouched and isinstance(self.base, Overlay)
                else Source(path, self.read(path))
            )
        return self._sources[path]

    def mentioning(self, *needles: str, suffixes: tuple[str, ...] = (), records: bool = False) -> list[str]:
        """Text files whose bytes contain one of `needles`; records (see `is_record`) only where asked for."""
        found = {path for needle in needles for path in self.holding(needle.encode())}
        return sorted(p for p in found if (not suffixes or p.endswith(suffixes)) and (records or not is_record(p)))

    def importing(self, *stems: str, suffixes: tuple[str, ...] = (".py", ".ipynb")) -> list[str]:
        """Of the files that mention a module's `stems`, those that may do so in an import or in a dotted string.

        Without parsing: a stem such as `core` is a word of everyday prose, and parsing is what costs.
        """
        words = b"|".join(re.escape(s.encode()) for s in stems)
        likely = re.compile(
            rb"\b(?:from|import)\b[^\n]*\b(?:%b)\b|^[ \t(]*[\w \t,]*\b(?:%b)\b[\w \t,)]*(?:#.*)?\r?$|[\"'][\w.:]*\b(?:%b)\b[\w.:]*[\"']"
            % (words, words, words),
            re.MULTILINE,
        )
        return [
            p
            for p in self.mentioning(*stems, suffixes=suffixes)
            if not p.endswith(".py") or likely.search(self.read(p))
        ]

    def holding(self, needle: bytes) -> frozenset[str]:
        """Text files whose bytes contain `needle`: the base's answer, corrected for what the edits changed."""
        below = self.base.holding(needle)
        if not self.edits:
            return below
        return (below - self.edits.keys()) | {
            p for p, c in self.edits.items() if c is not None and needle in c and b"\0" not in c[:8192]
        }

    def glob(self, patterns: Iterable[str]) -> list[str]:
        """Files matching any pattern; `*` stays within a folder, `**` crosses folders."""
        compiled = [pattern.split("/") for pattern in patterns]
        return [path for path in self.paths() if any(_matches(path.split("/"), pattern) for pattern in compiled)]


def largest(path: str) -> int:
    """Beyond this many bytes a file is not looked into."""
    return LARGEST_NOTEBOOK if path.endswith(".ipynb") else LARGEST_TEXT


def _walk(root: Path, prefix: str = "") -> Iterator[tuple[str, os.stat_result]]:
    try:
        entries = list(os.scandir(root / prefix if prefix else root))
    except OSError as error:
        raise BadInput(f"folder {prefix or root} cannot be read ({error.strerror})") from error
    for entry in entries:
        relative = f"{prefix}{entry.name}"
        if entry.is_symlink():
            continue
        if entry.is_dir(follow_symlinks=False):
            if entry.name not in SKIPPED_FOLDERS and not os.path.exists(os.path.join(entry.path, "pyvenv.cfg")):
                yield from _walk(root, relative + "/")
        elif entry.is_file(follow_symlinks=False):
            yield relative, entry.stat(follow_symlinks=False)


def _matches(parts: list[str], pattern: list[str]) -> bool:
    if not pattern:
        return not parts
    if pattern[0] == "**":
        return any(_matches(parts[i:], pattern[1:]) for i in range(len(parts) + 1))
    return bool(parts) and fnmatchcase(parts[0], pattern[0]) and _matches(parts[1:], pattern[1:])
