"""document-arguments: help texts land inside the calls, and argparse can print them."""

from __future__ import annotations

import contextlib
import io
from typing import Any

import pytest

from migration.errors import BadInput
from tests.migration.support import overlay, plan_of, run


def documented(text: str | bytes, options: dict[str, str], **more: Any) -> str:
    tree = overlay({"m.py": text})
    plan = plan_of({"kind": "document-arguments", "file": "m.py", "options": options, **more})
    run(tree, plan)
    once = tree.read("m.py")
    assert run(tree, plan)["1"].status == "already done"
    assert tree.read("m.py") == once
    return once.decode()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('p.add_argument("--x", type=int)\n', 'p.add_argument("--x", type=int, help="Ten.")\n'),
        ('p.add_argument("-x", "--x")  # why\n', 'p.add_argument("-x", "--x", help="Ten.")  # why\n'),
        (
            'p.add_argument(\n    "--x",\n    type=int,  # an int\n)\n',
            'p.add_argument(\n    "--x",\n    type=int, help="Ten.",  # an int\n)\n',
        ),
        ('p.add_argument("--x", default=(1))\n', 'p.add_argument("--x", default=(1), help="Ten.")\n'),
        ('p.add_argument("--x", help="Old", type=int)\n', 'p.add_argument("--x", help="Ten.", type=int)\n'),
        ('p.add_argument("--x", type=int , )\n', 'p.add_argument("--x", type=int, help="Ten." , )\n'),
    ],
)
def test_help_is_added_or_replaced(before: str, after: str) -> None:
    assert documented(before, {"--x": "Ten."}) == after


def test_a_long_call_continues_below_its_first_argument() -> None:
    before = '    p.add_argument("--gradient_clip_val",      type=float, default=1.0)\n'
    after = documented("if True:\n" + before, {"--gradient_clip_val": "Gradient clipping value for training stability"})
    assert (
        after
        == "if True:\n" + before[:-2] + ',\n                   help="Gradient clipping value for training stability")\n'
    )


@pytest.mark.parametrize(
    "text", ["100% of it", "in %, 50%% done", "default %(default)s", 'with "quotes" and \\', "ünïcode ✓"]
)
def test_any_text_can_be_printed_by_argparse(text: str) -> None:
    source = documented(
        'import argparse\np = argparse.ArgumentParser()\np.add_argument("--x", default=3)\n', {"--x": text}
    )
    scope: dict[str, Any] = {}
    exec(source, scope)
    out = io.StringIO()
    with contextlib.redirect_stdout(out), pytest.raises(SystemExit):
        scope["p"].parse_args(["--help"])
    said = " ".join(out.getvalue().split())
    assert text.replace("%(default)s", "3").replace("%%", "%") in said


def test_the_misleading_comment_is_corrected() -> None:
    after = documented(
        '# passthroughs (ignored)\np.add_argument("--x", help="a")\n',
        {"--x": "a"},
        replace_comment={"from": "passthroughs (ignored)", "to": "# Optimisation"},
    )
    assert after == '# Optimisation\np.add_argument("--x", help="a")\n'


def test_line_endings_are_kept() -> None:
    after = documented(
        b'p.add_argument("--gradient_clip_val_of_a_long_name", type=float, default=1.0)\r\n',
        {"--gradient_clip_val_of_a_long_name": "y" * 30},
    )
    assert after.count("\r\n") == after.count("\n") == 2


@pytest.mark.parametrize(
    ("text", "sentence"),
    [('p.add_argument("--batch_size")\n', "did you mean '--batch_size'"), ("p.add_argument(\n", "does not parse")],
)
def test_bad_input_gets_a_sentence(text: str, sentence: str) -> None:
    with pytest.raises(BadInput, match=sentence):
        documented(text, {"--batch_sise": "?"})


def test_a_help_text_that_the_file_cannot_spell_is_escaped() -> None:
    before = b"# -*- coding: latin-1 -*-\np.add_argument('--x')  # \xe9\n"
    tree = overlay({"m.py": before})
    run(tree, plan_of({"kind": "document-arguments", "file": "m.py", "options": {"--x": "é ✓"}}))
    assert tree.read("m.py") == before.replace(b"'--x'", b"'--x', help=\"\\u00e9 \\u2713\"")


def test_a_comment_that_the_file_cannot_spell_is_bad_input() -> None:
    with pytest.raises(BadInput, match=r"field 'replace_comment': .* lacks a character of '✓'"):
        documented("# -*- coding: ascii -*-\n# a\n", {}, replace_comment={"from": "a", "to": "✓"})
