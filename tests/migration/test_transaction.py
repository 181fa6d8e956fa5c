"""One transaction and the way back: bytes, modes, folders, edits, links, locks."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from migration.errors import BadInput, DecisionNeeded, MigrationError
from migration.transaction import Change, Disk, Store, changes_of
from migration.tree import Overlay, Tree
from tests.migration.support import overlay, write_tree

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


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_tree(
        tmp_path / "tree",
        {"a.py": b"a = 1\r\n", "b.py": b"\xef\xbb\xbfb\n\n", "pkg/deep/c.py": b"c", "run.sh": b"#!/bin/sh\n"},
    )
    (tmp_path / "tree/run.sh").chmod(0o755)
    return tmp_path / "tree"


# ---------------------------------------------------------------- changes


def test_changes_are_the_real_differences_sorted() -> None:
    base = overlay({"b.py": "b", "a.py": "a", "same.py": "s", "gone.py": "g"})
    after = Overlay(base)
    after.edit({"b.py": b"B", "same.py": b"s", "gone.py": None, "new.py": b"n", "never.py": None})
    changes = changes_of(base, after)
    assert [(c.path, c.before, c.after) for c in changes] == [
        ("b.py", b"b", b"B"),
        ("gone.py", b"g", None),
        ("new.py", None, b"n"),
    ]
    assert [(c.mode_before is None, c.mode_after) for c in changes] == [(False, 0o644), (False, None), (True, 0o644)]


def test_changes_see_through_overlays_laid_on_overlays() -> None:
    base = overlay({"a.py": "a", "b.py": "b"})
    middle = Overlay(base)
    middle.edit({"a.py": b"A"})
    top = Overlay(middle)
    top.edit({"b.py": b"B"})
    assert [c.path for c in changes_of(base, top)] == ["a.py", "b.py"]


def test_a_change_of_mode_alone_is_a_change(root: Path) -> None:
    changes = planned(root, {}, {"a.py": 0o755})
    assert [(c.path, c.mode_before, c.mode_after) for c in changes] == [("a.py", 0o644, 0o755)]


# ---------------------------------------------------------------- forward


def test_apply_creates_modifies_and_deletes(root: Path) -> None:
    Store(root).apply(
        planned(root, {"a.py": b"a = 2\r\n", "b.py": None, "x/y/new.py": b"n"}, {"x/y/new.py": 0o755}), {}
    )
    after = snapshot(root)
    assert after["a.py"][0] == b"a = 2\r\n"
    assert "b.py" not in after
    assert after["x/y/new.py"] == (b"n", 0o755)


def test_apply_keeps_the_mode_it_was_not_asked_to_change(root: Path) -> None:
    (root / "a.py").chmod(0o444)
    Store(root).apply(planned(root, {"run.sh": b"#!/bin/bash\n", "a.py": b"a"}), {})
    assert snapshot(root)["run.sh"] == (b"#!/bin/bash\n", 0o755)
    assert snapshot(root)["a.py"] == (b"a", 0o444)


def test_apply_keeps_the_owner_of_a_file(root: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only the superuser can give a file away")
    os.chown(root / "a.py", 1234, 1234)
    store = store_of(root, a=b"A")
    assert ((root / "a.py").stat().st_uid, (root / "a.py").stat().st_gid) == (1234, 1234)
    store.rollback()
    assert ((root / "a.py").stat().st_uid, (root / "a.py").stat().st_gid) == (1234, 1234)


def test_apply_without_changes_writes_nothing(root: Path) -> None:
    Store(root).apply(planned(root, {"a.py": b"a = 1\r\n"}), {})
    assert not (root / ".migration").exists()


def test_looking_writes_nothing(root: Path) -> None:
    store = Store(root)
    assert (store.history(), store.recover(), store.rollback(), store.conflicts(planned(root, {"a.py": b""}))) == (
        [],
        None,
        [],
        [],
    )
    assert not (root / ".migration").exists()


def test_no_stray_files_in_the_tree_or_the_state_folder(root: Path) -> None:
    store = store_of(root, a=b"A")
    assert sorted(snapshot(root)) == ["a.py", "b.py", "pkg", "pkg/deep", "pkg/deep/c.py", "run.sh"]
    store.rollback()
    assert os.listdir(root / ".migration") == ["lock"]


def test_a_folder_emptied_by_deletion_goes(root: Path) -> None:
    Store(root).apply(planned(root, {"pkg/deep/c.py": None}), {})
    assert not (root / "pkg").exists()


def test_a_folder_that_still_holds_a_cache_stays(root: Path) -> None:
    write_tree(root, {"pkg/deep/__pycache__/c.pyc": b"x"})
    Store(root).apply(planned(root, {"pkg/deep/c.py": None}), {})
    assert (root / "pkg/deep/__pycache__/c.pyc").exists()


def test_a_file_saved_into_a_folder_that_is_just_being_removed_keeps_it(root: Path) -> None:
    class Race(Disk):
        def rmdir(self, path: Path) -> None:
            if path.name == "deep":
                (path / "mine.py").write_bytes(b"mine")
            super().rmdir(path)

    Store(root, Race()).apply(planned(root, {"pkg/deep/c.py": None}), {})
    assert os.listdir(root / "pkg/deep") == ["mine.py"]


def test_a_folder_that_was_empty_before_stays_empty(root: Path) -> None:
    (root / "pkg/empty").mkdir()
    store = Store(root)
    before = snapshot(root)
    store.apply(planned(root, {"pkg/deep/c.py": None}), {})
    assert (root / "pkg/empty").is_dir()
    store.rollback()
    assert snapshot(root) == before


# ---------------------------------------------------------------- refusals, with the tree as it was


def refused(root: Path, changes: list[Change], disk: Disk | None = None) -> str:
    before = snapshot(root)
    with pytest.raises(BadInput) as caught:
        Store(root, disk).apply(changes, {})
    assert snapshot(root) == before
    assert Store(root).history() == []
    assert [name for name in os.listdir(root / ".migration") if name.startswith("tx-")] == []
    return str(caught.value)


@pytest.mark.parametrize("edit", [b"a = 1", b"", None], ids=["edited", "emptied", "deleted"])
def test_a_file_changed_since_planned_is_named(root: Path, edit: bytes | None) -> None:
    changes = planned(root, {"a.py": b"A", "b.py": b"B"})
    (root / "a.py").unlink() if edit is None else (root / "a.py").write_bytes(edit)
    assert "a.py was changed since" in refused(root, changes)


def test_a_file_that_has_appeared_since_planned_is_named(root: Path) -> None:
    changes = planned(root, {"new.py": b"n"})
    (root / "new.py").write_bytes(b"mine")
    assert "new.py was changed since" in refused(root, changes)


def test_a_mode_changed_since_planned_counts_as_an_edit(root: Path) -> None:
    changes = planned(root, {"a.py": b"A"})
    (root / "a.py").chmod(0o755)
    assert "a.py was changed since" in refused(root, changes)


class Meddler(Disk):
    """Somebody who does something to the tree while the first file is being replaced."""

    def __init__(self, meddle: object) -> None:
        self.meddle = meddle

    def replace(self, source: Path, target: Path) -> None:
        super().replace(source, target)
        if target.name == "a.py" and callable(self.meddle):
            meddle, self.meddle = self.meddle, None
            meddle()


def test_a_file_edited_during_the_apply_keeps_the_edit_and_all_else_goes_back(root: Path) -> None:
    changes = planned(root, {"a.py": b"A", "b.py": b"B", "new/n.py": b"n"})
    with pytest.raises(BadInput, match=r"^b\.py was changed since.*the tree is as it was$"):
        Store(root, Meddler(lambda: (root / "b.py").write_bytes(b"edit"))).apply(changes, {})
    assert snapshot(root) == {**snapshot(root), "a.py": (b"a = 1\r\n", 0o644), "b.py": (b"edit", 0o644)}
    assert not (root / "new").exists()


def test_a_file_edited_after_it_was_replaced_is_left_alone_and_named(root: Path) -> None:
    def meddle() -> None:
        (root / "a.py").write_bytes(b"edit of A")
        (root / "b.py").write_bytes(b"edit")

    with pytest.raises(BadInput, match=r"a\.py was left alone") as caught:
        Store(root, Meddler(meddle)).apply(planned(root, {"a.py": b"A", "b.py": b"B"}), {})
    assert (root / "a.py").read_bytes() == b"edit of A"
    assert (root / ".migration/former/0001/a.py").read_bytes() == b"a = 1\r\n"
    assert str(root / ".migration/former/0001/a.py") in str(caught.value)


def test_a_link_that_appears_during_the_apply_is_not_followed(root: Path, tmp_path: Path) -> None:
    write_tree(tmp_path, {"elsewhere/c.py": b"c"})

    def meddle() -> None:
        (root / "pkg/deep").rename(tmp_path / "moved")
        (root / "pkg/deep").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(BadInput, match=r"pkg/deep is a symbolic link.*the tree is as it was$"):
        Store(root, Meddler(meddle)).apply(planned(root, {"a.py": b"A", "pkg/deep/c.py": b"C"}), {})
    assert (tmp_path / "elsewhere/c.py").read_bytes() == b"c"
    assert (root / "a.py").read_bytes() == b"a = 1\r\n"


def test_a_file_that_became_a_link_is_refused(root: Path, tmp_path: Path) -> None:
    changes = planned(root, {"a.py": b"A"})
    (root / "a.py").rename(tmp_path / "real.py")
    (root / "a.py").symlink_to(tmp_path / "real.py")
    assert "a.py is a symbolic link" in refused(root, changes)
    assert (tmp_path / "real.py").read_bytes() == b"a = 1\r\n"


def test_a_dangling_link_at_a_new_file_is_refused(root: Path) -> None:
    (root / "new.py").symlink_to(root / "nowhere")
    with pytest.raises(BadInput, match=r"new\.py is a symbolic link"):
        Store(root).apply([Change("new.py", None, b"n", None, 0o644)], {})
    assert not (root / "nowhere").exists()


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("../out.py", "stay inside"),
        ("/etc/out.py", "stay inside"),
        ("pkg/../../out.py", "stay inside"),
        (".git/hooks/pre-commit", "not part of the tree"),
        (".GIT/config", "not part of the tree"),
        ("sub/.git/config", "not part of the tree"),
        (".migration/x", "not part of the tree"),
        (".git", "not a path that a migration may write"),
        ("pkg", "pkg is a folder, a file was expected"),
        ("a.py/b.py", "a.py is a file, a folder was expected"),
    ],
)
def test_paths_that_must_not_be_written(root: Path, path: str, words: str) -> None:
    assert words in refused(root, [Change(path, None, b"x", None, 0o644)])


def test_a_record_that_is_no_json_leaves_nothing_behind(root: Path) -> None:
    before = snapshot(root)
    with pytest.raises(TypeError):
        Store(root).apply(planned(root, {"a.py": b"A"}), {"time": object()})
    assert snapshot(root) == before
    assert Store(root).history() == []


@pytest.mark.parametrize("kind", ["file", "link"])
def test_something_else_named_like_the_state_folder(root: Path, tmp_path: Path, kind: str) -> None:
    changes = planned(root, {"a.py": b"A"})
    (tmp_path / "aim").mkdir()
    (root / ".migration").write_bytes(b"") if kind == "file" else (root / ".migration").symlink_to(tmp_path / "aim")
    for command in (lambda s: s.apply(changes, {}), Store.recover, Store.rollback, Store.history):
        with pytest.raises(BadInput, match=r"\.migration is a (file|symbolic link), a folder was expected"):
            command(Store(root))
    assert os.listdir(tmp_path / "aim") == []


# ---------------------------------------------------------------- back


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
