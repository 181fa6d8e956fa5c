"""Two at once: the second waits or refuses, and a killed process holds nothing."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from migration.errors import MigrationError
from migration.transaction import Store
from tests.migration.transactions import changes_in, forked, killed, planned, snapshot, tree_to_change  # noqa: F401


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
