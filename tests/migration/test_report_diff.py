"""The patch of a migration, judged by git itself: applied to the tree before, it gives the tree after."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from migration.report.diff import changed_paths, hunks, line_counts, unified_diff
from migration.tree import Overlay, Tree
from tests.migration.support import overlay, write_tree

FILES = dict[str, tuple[bytes, bool]]


def edited(before: Overlay, edits: dict[str, bytes | None], modes: dict[str, int] | None = None) -> Overlay:
    after = Overlay(before)
    after.edit(edits, modes)
    return after


def on_disk(root: Path) -> FILES:
    files = (p for p in root.rglob("*") if p.is_file() and ".git" not in p.relative_to(root).parts[:1])
    return {os.fsdecode(p.relative_to(root)): (p.read_bytes(), bool(p.stat().st_mode & 0o100)) for p in files}


def lay(root: Path, files: FILES) -> Path:
    write_tree(root, {path: content for path, (content, _) in files.items()})
    for path, (_, executable) in files.items():
        (root / path).chmod(0o755 if executable else 0o644)
    return root


def git_apply(root: Path, patch: bytes) -> None:
    environment = {
        **os.environ,
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_CONFIG_SYSTEM": "/dev/null",
        "GIT_CEILING_DIRECTORIES": str(root.parent),
    }
    done = subprocess.run(
        ["git", "apply", "--whitespace=nowarn", "-"],
        cwd=root,
        input=patch,
        capture_output=True,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode() + patch.decode("utf-8", "backslashreplace")


def patch_of(before: FILES, after: FILES, root: Path) -> bytes:
    """The diff from `before`, laid on disk under `root`, to `after`, which is an overlay alone."""
    base = Overlay(Tree(lay(root, before)))
    contents: dict[str, bytes | None] = {path: content for path, (content, _) in after.items()}
    gone = {path: None for path in before if path not in after}
    return unified_diff(
        base,
        edited(
            base,
            {**contents, **gone},
            {path: 0o755 if executable else 0o644 for path, (_, executable) in after.items()},
        ),
    )


def assert_applies(before: FILES, after: FILES) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        patch = patch_of(before, after, root)
        if patch:
            git_apply(root, patch)
        assert on_disk(root) == after
    return patch


# Names of one folder level cannot collide with each other's folders; the second level is a folder of its own.
NAMES = st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=8)
PATHS = NAMES.filter(lambda n: n not in (".", "..", "f") and n.lower() != ".git").flatmap(
    lambda n: st.sampled_from([n, f"f/{n}"])
)
LINES = st.sampled_from(
    [
        b"",
        b"a",
        b"b",
        b"    x = 1",
        b"-- a",
        b"++ b",
        b"\\ No newline",
        b"caf\xe9 \xff",
        b"na\xc3\xafve",
        b"\r",
        b"a\r",
        b"\x00",
        b"@@ -1 +1 @@",
        b" \t",
    ]
)
CONTENTS = st.builds(
    lambda lines, end: b"\n".join(lines) + end, st.lists(LINES, max_size=30), st.sampled_from([b"", b"\n", b"\r\n"])
)
TREES = st.dictionaries(PATHS, st.tuples(CONTENTS, st.booleans()), max_size=4)


@settings(max_examples=150, deadline=None)
@given(before=TREES, after=TREES, keep=st.booleans())
def test_git_apply_turns_the_tree_before_into_the_tree_after(before: FILES, after: FILES, keep: bool) -> None:
    assert_applies(before, {**before, **after} if keep else after)


@settings(max_examples=150, deadline=None)
@given(
    lines=st.lists(LINES, max_size=40), edits=st.lists(st.tuples(st.integers(0, 40), LINES), max_size=4), data=st.data()
)
def test_git_apply_takes_small_edits_of_one_file(
    lines: list[bytes], edits: list[tuple[int, bytes]], data: st.DataObject
) -> None:
    changed = list(lines)
    for where, line in edits:
        changed[where : where + data.draw(st.integers(0, 2))] = [line]
    assert_applies({"x.py": (b"\n".join(lines), False)}, {"x.py": (b"\n".join(changed), False)})


def test_a_new_script_is_created_executable() -> None:
    patch = assert_applies({}, {"run all.sh": (b"#!/bin/sh\n", True)})
    assert b"new file mode 100755\n" in patch and b"--- /dev/null\n" in patch


def test_a_deleted_file_keeps_its_mode_in_the_patch() -> None:
    assert b"deleted file mode 100755\n" in assert_applies({"a.sh": (b"x\n", True)}, {})


def test_an_empty_file_comes_and_goes() -> None:
    assert_applies({"old/__init__.py": (b"", False)}, {"new/__init__.py": (b"", False)})


def test_a_change_of_mode_alone_has_no_hunks() -> None:
    patch = assert_applies({"a.sh": (b"x\n", False)}, {"a.sh": (b"x\n", True)})
    assert patch == b"diff --git a/a.sh b/a.sh\nold mode 100644\nnew mode 100755\n"


@pytest.mark.parametrize(
    "path",
    [
        "with space.py",
        "naïve.py",
        'quo"te.py',
        "tab\t.py",
        "back\\slash.py",
        "new\nline.py",
        "trailing ",
        os.fsdecode(b"latin\xe9.py"),
    ],
)
def test_any_path_goes_through(path: str) -> None:
    assert_applies({path: (b"a\n", False)}, {path: (b"b\n", False)})
    assert_applies({}, {path: (b"", True)})


def test_a_name_with_a_space_ends_in_a_tab_as_git_writes_it() -> None:
    assert b"--- a/run all.sh\t\n+++ b/run all.sh\t\n" in assert_applies(
        {"run all.sh": (b"a\n", False)}, {"run all.sh": (b"b\n", False)}
    )


def test_carriage_returns_and_odd_bytes_are_kept() -> None:
    patch = assert_applies({"a.py": (b"x\r\n\xff\r\ny", False)}, {"a.py": (b"z\r\n\xff\r\ny", False)})
    assert b"-x\r\n+z\r\n \xff\r\n y\n\\ No newline at end of file\n" in patch


def test_nothing_changed_is_an_empty_patch() -> None:
    before = overlay({"a.py": "x\n"})
    assert unified_diff(before, Overlay(before)) == b""
    assert unified_diff(before, edited(before, {"a.py": b"x\n"}, {"a.py": 0o600})) == b""


def test_files_come_in_order_of_their_paths() -> None:
    before = overlay({"b": "x\n", "a": "x\n", "c/d": "x\n"})
    after = edited(before, {"c/d": None, "b": b"y\n", "a": b"y\n"})
    assert changed_paths(before, after) == ["a", "b", "c/d"]
    assert unified_diff(before, after) == unified_diff(before, edited(before, {"a": b"y\n", "b": b"y\n", "c/d": None}))


def test_far_changes_are_separate_hunks_with_right_positions() -> None:
    old = b"".join(b"%d\n" % i for i in range(40))
    new = old.replace(b"\n5\n", b"\n").replace(b"\n30\n", b"\nthirty\nmore\n")
    found = hunks(old, new)
    assert [hunk.header for hunk in found] == ["@@ -3,7 +3,6 @@", "@@ -28,7 +27,8 @@"]
    assert line_counts(found) == (2, 2)
