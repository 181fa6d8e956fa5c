"""What git knows of uncommitted edits, and the state folder kept out of it; with real repositories of every shape."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from migration.errors import MigrationError
from migration.transaction import Store
from tests.migration.support import write_tree
from tests.migration.transactions import planned

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


def git(folder: Path, *arguments: str) -> str:
    command = [
        "git",
        "-C",
        str(folder),
        "-c",
        "user.name=t",
        "-c",
        "user.email=t@t",
        "-c",
        "protocol.file.allow=always",
        *arguments,
    ]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@pytest.fixture(autouse=True)
def only_this_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")


def repository(folder: Path) -> Path:
    write_tree(folder, {"a.py": b"a\n", "b.py": b"b\n", "sub [x]/c.py": b"c\n", "ünï/d.py": b"d\n"})
    git(folder, "init", "-q", "-b", "main")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "first")
    return folder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return repository(tmp_path / "repo")


def conflicts(root: Path, *paths: str) -> list[str]:
    """What stands against changing `paths`."""
    return Store(root).conflicts(planned(root, dict.fromkeys(paths, b"changed\n")))


def test_a_clean_tree_has_no_conflicts(root: Path) -> None:
    assert conflicts(root, "a.py", "sub [x]/c.py", "new.py") == []


def test_edits_staged_or_not_are_conflicts_only_where_touched(root: Path) -> None:
    write_tree(root, {"a.py": b"edit\n", "b.py": b"edit\n", "ünï/d.py": b"edit\n"})
    git(root, "add", "b.py")
    assert conflicts(root, "a.py") == ["a.py"]
    assert conflicts(root, "a.py", "b.py", "sub [x]/c.py", "ünï/d.py") == ["a.py", "b.py", "ünï/d.py"]


def test_an_edit_put_back_on_disk_but_still_staged_is_a_conflict(root: Path) -> None:
    write_tree(root, {"a.py": b"edit\n"})
    git(root, "add", "a.py")
    write_tree(root, {"a.py": b"a\n"})
    assert conflicts(root, "a.py") == ["a.py"]


def test_untracked_and_ignored_files_are_none(root: Path) -> None:
    write_tree(root, {"new.py": b"n", ".gitignore": b"ignored.py\n", "ignored.py": b"i"})
    assert conflicts(root, "new.py", "ignored.py") == []


def test_a_deleted_file_is_one(root: Path) -> None:
    (root / "a.py").unlink()
    assert conflicts(root, "a.py") == ["a.py"]


def test_both_names_of_a_rename_are(root: Path) -> None:
    git(root, "mv", "a.py", "renamed.py")
    assert conflicts(root, "a.py", "renamed.py") == ["a.py", "renamed.py"]


def test_a_merge_conflict_is_one(root: Path) -> None:
    git(root, "checkout", "-q", "-b", "other")
    write_tree(root, {"a.py": b"theirs\n"})
    git(root, "commit", "-q", "-a", "-m", "theirs")
    git(root, "checkout", "-q", "main")
    write_tree(root, {"a.py": b"ours\n"})
    git(root, "commit", "-q", "-a", "-m", "ours")
    with pytest.raises(subprocess.CalledProcessError):
        git(root, "merge", "other")
    assert conflicts(root, "a.py", "b.py") == ["a.py"]


def test_a_repository_without_a_commit(tmp_path: Path) -> None:
    root = write_tree(tmp_path / "repo", {"a.py": b"a", "b.py": b"b"})
    git(root, "init", "-q")
    git(root, "add", "a.py")
    assert conflicts(root, "a.py", "b.py") == ["a.py"]


def test_a_subfolder_of_a_repository(root: Path) -> None:
    write_tree(root, {"sub [x]/c.py": b"edit\n", "a.py": b"edit\n"})
    assert conflicts(root / "sub [x]", "c.py") == ["c.py"]
    assert conflicts(root / "ünï", "d.py", "a.py") == []


def test_a_worktree(root: Path, tmp_path: Path) -> None:
    git(root, "worktree", "add", "-q", str(tmp_path / "wt"), "-b", "other")
    write_tree(tmp_path / "wt", {"a.py": b"edit\n"})
    write_tree(root, {"b.py": b"edit\n"})
    assert conflicts(tmp_path / "wt", "a.py", "b.py") == ["a.py"]


def test_a_folder_ignored_by_the_repository_around_it(root: Path) -> None:
    write_tree(root, {".gitignore": b"/build/\n", "build/a.py": b"a"})
    Store(root / "build").apply(planned(root / "build", {"a.py": b"A"}), {})
    assert conflicts(root / "build", "a.py") == []
    assert "migration" not in (root / ".git/info/exclude").read_text()


def test_a_repository_inside_is_asked_itself(root: Path) -> None:
    inner = repository(root / "vendor/inner")
    write_tree(inner, {"a.py": b"edit\n"})
    assert conflicts(root, "a.py", "vendor/inner/a.py", "vendor/inner/b.py") == ["vendor/inner/a.py"]


def test_a_submodule_is_asked_itself(root: Path, tmp_path: Path) -> None:
    git(root, "submodule", "add", "-q", str(repository(tmp_path / "lib")), "lib")
    git(root, "commit", "-q", "-m", "submodule")
    write_tree(root, {"lib/a.py": b"edit\n"})
    assert conflicts(root, "lib/a.py", "lib/b.py", "a.py") == ["lib/a.py"]


def test_no_repository_and_no_git(tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = write_tree(tmp_path / "plain", {"a.py": b"a"})
    assert conflicts(plain, "a.py") == []
    write_tree(root, {"a.py": b"edit\n"})
    monkeypatch.setenv("PATH", str(tmp_path))
    assert conflicts(root, "a.py") == []
    Store(root).apply(planned(root, {"a.py": b"A"}), {})


def test_an_index_that_git_cannot_read_is_said(root: Path) -> None:
    (root / ".git/index").write_bytes(b"broken")
    with pytest.raises(MigrationError, match=r"git cannot tell whether .* has uncommitted edits .*index"):
        conflicts(root, "a.py")


@pytest.mark.skipif(os.geteuid() != 0, reason="only the superuser can give a repository away")
def test_a_repository_that_git_does_not_trust_is_said_with_gits_own_advice(root: Path) -> None:
    os.chown(root, 1234, 1234)
    os.chown(root / ".git", 1234, 1234)
    with pytest.raises(MigrationError, match=r"dubious ownership.*safe\.directory"):
        conflicts(root, "a.py")


def test_a_folder_below_something_that_only_looks_like_a_repository(tmp_path: Path) -> None:
    root = write_tree(tmp_path / "x/tree", {"a.py": b"a"})
    (tmp_path / "x/.git").mkdir()
    assert conflicts(root, "a.py") == []
    use(root)


def test_what_our_own_apply_left_is_no_conflict(root: Path) -> None:
    store = Store(root)
    store.apply(planned(root, {"a.py": b"A\n", "b.py": None, "sub [x]/c.py": b"C\n"}), {})
    store.apply(planned(root, {"a.py": b"AA\n"}), {})
    assert conflicts(root, "a.py", "b.py", "sub [x]/c.py") == []
    write_tree(root, {"sub [x]/c.py": b"C, edited\n", "b.py": b"b, again\n"})
    assert conflicts(root, "a.py", "b.py", "sub [x]/c.py") == ["b.py", "sub [x]/c.py"]


def test_what_a_taken_back_apply_had_left_is_a_conflict(root: Path) -> None:
    store = Store(root)
    store.apply(planned(root, {"a.py": b"A\n"}), {})
    store.rollback()
    write_tree(root, {"a.py": b"A\n"})
    assert conflicts(root, "a.py") == ["a.py"]


def test_asking_leaves_the_index_as_it_is(root: Path) -> None:
    os.utime(root / "b.py", (1, 1))  # git would write the new time into its index
    index = (root / ".git/index").read_bytes()
    assert conflicts(root, "a.py", "b.py") == []
    assert (root / ".git/index").read_bytes() == index


def test_asking_while_somebody_holds_the_lock_of_git(root: Path) -> None:
    write_tree(root, {"a.py": b"edit\n"})
    (root / ".git/index.lock").touch()
    assert conflicts(root, "a.py", "b.py") == ["a.py"]


def test_run_from_a_hook_of_another_repository(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = repository(tmp_path / "other")
    for folder in (root, other):
        write_tree(folder, {"a.py": b"edit\n"})
    git(other, "commit", "-q", "-a", "-m", "what is an edit here is committed there")
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(other / ".git/index"))
    assert conflicts(root, "a.py") == ["a.py"]


# ---------------------------------------------------------------- info/exclude


def use(root: Path) -> None:
    with Store(root).locked():
        pass


def test_the_state_folder_is_excluded_once(root: Path) -> None:
    (root / ".git/info/exclude").write_bytes(b"# mine, without a newline")
    for _ in range(3):
        use(root)
    assert (root / ".git/info/exclude").read_bytes() == b"# mine, without a newline\n/.migration/\n"
    assert git(root, "status", "--porcelain") == ""
    assert not (root / ".gitignore").exists()


def test_the_exclude_file_is_made_where_missing(root: Path) -> None:
    shutil.rmtree(root / ".git/info")
    use(root)
    assert (root / ".git/info/exclude").read_bytes() == b"/.migration/\n"


@pytest.mark.parametrize("folder", ["sub [x]", "ünï"])
def test_a_subfolder_is_anchored(root: Path, folder: str) -> None:
    use(root / folder)
    use(root / folder)
    assert (root / ".git/info/exclude").read_text().count("/.migration/\n") == 1
    assert git(root, "status", "--porcelain") == ""
    write_tree(root, {"other/.migration/x": b""})
    assert "other/" in git(root, "status", "--porcelain")


def test_a_worktree_uses_the_common_exclude_file(root: Path, tmp_path: Path) -> None:
    git(root, "worktree", "add", "-q", str(tmp_path / "wt"), "-b", "other")
    use(tmp_path / "wt")
    use(root)
    assert (root / ".git/info/exclude").read_text().count(".migration") == 1
    assert git(tmp_path / "wt", "status", "--porcelain") == ""


def test_what_is_ignored_already_is_not_excluded_again(root: Path) -> None:
    write_tree(root, {".gitignore": b".migration/\n"})
    before = (root / ".git/info/exclude").read_bytes()
    use(root)
    assert (root / ".git/info/exclude").read_bytes() == before
