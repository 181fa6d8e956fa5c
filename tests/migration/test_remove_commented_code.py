"""remove-commented-code: code in comments goes, prose beside it stays."""

from __future__ import annotations

from textwrap import dedent

import pytest

from migration.errors import BadInput
from tests.migration.support import overlay, plan_of, run


def cleaned(text: str | bytes, *blocks: str) -> str:
    tree = overlay({"m.py": dedent(text) if isinstance(text, str) else text})
    plan = plan_of({"kind": "remove-commented-code", "file": "m.py", "blocks": list(blocks)})
    run(tree, plan)
    once = tree.read("m.py")
    assert run(tree, plan)["1"].status == "already done"
    assert tree.read("m.py") == once
    return once.decode()


@pytest.mark.parametrize(
    ("before", "block", "after"),
    [
        ("a = 1\n# b = torch.compile(a)\nc = 2\n", "torch.compile", "a = 1\nc = 2\n"),
        (
            "# Build the model first\n# m = torch.compile(m)\n# and keep it in float32\nx = 1\n",
            "torch.compile",
            "# Build the model first\n# and keep it in float32\nx = 1\n",
        ),
        (
            "def f():\n    # with torch.autocast('cuda'):\n    return 1  # autocast\n",
            "autocast",
            "def f():\n    return 1  # autocast\n",
        ),
        ("x = 1\n\n# class P(Q):\n#     def f(self):\n#         pass\n\ny = 2\n", "class P", "x = 1\n\ny = 2\n"),
        ("x = 1\n\n# class P:\n#     a = 1\n\n#     b = 2\n\n\ny = 2\n", "class P", "x = 1\n\n\ny = 2\n"),
        ("#x = old()\n#y = old(x)\nz = 1\n", "old(x)", "z = 1\n"),
        ("# for a in b:\n#     # inner note\n#     go(a)\nz = 1\n", "go(a)", "z = 1\n"),
        ("if True:\n    x = 1\n    # x = old()\n", "old", "if True:\n    x = 1\n"),
        ("\tx = 1\n".lstrip() + "# old()", "old", "x = 1\n"),
    ],
)
def test_code_goes(before: str, block: str, after: str) -> None:
    assert cleaned(before, block) == after


@pytest.mark.parametrize(
    "text",
    [
        "# torch.compile is slow on this machine\nx = 1\n",
        "# torch.compile\nx = 1\n",
        "# note: torch.compile\nx = 1\n",
        "x = 1  # m = torch.compile(m)\n",
        "x = '''\n# m = torch.compile(m)\n'''\n",
        "# other = code()\nx = 'torch.compile'\n",
        "# :\n#: torch.compile is slow\n#\nx = 1\n",
    ],
)
def test_prose_strings_and_trailing_comments_stay(text: str) -> None:
    assert cleaned(text, "torch.compile") == text


def test_code_beyond_a_blank_line_is_another_block() -> None:
    assert cleaned("# a = old()\n\n# b = kept()\nx = 1\n", "old") == "\n# b = kept()\nx = 1\n"


def test_line_endings_are_kept() -> None:
    assert cleaned(b"a = 1\r\n# old()\r\nb = 2\r\n", "old") == "a = 1\r\nb = 2\r\n"


def test_what_went_is_reported_line_by_line() -> None:
    tree = overlay({"m.py": "x = 1\n# a = old()\n# b = old()\n"})
    outcome = run(tree, plan_of({"kind": "remove-commented-code", "file": "m.py", "blocks": ["old", "never there"]}))[
        "1"
    ]
    assert outcome.removed_comments == ["# a = old()", "# b = old()"]
    assert [f.message for f in outcome.findings] == [
        "commented-out code (old) removed, lines 2–3",
        "no commented-out code contains 'never there'",
    ]


@pytest.mark.parametrize(
    ("files", "sentence"), [({"n.py": ""}, "no such file"), ({"m.py": "def (\n"}, "does not parse")]
)
def test_bad_input_gets_a_sentence(files: dict[str, str], sentence: str) -> None:
    with pytest.raises(BadInput, match=sentence):
        run(overlay(dict(files)), plan_of({"kind": "remove-commented-code", "file": "m.py", "blocks": ["x"]}))


def test_code_between_two_comments_stays() -> None:
    text = "# def f():\nx = 1\n#     return old()\n"
    assert cleaned(text, "old") == "# def f():\nx = 1\n"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("if x:\n    y()\n# else:\n#     old()\nz = 1\n", "if x:\n    y()\nz = 1\n"),
        ("# elif a:\n#     old()\n# note\nz = 1\n", "# note\nz = 1\n"),
        ("# except E:\n#     old()\n# otherwise it goes on\nz = 1\n", "# otherwise it goes on\nz = 1\n"),
        ("# finally:\n#     a = 1\n#\n#     old()\nz = 1\n", "z = 1\n"),
    ],
)
def test_a_branch_goes_without_the_statement_that_it_belongs_to(before: str, after: str) -> None:
    assert cleaned(before, "old") == after


def test_long_comments_are_looked_through_once() -> None:
    code = "".join(f"# def f{i}(x):\n#     return old(x)\n" for i in range(60))
    prose = "".join(f"# line {i} says that old(x) is slow (and\n" for i in range(200))
    assert cleaned(code + prose + code + "x = 1\n", "old") == prose + "x = 1\n"
