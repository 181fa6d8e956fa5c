"""What the tests of the transaction share: a tree's state, changes to it, a disk that does not wait."""

from __future__ import annotations

import os
import signal
import stat
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

from migration.transaction import Change, Disk, Store, changes_of
from migration.tree import Overlay, Tree
from tests.migration.support import write_tree

Snapshot = dict[str, tuple[bytes | None, int]]


def snapshot(root: Path) -> Snapshot:
    """Every path below `root` but the state folder: bytes (None for a folder) and mode."""
    found: Snapshot = {}
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root).as_posix()
        if name.split("/")[0] not in (".migration", ".git"):
            status = path.lstat()
            found[name] = (None if stat.S_ISDIR(status.st_mode) else path.read_bytes(), stat.S_IMODE(status.st_mode))
    return found


def planned(root: Path, edits: dict[str, bytes | None], modes: dict[str, int] | None = None) -> list[Change]:
    """The changes that lay `edits` on what is in `root` now."""
    base = Overlay(Tree(root))
    after = Overlay(base)
    after.edit(edits, modes)
    return changes_of(base, after)


class Hasty(Disk):
    """A disk that does not wait for the platter: what these tests interrupt are processes, not the power."""

    def flush(self, handle: int) -> None:
        pass

    def sync(self, folder: Path) -> None:
        pass


def store_of(root: Path, **edits: bytes | None) -> Store:
    """A store with one apply of `edits` (keyword `a` stands for a.py)."""
    store = Store(root)
    store.apply(planned(root, {f"{name}.py": content for name, content in edits.items()}), {"plan": "test"})
    return store


def killed(_: str) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def forked(work: Callable[[], object]) -> bool:
    """Run `work` in a process of its own; whether it lived."""
    child = os.fork()
    if child == 0:
        try:
            work()
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert not os.WIFEXITED(status) or os.WEXITSTATUS(status) == 0, "the child failed by itself"
    return os.WIFEXITED(status)


@pytest.fixture(name="root")
def tree_to_change(tmp_path: Path) -> Path:
    files = {
        "modified.py": b"one\r\n",
        "deleted.py": b"gone",
        "run.sh": b"#!/bin/sh\n",
        "only/one/here.py": b"last",
        "pkg/kept.py": b"k",
    }
    write_tree(tmp_path / "tree", files)
    (tmp_path / "tree/run.sh").chmod(0o755)
    (tmp_path / "tree/only/one").chmod(0o710)
    return tmp_path / "tree"


def changes_in(root: Path) -> list[Change]:
    edits = {
        "modified.py": b"two\r\n",
        "deleted.py": None,
        "run.sh": b"#!/bin/bash\n",
        "only/one/here.py": None,
        "pkg/new/sub/n.py": b"n",
        "top.py": b"t",
    }
    return planned(root, edits, {"top.py": 0o755, "pkg/kept.py": 0o600})
