"""Moved definitions are the text they were, in the order they were, and there once."""

from __future__ import annotations

from typing import Any

import pytest

from migration.codemods import Finding, Moved, Outcome
from tests.migration.gates.checks import check_of, failing, fatal, moved

A = '''\
# ---- A ----
# why A
@decorated(
    1,
)
class A(Base):
    """Docs."""

    x = [1,  2]  # odd spacing

    def f(self):
        return "é"   \n
'''
B = "# ---- B ----\ndef b():\n    return A\n"
SOURCE = "from m import decorated, Base\n\n\n" + A + "\n" + B
LEFT = "from new import A\n\n\n" + B
TARGET = '"""A."""\nfrom m import decorated, Base\n\n\n' + A


def compare(target: str | bytes, source: str | bytes = LEFT, before: str | bytes = SOURCE, **options: Any) -> list[str]:
    outcomes = options.pop("outcomes", moved("old.py", "new.py", "A"))
    return fatal(
        check_of({"old.py": before}, {"old.py": source, "new.py": target}, outcomes, **options), "definitions-intact"
    )


def test_a_slice_that_moved_whole_is_intact() -> None:
    assert not failing(check_of({"old.py": SOURCE}, {"old.py": LEFT, "new.py": TARGET}, moved("old.py", "new.py", "A")))


def test_only_this_gate_sees_reformatted_code() -> None:
    check = check_of(
        {"old.py": SOURCE}, {"old.py": LEFT, "new.py": TARGET.replace("1,  2", "1, 2")}, moved("old.py", "new.py", "A")
    )
    assert failing(check) == {"definitions-intact"}
    assert (
        "'x = [1,  2]  # odd spacing' has become 'x = [1, 2]  # odd spacing'" in fatal(check, "definitions-intact")[0]
    )


@pytest.mark.parametrize(
    ("was", "became"),
    [
        ("@decorated(\n    1,\n)\n", ""),
        ("@decorated(\n    1,\n)", "@decorated(1)"),
        ("# why A\n", ""),
        ("# ---- A ----\n", ""),
        ("# ---- A ----\n", "# ---- A ----\n# ---- B ----\n"),
        ('    """Docs."""\n\n', '    """Docs."""\n'),
        ('"é"   \n', '"é"\n'),
        ("return", "x = 1; return"),
        ("(Base)", "(base)"),
    ],
)
def test_any_change_of_text_is_seen(was: str, became: str) -> None:
    assert was in TARGET
    assert compare(TARGET.replace(was, became))


def test_newline_style_and_encoding_are_not_text() -> None:
    assert not compare(TARGET.replace("\n", "\r\n").encode())
    assert not compare(TARGET, before=b"\xef\xbb\xbf" + SOURCE.replace("\n", "\r\n").encode())
    assert not compare(b"# coding: latin-1\n" + TARGET.encode("latin-1"))


def test_a_missing_final_newline_is_not_a_change() -> None:
    assert not compare("def b(): ...\n", source="", before="def b(): ...", outcomes=moved("old.py", "new.py", "b"))


def test_the_old_tree_is_asked_and_not_the_step() -> None:
    changed = TARGET.replace("1,  2", "3")
    outcomes = {"1": Outcome(moved=[Moved("A", "old.py", "new.py", (4, 16), changed[changed.index("# ----") :])])}
    assert compare(changed, outcomes=outcomes)


def test_a_definition_that_never_arrived() -> None:
    assert "should be defined here once, as it was in old.py, and is not at all" in compare('"""A."""\n')[0]


def test_a_definition_that_was_left_behind_as_well() -> None:
    assert "A has moved to new.py and is still defined here as well" in compare(TARGET, source=SOURCE)[0]


def test_a_definition_that_arrived_twice() -> None:
    assert "and is twice" in compare(TARGET + "\n\n" + A)[0]


def test_a_definition_in_a_docstring_is_none() -> None:
    assert compare('"""\n' + A.replace('"""', "'''") + '"""\n')


def test_a_name_the_old_tree_never_had() -> None:
    assert "does not define it" in compare(TARGET, outcomes=moved("old.py", "new.py", "A", "C"))[0]


def test_a_name_that_a_moved_statement_imports_is_no_definition() -> None:
    text = "try:\n    import fast\nexcept ImportError:\n    FAST = False\n"
    assert not compare(text, source="", before=text, outcomes=moved("old.py", "new.py", "fast", "FAST"))


def test_definitions_keep_their_order() -> None:
    before = "def a(): ...\n\n\ndef b(): ...\n\n\ndef c(): ...\n"
    check = check_of(
        {"old.py": before},
        {"old.py": "", "new.py": "def a(): ...\n\n\ndef c(): ...\n\n\ndef b(): ...\n"},
        moved("old.py", "new.py", "c", "b", "a"),
    )
    assert failing(check) == {"definitions-intact"}
    assert fatal(check, "definitions-intact") == ["new.py:4: c stands before b; in old.py it was the other way round"]


def test_a_banner_must_not_stay_on_the_next_definition() -> None:
    failures = compare(TARGET, source="from new import A\n\n\n# ---- A ----\n# why A\n" + B)
    assert any("b now stands under '# ---- A ----', which belongs to A" in f for f in failures)


def test_a_definition_that_another_step_edits_keeps_its_own_banner() -> None:
    before = "# rule\ndef a(): ...\n\n\n# rule\ndef b(): ...\n"
    assert not compare(
        "# rule\ndef a(): ...\n",
        source="# rule\ndef b(): return 1\n",
        before=before,
        outcomes=moved("old.py", "new.py", "a"),
    )


def test_a_banner_that_both_had_is_not_inherited() -> None:
    before = "# rule\ndef a(): ...\n\n\n# rule\ndef b(): ...\n"
    assert not compare(
        "# rule\ndef a(): ...\n",
        source="# rule\ndef b(): ...\n",
        before=before,
        outcomes=moved("old.py", "new.py", "a"),
    )


@pytest.mark.parametrize(
    "definition",
    [
        "if FAST:\n    def a(): ...\nelse:\n    def a(): return 1\n",
        "a: int = 1  # one\n",
        "a = b = 1\n",
        "async def a():\n\tawait x\n",
        "class a: x = 1; y = 2\n",
    ],
)
def test_guarded_definitions_and_assignments_count(definition: str) -> None:
    outcomes = moved("old.py", "new.py", "a")
    assert not compare(definition, source="", before="FAST = 1\n" + definition, outcomes=outcomes)
    assert compare(definition.replace(" ", "  ", 1), source="", before=definition, outcomes=outcomes)


def test_overloads_move_together() -> None:
    text = "@overload\ndef a(x: int): ...\n@overload\ndef a(x: str): ...\ndef a(x): return x\n"
    assert not compare(text, source="", before=text, outcomes=moved("old.py", "new.py", "a"))
    assert compare(
        text.replace("@overload\ndef a(x: str): ...\n", ""),
        source="",
        before=text,
        outcomes=moved("old.py", "new.py", "a"),
    )


def test_an_existing_targets_last_comments_are_not_a_banner() -> None:
    check = check_of(
        {"old.py": "# top\ndef a(): ...\n", "new.py": "x = 1\n# the end\n"},
        {"old.py": "", "new.py": "x = 1\n# the end\n\n\n# top\ndef a(): ...\n"},
        moved("old.py", "new.py", "a"),
    )
    assert not fatal(check, "definitions-intact")


def test_the_first_definitions_shebang_stays_behind() -> None:
    shebang, text = "#!/usr/bin/env python\n", "# a\ndef a(): ...\n"
    assert not compare(text, source=shebang, before=shebang + text, outcomes=moved("old.py", "new.py", "a"))


def test_a_removed_comment_may_be_missing_and_no_other() -> None:
    before = "def a():\n    # old()\n    # why\n    return 1\n"
    outcomes = moved("old.py", "new.py", "a")
    outcomes["2"] = Outcome(removed_comments=["    # old()"])
    assert not compare(before.replace("    # old()\n", ""), source="", before=before, outcomes=outcomes)
    assert compare(before.replace("    # why\n", ""), source="", before=before, outcomes=outcomes)
    assert compare(before.replace("    # old()\n    # why\n", ""), source="", before=before, outcomes=outcomes)


def test_a_comment_removed_once_may_not_be_missing_twice() -> None:
    before = "def a():\n    # old()\n    x = 1\n    # old()\n    return x\n"
    outcomes = moved("old.py", "new.py", "a") | {"2": Outcome(removed_comments=["# old()"])}
    assert compare("def a():\n    x = 1\n    return x\n", source="", before=before, outcomes=outcomes)


def test_a_line_of_a_string_is_no_comment() -> None:
    before = 'def a():\n    return """\n    # old()\n    """\n'
    elsewhere = Finding("change", "other.py", 1, "rewritten", "x", "y")
    outcomes = moved("old.py", "new.py", "a") | {"2": Outcome(removed_comments=["# old()"], findings=[elsewhere])}
    failures = compare(before.replace("    # old()\n", ""), source="", before=before, outcomes=outcomes)
    assert "does not parse to the tree it was" in failures[0]


def test_an_import_inside_may_come_from_elsewhere_but_binds_the_same() -> None:
    before = "def a():\n    from old_home import x, y as z\n    return x, z\n"
    outcomes = moved("old.py", "new.py", "a")
    assert not compare(before.replace("old_home", "new_home"), source="", before=before, outcomes=outcomes)
    assert compare(before.replace("y as z", "z"), source="", before=before, outcomes=outcomes)
    assert compare(before.replace("x, y as z", "x"), source="", before=before, outcomes=outcomes)


def test_a_line_that_a_step_reports_as_changed_may_differ() -> None:
    before = 'def a(p):\n    p.add_argument("--x", type=int)\n    return p\n'
    after = before.replace("int)", 'int, help="X")')
    said = Outcome(
        findings=[
            Finding(
                "change",
                "old.py",
                2,
                "documented",
                'p.add_argument("--x", type=int)',
                'p.add_argument("--x", type=int, help="X")',
            )
        ]
    )
    outcomes = moved("old.py", "new.py", "a")
    assert compare(after, source="", before=before, outcomes=outcomes)
    assert not compare(after, source="", before=before, outcomes=outcomes | {"2": said})
    assert compare(after.replace("return p", "return"), source="", before=before, outcomes=outcomes | {"2": said})


CLASS = "class A:\n    def f(self):\n        return 1\n\n    def g(self):\n        return 2\n"
ADOPTED = CLASS.replace("return 1", "return 10")
STEPS = [{"kind": "remove-duplicate", "duplicate": "copy.py", "canonical": "old.py", "adopt": ["A.f"]}]


def adopt(after: str, message: str = "A.f is the duplicate's now") -> list[str]:
    outcomes = {
        "1": Outcome(findings=[Finding("behaviour", "old.py", 2, message)] if message else []),
        "2": Outcome(moved=[Moved("A", "old.py", "new.py", (1, 6), "A")]),
    }
    check = check_of(
        {"old.py": CLASS, "copy.py": ADOPTED}, {"old.py": "", "copy.py": None, "new.py": after}, outcomes, STEPS
    )
    return fatal(check, "definitions-intact")


def test_an_adopted_method_is_the_duplicates() -> None:
    assert not adopt(ADOPTED)


def test_an_adopted_method_that_is_neither_ones() -> None:
    assert "A.f should be, letter for letter, the one of copy.py" in adopt(CLASS.replace("return 1", "return 11"))[0]


def test_an_adopted_method_that_was_not_taken_over() -> None:
    assert adopt(CLASS)


def test_nothing_but_the_named_method_may_differ() -> None:
    assert "'return 2' has become 'return 3'" in adopt(ADOPTED.replace("return 2", "return 3"))[0]


@pytest.mark.parametrize("message", ["", "A.f2 is the duplicate's now", "AA.f is the duplicate's now"])
def test_without_a_finding_that_names_it_no_method_may_differ(message: str) -> None:
    assert adopt(ADOPTED, message)


def test_a_method_that_only_the_duplicate_has() -> None:
    before, copy = CLASS, CLASS + "\n    @property\n    def h(self):\n        return 3\n"
    outcomes = {
        "1": Outcome(findings=[Finding("behaviour", "old.py", 2, "A.h comes from the duplicate")]),
        "2": moved("old.py", "new.py", "A")["1"],
    }
    steps = [{**STEPS[0], "adopt": ["A.h"]}]
    check = check_of(
        {"old.py": before, "copy.py": copy}, {"old.py": "", "copy.py": None, "new.py": copy}, outcomes, steps
    )
    assert not fatal(check, "definitions-intact")


def test_a_module_that_moved_first_is_found_under_its_old_name() -> None:
    steps = [{"kind": "move-module", "source": "first.py", "target": "old.py"}]
    before, outcomes = {"first.py": SOURCE}, {"2": moved("old.py", "new.py", "A")["1"]}
    check = check_of(before, {"first.py": None, "old.py": LEFT, "new.py": TARGET}, outcomes, steps)
    assert not fatal(check, "definitions-intact")
    worse = check_of(
        before, {"first.py": None, "old.py": LEFT, "new.py": TARGET.replace("1,  2", "1")}, outcomes, steps
    )
    assert fatal(worse, "definitions-intact")


def test_a_definition_that_moved_twice_is_looked_for_where_it_ended() -> None:
    outcomes = {"1": moved("old.py", "mid.py", "A")["1"], "2": moved("mid.py", "new.py", "A")["1"]}
    assert not compare(TARGET, outcomes=outcomes)
    assert compare(TARGET.replace("1,  2", "1"), outcomes=outcomes)
