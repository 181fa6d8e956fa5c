"""Two at once: the second waits or refuses, and a killed process holds nothing."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from migration.errors import MigrationError
from migration.transaction import Change, Store
from tests.migration.support import write_tree
from tests.migration.transactions import forked, killed, planned, snapshot


@pytest.fixture
def root(tmp_path: Path) -> Path:
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


def test_a_second_apply_refuses_and_names_the_first(root: Path) -> None:
    changes = changes_in(root)
    reader, writer = os.pipe()
    done_reader, done_writer = os.pipe()
    child = os.fork()
    if child == 0:
        with Store(root).locked():
            os.write(writer, b".")
            os.read(done_reader, 1)
        os._exit(0)
    os.read(reader, 1)
    before = snapshot(root)
    try:
        with pytest.raises(MigrationError, match=rf"another migration \(process {child}\) is at work") as caught:
            Store(root).apply(changes, {})
        assert caught.value.status == 2
        assert snapshot(root) == before
    finally:
        os.write(done_writer, b".")
        os.waitpid(child, 0)
    Store(root).apply(changes, {})


def test_a_second_process_may_wait(root: Path) -> None:
    entered, leave = threading.Event(), threading.Event()

    def first() -> None:
        with Store(root).locked():
            entered.set()
            leave.wait(10)

    thread = threading.Thread(target=first)
    thread.start()
    entered.wait(10)
    threading.Timer(0.1, leave.set).start()
    with Store(root).locked(wait=10):
        assert leave.is_set()
    thread.join()


def test_the_lock_of_a_killed_process_is_free(root: Path) -> None:
    def die() -> None:
        with Store(root).locked():
            killed("")

    assert not forked(die)
    with Store(root).locked():
        pass


def test_a_live_apply_is_not_mistaken_for_an_interrupted_one(root: Path) -> None:
    Store(root).apply(changes_in(root), {})
    (root / ".migration/tx-0001.applied").rename(root / ".migration/tx-0001.applying")
    after = snapshot(root)
    with Store(root).locked(), pytest.raises(MigrationError, match="at work"):
        Store(root).recover()
    assert snapshot(root) == after


def test_the_lock_may_be_taken_again_by_its_holder(root: Path) -> None:
    store = Store(root)
    with store.locked():
        store.apply(changes_in(root), {"plan": "x"})
        assert store.history() == [{"plan": "x"}]
        with pytest.raises(MigrationError, match="at work"), Store(root).locked():
            pass
