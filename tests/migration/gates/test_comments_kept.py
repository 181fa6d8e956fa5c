"""No comment is lost."""

from __future__ import annotations

import pytest

from migration.codemods import Finding, Outcome
from tests.migration.gates.checks import check_of, failing, fatal, verdict

GATE = "comments-kept"


def test_only_this_gate_sees_a_lost_comment() -> None:
    check = check_of({"a.py": "x = 1  # why\ny = 2\n"}, {"a.py": "x = 1\ny = 2\n"})
    assert failing(check) == {GATE}
    assert fatal(check, GATE) == ["a.py:1: the comment '# why' is lost; no step says that it removes it"]


@pytest.mark.parametrize("comment", ["#%% cell", "# %%", "# noqa: F401", "# α", "#!/usr/bin/env python"])
def test_every_sort_of_comment_counts(comment: str) -> None:
    assert fatal(check_of({"a.py": f"{comment}\nx = 1\n"}, {"a.py": "x = 1\n"}), GATE)


def test_a_comment_may_move_to_another_file_and_another_place() -> None:
    assert not fatal(check_of({"a.py": "x = 1  # why\n"}, {"a.py": "", "b.py": "# why  \nx = 1\r\n"}), GATE)


def test_of_two_equal_comments_two_have_to_be_left() -> None:
    check = check_of({"a.py": "#%%\nx = 1\n#%%\ny = 2\n"}, {"a.py": "#%%\nx = 1\ny = 2\n"})
    assert len(fatal(check, GATE)) == 1


def test_a_comment_may_be_there_twice() -> None:
    assert not fatal(check_of({"a.py": "# c\nx = 1\n"}, {"a.py": "# c\nx = 1\n# c\n", "b.py": "# c\n"}), GATE)


def test_a_comment_in_an_untouched_file_does_not_stand_in() -> None:
    assert fatal(check_of({"a.py": "# c\nx = 1\n", "b.py": "# c\n"}, {"a.py": "x = 1\n"}), GATE)


def test_a_comment_that_becomes_a_string_is_lost() -> None:
    assert fatal(check_of({"a.py": "# c\nx = 1\n"}, {"a.py": 'x = "# c"\n'}), GATE)


def test_shell_comments_count_too() -> None:
    check = check_of(
        {"a.sh": "#!/bin/bash\n# python x.py \\\n#   --flag\npython y.py\n"}, {"a.sh": "#!/bin/bash\npython y.py\n"}
    )
    assert len(fatal(check, GATE)) == 2


def test_what_a_step_removes_is_not_lost_and_only_as_often_as_it_says() -> None:
    before = "# old()\n# old()\nx = 1\n"
    once, twice = Outcome(removed_comments=["# old()"]), Outcome(removed_comments=["  # old()\n# old()  "])
    assert len(fatal(check_of({"a.py": before}, {"a.py": "x = 1\n"}, {"1": once}), GATE)) == 1
    assert not fatal(check_of({"a.py": before}, {"a.py": "x = 1\n"}, {"1": twice}), GATE)


def test_a_rewritten_comment_is_kept_if_the_new_one_is_there() -> None:
    outcome = Outcome(findings=[Finding("change", "a.sh", 1, "path", "# python x.py \\", "# python t/x.py \\")])
    assert not fatal(check_of({"a.sh": "# python x.py \\\n"}, {"a.sh": "# python t/x.py \\\n"}, {"1": outcome}), GATE)
    assert fatal(check_of({"a.sh": "# python x.py \\\n"}, {"a.sh": "# python y.py \\\n"}, {"1": outcome}), GATE)


def test_a_finding_about_a_line_with_a_comment_does_not_excuse_the_comment() -> None:
    outcome = Outcome(findings=[Finding("change", "a.py", 1, "import", "import a  # why", "import b  # why")])
    assert fatal(check_of({"a.py": "import a  # why\n"}, {"a.py": "import b\n"}, {"1": outcome}), GATE)


REPLACE = {
    "kind": "document-arguments",
    "file": "a.py",
    "options": {},
    "replace_comment": {"from": "passthroughs (ignored)", "to": "# Training"},
}


@pytest.mark.parametrize(
    "spelling", ["# passthroughs (ignored)", "#passthroughs (ignored)", "## passthroughs (ignored)"]
)
def test_a_replaced_comment_is_not_lost_if_the_new_one_is_there(spelling: str) -> None:
    before = {"a.py": f"{spelling}\nx = 1\n"}
    assert not fatal(check_of(before, {"a.py": "# Training\nx = 1\n"}, {"1": Outcome()}, [REPLACE]), GATE)
    assert fatal(check_of(before, {"a.py": "x = 1\n"}, {"1": Outcome()}, [REPLACE]), GATE)


def test_a_removed_duplicates_own_comments_are_shown_and_not_fatal() -> None:
    steps = [{"kind": "remove-duplicate", "duplicate": "copy.py", "canonical": "a.py"}]
    check = check_of(
        {"a.py": "# c\n", "copy.py": "# c\n# only here\n"},
        {"a.py": "# c\n# d\n", "copy.py": None},
        {"1": Outcome()},
        steps,
    )
    assert not fatal(check, GATE)
    assert [f.message for f in verdict(check, GATE)] == [
        "1 comment(s) stand only in this removed duplicate (2: '# only here')"
    ]


def test_a_removed_duplicate_does_not_cover_for_the_canonical_file() -> None:
    steps = [{"kind": "remove-duplicate", "duplicate": "copy.py", "canonical": "a.py"}]
    assert fatal(
        check_of({"a.py": "# c\n", "copy.py": "# c\n"}, {"a.py": "x = 1\n", "copy.py": None}, {"1": Outcome()}, steps),
        GATE,
    )


def test_a_file_that_no_step_calls_a_duplicate_takes_nothing_with_it() -> None:
    assert fatal(check_of({"a.py": "# c\n"}, {"a.py": None}), GATE)


def test_a_file_that_does_not_tokenize_is_skipped_with_a_warning() -> None:
    check = check_of({"a.py": "# c\nx = '''\n"}, {"a.py": "x = 1\n"})
    assert [(f.fatal, f.path) for f in verdict(check, GATE)] == [(False, "a.py")]
