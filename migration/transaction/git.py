"""What the transaction asks git, without ever taking git's locks; without git, or outside of it, there is nothing to ask."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path, PurePosixPath

from migration.errors import MigrationError

# Set while git itself runs us (a hook, an alias): they would point git at another repository than the folder's own.
FOREIGN = frozenset(
    {"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_PREFIX", "GIT_OBJECT_DIRECTORY"}
)
NO_GIT = 127  # exit status standing for "git is not installed"


def uncommitted(root: Path, paths: Iterable[str]) -> list[str]:
    """Those of `paths` that git tracks and that differ from the last commit, in the index or on disk.

    A path in a repository inside `root` (a submodule, a clone) is asked of that one. Raises MigrationError where git fails.
    """
    by_repository: dict[Path, list[str]] = {}
    for path in paths:
        by_repository.setdefault(_innermost(root, path), []).append(path)
    return sorted(
        path for repository, group in by_repository.items() for path in _modified(root, repository).intersection(group)
    )


def exclude(root: Path, name: str) -> None:
    """Keep the folder `root/name` out of git through `info/exclude`, unless something already does."""
    if not _inside_git(root) or _git(root, "check-ignore", "-q", "--", f"{name}/x").returncode != 1:
        return
    asked = _git(root, "rev-parse", "--is-inside-work-tree", "--show-prefix", "--git-path", "info/exclude")
    lines = os.fsdecode(asked.stdout).split("\n")
    if asked.returncode or lines[0] != "true":
        return
    prefix, file = re.sub(r"([*?\[\\])", r"\\\1", lines[1]), root / lines[2]
    with suppress(OSError):  # a read-only .git: untracked files more in `git status`, no reason to refuse the work
        file.parent.mkdir(exist_ok=True)
        with file.open("a+b") as stream:
            stream.seek(0)
            text = stream.read()
            separator = b"" if not text or text.endswith(b"\n") else b"\n"
            stream.write(separator + os.fsencode(f"/{prefix}{name}/\n"))


def _modified(root: Path, repository: Path) -> set[str]:
    if not _inside_git(repository):
        return set()
    asked = _git(repository, "rev-parse", "--is-inside-work-tree", "--show-prefix")
    if (
        asked.returncode == NO_GIT
        or asked.stdout.startswith(b"false")
        or b"not a git repository (or any" in asked.stderr
    ):
        return set()
    status = _git(repository, "status", "--porcelain=v1", "-z", "--no-renames", "--untracked-files=no", "--", ".")
    if asked.returncode or status.returncode:
        words = os.fsdecode(asked.stderr or status.stderr).strip().replace("\n", " ")
        raise MigrationError(
            f"git cannot tell whether {repository} has uncommitted edits ({words}); repair that first, nothing was written"
        )
    prefix = os.fsdecode(asked.stdout).split("\n")[1]
    below = repository.relative_to(root).as_posix()
    found = (os.fsdecode(entry)[3:].removeprefix(prefix) for entry in status.stdout.split(b"\0") if entry)
    return {str(PurePosixPath(below, path)) for path in found}


def _innermost(root: Path, path: str) -> Path:
    """The innermost folder from `path` up to `root` that is a repository of its own, else `root`."""
    parents = (root / parent for parent in PurePosixPath(path).parents)
    return next((parent for parent in parents if os.path.lexists(parent / ".git")), root)


def _inside_git(folder: Path) -> bool:
    return any(os.path.lexists(parent / ".git") for parent in (folder, *folder.parents))


def _git(folder: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    # fsmonitor would start a program that the repository names.
    command = ["git", "-C", str(folder), "-c", "core.fsmonitor=false", *arguments]
    environment = {name: value for name, value in os.environ.items() if name not in FOREIGN}
    environment |= {"GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}
    try:
        return subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    except FileNotFoundError:
        return subprocess.CompletedProcess(command, NO_GIT, b"", b"")
