"""The way back: bytes, modes, folders, times, and the edits made since."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from migration.errors import BadInput, DecisionNeeded, MigrationError
from migration.transaction import Change, Store
from tests.migration.support import write_tree
from tests.migration.transactions import Hasty, planned, snapshot, store_of


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_tree(
        tmp_path / "tree",
        {"a.py": b"a = 1\r\n", "b.py": b"\xef\xbb\xbfb\n\n", "pkg/deep/c.py": b"c", "run.sh": b"#!/bin/sh\n"},
    )
    (tmp_path / "tree/run.sh").chmod(0o755)
    return tmp_path / "tree"


def test_rollback_restores_bytes_modes_folders_and_times(root: Path) -> None:
    (root / "pkg/deep").chmod(0o750)
    os.utime(root / "a.py", ns=(1, 1_234_567_891))
    before = snapshot(root)
    store = Store(root)
    store.apply(
        planned(root, {"a.py": b"", "run.sh": None, "pkg/deep/c.py": None, "x/y/z.py": b"z"}, {"a.py": 0o600}), {}
    )
    assert sorted(store.rollback()) == ["a.py", "pkg/deep/c.py", "run.sh", "x/y/z.py"]
    assert snapshot(root) == before
    assert (root / "a.py").stat().st_mtime_ns == 1_234_567_891


def test_repeated_rollbacks_go_further_back(root: Path) -> None:
    states = [snapshot(root)]
    store = Store(root)
    for i in range(3):
        store.apply(planned(root, {"a.py": b"%d" % i, f"new{i}.py": b"n"}), {"i": i})
        states.append(snapshot(root))
    assert [record["i"] for record in store.history()] == [0, 1, 2]
    for expected in reversed(states[:-1]):
        store.rollback()
        assert snapshot(root) == expected
    assert (store.rollback(), store.history()) == ([], [])


def test_apply_rollback_apply(root: Path) -> None:
    store = store_of(root, a=b"A")
    store.rollback()
    store.apply(planned(root, {"a.py": b"B"}), {"second": True})
    assert store.history() == [{"second": True}]
    assert store.before() == {"a.py": b"a = 1\r\n"}


def test_before_gives_the_bytes_of_any_apply(root: Path) -> None:
    store = store_of(root, a=b"A", new=b"n")
    store.apply(planned(root, {"a.py": b"AA"}), {})
    assert store.before() == {"a.py": b"A"}
    assert store.before(0) == store.before(-2) == {"a.py": b"a = 1\r\n", "new.py": None}
    with pytest.raises(BadInput, match="2 applied migrations"):
        store.before(2)


def test_rollback_over_edits_needs_a_decision(root: Path) -> None:
    store = store_of(root, a=b"A", b=b"B")
    (root / "b.py").write_bytes(b"B, edited")
    before = snapshot(root)
    with pytest.raises(DecisionNeeded, match=r"edited since the apply: b\.py;") as caught:
        store.rollback()
    assert caught.value.status == 3
    assert snapshot(root) == before
    assert len(store.history()) == 1


def test_edits_are_kept_where_the_note_says(root: Path) -> None:
    before = snapshot(root)
    store = store_of(root, a=b"A", new=b"n")
    (root / "a.py").write_bytes(b"A, edited")
    (root / "new.py").write_bytes(b"n, edited")
    store.rollback(save_edits=True)
    assert snapshot(root) == before
    kept = root / ".migration/edited/0001"
    assert ((kept / "a.py").read_bytes(), (kept / "new.py").read_bytes()) == (b"A, edited", b"n, edited")
    assert any(str(kept) in note and "a.py, new.py" in note for note in store.notes)


def test_kept_edits_are_never_overwritten_by_a_later_rollback(root: Path) -> None:
    for edit in (b"first", b"second"):
        store = store_of(root, a=b"A")
        (root / "a.py").write_bytes(edit)
        store.rollback(save_edits=True)
    assert sorted(path.read_bytes() for path in (root / ".migration/edited").rglob("a.py")) == [b"first", b"second"]


def test_a_file_put_back_by_hand_is_no_edit(root: Path) -> None:
    before = snapshot(root)
    store = store_of(root, a=b"A", new=b"n")
    (root / "a.py").write_bytes(b"a = 1\r\n")
    (root / "new.py").unlink()
    store.rollback()
    assert snapshot(root) == before


def test_a_file_deleted_since_comes_back(root: Path) -> None:
    before = snapshot(root)
    store = store_of(root, a=b"A")
    (root / "a.py").unlink()
    store.rollback()
    assert snapshot(root) == before


def test_a_folder_with_somebodys_file_is_not_removed_by_rollback(root: Path) -> None:
    store = Store(root)
    store.apply(planned(root, {"x/new.py": b"n"}), {})
    write_tree(root, {"x/mine.py": b"mine"})
    store.rollback()
    assert os.listdir(root / "x") == ["mine.py"]


def test_compiled_files_do_not_keep_a_made_folder(root: Path) -> None:
    before = snapshot(root)
    store = Store(root)
    store.apply(planned(root, {"x/y/new.py": b"n"}), {})
    write_tree(root, {"x/__pycache__/a.cpython-311.pyc": b"", "x/y/__pycache__/new.cpython-311.pyc": b""})
    store.rollback()
    assert snapshot(root) == before


def test_a_cache_with_somebodys_file_stays(root: Path) -> None:
    store = Store(root)
    store.apply(planned(root, {"x/new.py": b"n"}), {})
    write_tree(root, {"x/__pycache__/notes.txt": b"mine", "x/__pycache__/new.cpython-311.pyc": b""})
    store.rollback()
    assert sorted(os.listdir(root / "x/__pycache__")) == ["new.cpython-311.pyc", "notes.txt"]


def test_rollback_meets_a_link_where_its_file_was(root: Path, tmp_path: Path) -> None:
    store = store_of(root, a=b"A", b=b"B")
    (root / "a.py").rename(tmp_path / "real.py")
    (root / "a.py").symlink_to(tmp_path / "real.py")
    with pytest.raises(BadInput, match=r"a\.py is a symbolic link"):
        store.rollback(save_edits=True)
    assert (root / "b.py").read_bytes() == b"B"


def test_a_damaged_journal_is_named(root: Path) -> None:
    store = store_of(root, a=b"A")
    (root / ".migration/tx-0001.applied/journal.json").write_bytes(b"{")
    with pytest.raises(MigrationError, match=r"journal\.json cannot be read"):
        store.rollback()


def test_the_record_is_kept_as_json(root: Path) -> None:
    record = {"plan": "visioncore", "digest": "0" * 64, "steps": ["3.5", "3.6"], "time": "2025-01-01T00:00:00Z"}
    Store(root).apply(planned(root, {"a.py": b"A"}), record)
    assert Store(root).history() == [record]
    assert json.loads((root / ".migration/tx-0001.applied/journal.json").read_text())["record"] == record


def test_odd_file_names(root: Path) -> None:
    store = Store(root)
    names = ["sp ace.py", "ünï.py", "q\"uo'te.py", "new\nline.py", "x" * 250, "-dash", "a.partial"]
    store.apply([Change(name, None, name.encode(), None, 0o644) for name in names], {})
    assert all((root / name).read_bytes() == name.encode() for name in names)
    assert sorted(store.rollback()) == sorted(names)


# ---------------------------------------------------------------- a law

parts = st.sampled_from(["a", "b", "c"])
paths = (
    st.lists(parts, max_size=2)
    .map(lambda folders: "/".join([*folders, ""]))
    .flatmap(lambda p: parts.map(lambda n: f"{p}{n}.py"))
)
modes = st.sampled_from([0o644, 0o755, 0o600, 0o444])
trees = st.dictionaries(paths, st.tuples(st.binary(max_size=8), modes), max_size=6)
edits = st.lists(
    st.dictionaries(paths, st.none() | st.tuples(st.binary(max_size=8), modes), min_size=1, max_size=6),
    min_size=1,
    max_size=3,
)


@settings(max_examples=60, deadline=None)
@given(trees, edits)
def test_applies_and_as_many_rollbacks_are_the_identity(
    tmp_path_factory: pytest.TempPathFactory,
    tree: dict[str, tuple[bytes, int]],
    rounds: list[dict[str, tuple[bytes, int] | None]],
) -> None:
    root = tmp_path_factory.mktemp("law")
    write_tree(root, {path: content for path, (content, _) in tree.items()})
    for path, (_, mode) in tree.items():
        (root / path).chmod(mode)
    store, states = Store(root, Hasty()), []
    for wanted in rounds:
        changes = planned(root, {p: w and w[0] for p, w in wanted.items()}, {p: w[1] for p, w in wanted.items() if w})
        if changes:
            states.append(snapshot(root))
            store.apply(changes, {})
        after = snapshot(root)
        assert {p: after.get(p) for p in wanted} == wanted
    while states:
        store.rollback()
        assert snapshot(root) == states.pop()
