"""One transaction and the way back: bytes, modes, folders, edits, links, locks."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from migration.errors import BadInput
from migration.transaction import Change, Disk, Store, changes_of
from migration.tree import Overlay
from tests.migration.support import overlay, write_tree
from tests.migration.transactions import planned, snapshot, store_of


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
