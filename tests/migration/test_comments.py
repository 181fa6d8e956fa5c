"""Comments are found by grammar, not by looking for `#`."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migration.analysis.comments import Comment, comments_of
from migration.analysis.source import Unparsable


def texts(path: str, text: str | bytes) -> list[str]:
    return [c.text for c in comments_of(path, text.encode() if isinstance(text, str) else text)]


def test_python_comments_with_their_lines() -> None:
    code = '#!/usr/bin/env python\nx = "# no"  # yes \n\n#%% cell\ndef f():\n    """# no"""\n\t# tab\n'
    assert comments_of("a.py", code.encode()) == [
        Comment(1, "#!/usr/bin/env python"),
        Comment(2, "# yes"),
        Comment(4, "#%% cell"),
        Comment(7, "# tab"),
    ]


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_python_comments_do_not_depend_on_the_newline_style(newline: str) -> None:
    assert texts("a.py", newline.join(["# α", "x = 1  # b", "# c"])) == ["# α", "# b", "# c"]


def test_python_comments_in_another_encoding() -> None:
    assert texts("a.py", "# coding: latin-1\n# é\n".encode("latin-1")) == ["# coding: latin-1", "# é"]
    assert texts("a.py", b"\xef\xbb\xbf# bom\n") == ["# bom"]


@pytest.mark.parametrize("code", ["def f(:\n  '''", "if x:\n        y\n    z\n"])
def test_python_that_does_not_tokenize_is_named_with_its_line(code: str) -> None:
    with pytest.raises(Unparsable, match=r"a\.py:\d"):
        comments_of("a.py", code.encode())


def test_shell_comments() -> None:
    script = "#!/bin/bash\necho \"# no\" '# no' $#  # yes\ncat <<EOF\n# no\nEOF\npython x.py \\\n  --flag\n# python y.py \\\n"
    assert texts("a.sh", script) == ["#!/bin/bash", "# yes", "# python y.py \\"]


def test_other_files_have_none() -> None:
    assert texts("a.md", "# Heading\n") == []


@given(st.lists(st.sampled_from(["x = 1", "# a", "y = '#'  # b", "def f():\n    # c\n    return 1", ""])))
def test_every_comment_is_found_once(lines: list[str]) -> None:
    expected = [
        {"# a": "# a", "y": "# b", "d": "# c"}[line[0] if line[0] != "#" else line]
        for line in lines
        if line[:1] in ("#", "y", "d")
    ]
    assert texts("a.py", "\n".join(lines) + "\n") == expected
