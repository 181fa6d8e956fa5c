"""Killed, refused or full at every single change of the disk: the tree is whole, before or after, and nothing is lost."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from migration.errors import MigrationError
from migration.transaction import Disk, Store
from tests.migration.support import write_tree
from tests.migration.transactions import Hasty, changes_in, forked, killed, planned, snapshot, tree_to_change  # noqa: F401

Fault = Callable[[str], None]


class Faulty(Hasty):
    """A disk on which `fault` happens in place of the n-th change; half of the content is there if it was to be written."""

    def __init__(self, n: int, fault: Fault, foreign: str = "") -> None:
        self.left, self.fault, self.foreign = n, fault, foreign

    def write(self, path: Path, content: bytes, *rest: Any, **options: Any) -> None:
        if self.left == 0:
            super().write(path, content[: len(content) // 2], 0o600)
        self._step("write")
        super().write(path, content, *rest, **options)

    def replace(self, source: Path, target: Path) -> None:
        self._step("replace")
        if self.foreign and self.foreign in target.parts and source.parent != target.parent:
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        super().replace(source, target)

    def unlink(self, path: Path) -> None:
        self._step("unlink")
        super().unlink(path)

    def mkdir(self, path: Path, mode: int | None = None) -> None:
        self._step("mkdir")
        super().mkdir(path, mode)

    def rmdir(self, path: Path) -> None:
        self._step("rmdir")
        super().rmdir(path)

    def sync(self, folder: Path) -> None:
        self._step("sync")

    def _step(self, name: str) -> None:
        self.left -= 1
        if self.left < 0:
            self.fault(name)


def full_once(number: int) -> Fault:
    """The disk refuses a single time, whatever was asked."""
    raised: list[bool] = []

    def fault(_: str) -> None:
        if not raised:
            raised.append(True)
            raise OSError(number, os.strerror(number))

    return fault


def full_for_good(name: str) -> None:
    """The disk refuses whatever needs space from now on."""
    if name in ("write", "mkdir"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def clean(root: Path) -> None:
    """Nothing of an interrupted transaction is left, in the tree or beside it."""
    assert [path.name for path in root.glob(".migration/tx-*") if path.suffix != ".applied"] == []
    assert list(root.rglob(".migration-*")) == []


FOREIGN = pytest.mark.parametrize("foreign", ["", "tree"], ids=["one file system", "two file systems"])


@FOREIGN
def test_apply_killed_at_every_step(root: Path, foreign: str) -> None:
    before, changes = snapshot(root), changes_in(root)
    for n in range(1000):
        disk = Faulty(n, killed, "pkg" if foreign else "")
        if forked(lambda disk=disk: Store(root, disk).apply(changes, {})):
            break
        half = snapshot(root)
        sentence = Store(root).recover()
        assert snapshot(root) == (before if not Store(root).history() else half)
        assert half == before or sentence is None or "interrupted apply was taken back" in sentence
        clean(root)
        Store(root).rollback()
        assert snapshot(root) == before
    assert n > 30
    Store(root).rollback()
    assert snapshot(root) == before


@FOREIGN
def test_rollback_killed_at_every_step(root: Path, foreign: str) -> None:
    before, changes = snapshot(root), changes_in(root)
    for n in range(1000):
        Store(root, Faulty(1000, killed, "pkg" if foreign else "")).apply(changes, {})
        after = snapshot(root)
        (root / "pkg/new/sub/n.py").write_bytes(b"n, edited")
        disk = Faulty(n, killed, "pkg" if foreign else "")
        lived = forked(lambda disk=disk: Store(root, disk).rollback(save_edits=True))
        Store(root).recover()
        assert snapshot(root) in (before, {**after, "pkg/new/sub/n.py": (b"n, edited", 0o644)})
        clean(root)
        Store(root).rollback(save_edits=True)
        assert snapshot(root) == before
        assert b"n, edited" in [path.read_bytes() for path in (root / ".migration/edited").rglob("n.py")]
        if lived:
            break
    assert n > 20


@pytest.mark.parametrize("n", [24, 27, 30, 33])
def test_recovery_killed_at_every_step(root: Path, n: int) -> None:
    before, changes = snapshot(root), changes_in(root)
    for k in range(1000):
        assert not forked(lambda: Store(root, Faulty(n, killed)).apply(changes, {}))
        assert snapshot(root) != before
        lived = forked(lambda k=k: Store(root, Faulty(k, killed)).recover())
        Store(root).recover()
        assert snapshot(root) == before
        clean(root)
        if lived:
            break
    assert k > 10


@FOREIGN
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.EIO], ids=["full", "forbidden", "broken"])
def test_apply_refused_once_at_every_step_leaves_the_tree_as_it_was(root: Path, number: int, foreign: str) -> None:
    before, changes = snapshot(root), changes_in(root)
    for n in range(1000):
        disk = Faulty(n, full_once(number), "pkg" if foreign else "")
        try:
            Store(root, disk).apply(changes, {})
            assert disk.left >= 0
            break
        except MigrationError as error:
            assert error.status == 2
            assert os.strerror(number) in str(error)
            assert n == 0 or "the tree is as it was" in str(error)
        assert snapshot(root) == before
        assert Store(root).recover() is None or n == 0
    assert n > 30


class Logged(Disk):
    """A disk that notes what is done to which path, in order."""

    def __init__(self) -> None:
        self.log: list[tuple[str, Path]] = []

    def flush(self, handle: int) -> None:
        self.log.append(("flush", Path(os.readlink(f"/proc/self/fd/{handle}"))))

    def replace(self, source: Path, target: Path) -> None:
        self.log.append(("replace", target))
        super().replace(source, target)

    def unlink(self, path: Path) -> None:
        self.log.append(("unlink", path))
        super().unlink(path)

    def mkdir(self, path: Path, mode: int | None = None) -> None:
        self.log.append(("mkdir", path))
        super().mkdir(path, mode)

    def rmdir(self, path: Path) -> None:
        self.log.append(("rmdir", path))
        super().rmdir(path)

    def sync(self, folder: Path) -> None:
        self.log.append(("sync", folder))


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="names of open files are read from /proc")
def test_what_the_power_may_take_is_on_the_platter_before_the_state_says_so(root: Path) -> None:
    disk, home, changes = Logged(), root / ".migration", changes_in(root)
    Store(root, disk).apply(changes, {})
    begun, done = (disk.log.index(("replace", home / f"tx-0001.{state}")) for state in ("applying", "applied"))
    draft, applied = home / "tx-0001.draft", home / "tx-0001.applied"
    written = {path.relative_to(applied) for path in applied.rglob("*") if path.is_file()}
    written |= {Path("new", str(i)) for i, change in enumerate(changes) if change.after is not None}
    assert {draft / path for path in written} <= {path for name, path in disk.log[:begun] if name == "flush"}
    assert {draft / "old", draft / "new", draft} <= {path for name, path in disk.log[:begun] if name == "sync"}
    _changed_and_synced_between(disk.log, begun, done, home)

    disk.log.clear()
    Store(root, disk).rollback()
    begun, done = (disk.log.index(("replace", home / f"tx-0001.{state}")) for state in ("reverting", "gone"))
    _changed_and_synced_between(disk.log, begun, done, home)


def _changed_and_synced_between(log: list[tuple[str, Path]], begun: int, done: int, home: Path) -> None:
    """The tree changes only between the two states, and each lasts before what follows it."""
    in_tree = [i for i, (_, path) in enumerate(log) if home not in (path, *path.parents)]
    assert begun < in_tree[0]
    assert in_tree[-1] < done
    assert ("sync", home) in log[begun : in_tree[0]]
    changed = {
        path.parent for name, path in (log[i] for i in in_tree) if name in ("replace", "unlink", "mkdir", "rmdir")
    }
    assert {folder for folder in changed if folder.is_dir()} <= {
        path for name, path in log[in_tree[0] : done] if name == "sync"
    }


def test_a_folder_that_may_not_be_written() -> None:
    root = write_tree(Path(tempfile.mkdtemp()), {"a.py": b"a", "locked/b.py": b"b"})
    before = snapshot(root)
    (root / "locked").chmod(0o555)

    def as_nobody() -> None:
        if os.geteuid() == 0:
            for path in (root, root / "a.py", root / "locked", root / "locked/b.py"):
                os.chown(path, 65534, 65534)
            os.setuid(65534)
        for edits in (
            {"a.py": b"A", "locked/b.py": b"B"},
            {"a.py": b"A", "locked/new/c.py": b"c"},
            {"a.py": None, "locked/b.py": None},
        ):
            with pytest.raises(
                MigrationError, match=r"locked.*Permission denied; nothing was applied, the tree is as it was"
            ):
                Store(root).apply(planned(root, edits), {})
            assert {**snapshot(root), "locked": (None, 0o755)} == before

    assert forked(as_nobody)
    shutil.rmtree(root)


def test_apply_on_a_disk_that_stays_full_leaves_the_tree_as_it_was(root: Path) -> None:
    before, changes = snapshot(root), changes_in(root)
    for n in range(1000):
        disk = Faulty(n, full_for_good)
        try:
            Store(root, disk).apply(changes, {})
        except MigrationError as error:
            assert "No space left on device" in str(error)
            assert snapshot(root) == before
        else:
            Store(root).rollback()
        if disk.left >= 0:
            break
    assert n > 30


def test_rollback_refused_once_at_every_step_goes_on_with_the_next_command(root: Path) -> None:
    before, changes = snapshot(root), changes_in(root)
    for n in range(1000):
        Store(root).apply(changes, {})
        after = snapshot(root)
        disk = Faulty(n, full_once(errno.EACCES))
        try:
            Store(root, disk).rollback()
        except MigrationError as error:
            assert "Permission denied" in str(error)
            assert list(root.glob(".migration/tx-*.gone")) == []
        Store(root).recover()
        assert snapshot(root) in (before, after)
        clean(root)
        Store(root).rollback()
        assert snapshot(root) == before
        if disk.left >= 0:
            break
    assert n > 15


def test_an_edit_made_between_the_kill_and_the_next_command_is_never_lost(root: Path) -> None:
    before, changes = snapshot(root), changes_in(root)
    assert not forked(lambda: Store(root, Faulty(33, killed)).apply(changes, {}))
    assert (root / "modified.py").read_bytes() == b"two\r\n"
    (root / "modified.py").write_bytes(b"two, edited\r\n")
    sentence = Store(root).recover()
    assert sentence is not None
    assert "modified.py was left alone" in sentence
    assert snapshot(root) == {**before, "modified.py": (b"two, edited\r\n", 0o644)}
    assert (root / ".migration/former/0001/modified.py").read_bytes() == b"one\r\n"


def test_rollback_after_a_kill_takes_back_only_what_was_interrupted(root: Path) -> None:
    Store(root).apply(planned(root, {"first.py": b"1"}), {"plan": "first"})
    before = snapshot(root)
    assert not forked(lambda: Store(root, Faulty(33, killed)).apply(changes_in(root), {}))
    assert "modified.py" in Store(root).rollback()
    assert snapshot(root) == before
    assert Store(root).history() == [{"plan": "first"}]


def test_apply_after_a_kill_starts_from_the_tree_before(root: Path) -> None:
    changes = changes_in(root)
    assert not forked(lambda: Store(root, Faulty(33, killed)).apply(changes, {}))
    Store(root).apply(changes, {"plan": "again"})
    assert Store(root).history() == [{"plan": "again"}]


def test_an_interrupt_from_the_keyboard_takes_everything_back(root: Path) -> None:
    before, changes = snapshot(root), changes_in(root)

    def interrupt(_: str) -> None:
        disk.left = 1000
        raise KeyboardInterrupt

    disk = Faulty(33, interrupt)
    with pytest.raises(KeyboardInterrupt):
        Store(root, disk).apply(changes, {})
    assert snapshot(root) == before
    clean(root)
