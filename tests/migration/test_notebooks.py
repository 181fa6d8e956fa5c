"""Notebook cells are read as nbformat reads them, and edited without touching another byte."""

from __future__ import annotations

import ast
import json
from typing import Any

import nbformat
import pytest
from hypothesis import given
from hypothesis import strategies as st

from migration.analysis.notebooks import cells, python_text, with_cell_texts
from migration.errors import BadInput


def notebook(*sources: str | list[str], **style: Any) -> bytes:
    made = [
        {"cell_type": "code", "execution_count": None, "id": f"c{i}", "metadata": {}, "outputs": [], "source": s}
        for i, s in enumerate(sources)
    ]
    return (
        json.dumps({"cells": made, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}, **{"indent": 1, **style}) + "\n"
    ).encode()


def first(text: str) -> str:
    return python_text(cells(notebook(text))[0])


lines = st.lists(st.text(alphabet='ab "\\/é😀\t\r\u2028', max_size=6), max_size=6)


@given(st.lists(lines, min_size=1, max_size=3), st.booleans(), st.booleans(), st.sampled_from([None, 1, "\t"]))
def test_cells_are_those_of_nbformat(texts: list[list[str]], as_list: bool, ascii_only: bool, indent: Any) -> None:
    sources: list[Any] = [[f"{line}\n" for line in t] if as_list else "\n".join(t) for t in texts]
    raw = notebook(*sources, indent=indent, ensure_ascii=ascii_only)
    assert [c.text for c in cells(raw)] == [c.source for c in nbformat.reads(raw.decode(), as_version=4).cells]


@given(st.lists(lines, min_size=2, max_size=3), lines, st.booleans(), st.booleans(), st.sampled_from([None, 1, "\t"]))
def test_a_new_text_arrives_and_other_cells_keep_their_bytes(
    texts: list[list[str]], new: list[str], as_list: bool, ascii_only: bool, indent: Any
) -> None:
    sources: list[Any] = [[f"{line}\n" for line in t] if as_list else "\n".join(t) for t in texts]
    raw = notebook(*sources, indent=indent, ensure_ascii=ascii_only)
    after = with_cell_texts(raw, {0: "\n".join(new)})
    read = cells(after)
    assert read[0].text == "\n".join(new)
    assert [c.text for c in read[1:]] == [c.text for c in cells(raw)[1:]]
    behind = raw[cells(raw)[0].node.end :] if raw.isascii() else raw.decode()[cells(raw)[0].node.end :].encode()
    assert after.endswith(behind)
    assert with_cell_texts(raw, {c.index: c.text for c in cells(raw)}) == raw


def test_only_the_changed_line_changes() -> None:
    raw = notebook(["import a\n", "x = 'é'\n", "y"]).replace(b'"import a\\n"', b'"import\\u0020a\\n"')
    after = with_cell_texts(raw, {0: "import a\nx = 'ü'\ny"})
    changed = [(old, new) for old, new in zip(raw.splitlines(), after.splitlines(), strict=True) if old != new]
    assert changed == [(b"    \"x = '\\u00e9'\\n\",", b"    \"x = '\\u00fc'\\n\",")]


def test_lines_are_added_and_removed_in_the_layout_of_the_file() -> None:
    raw = notebook(["a\n", "b"])
    assert with_cell_texts(raw, {0: "a\nnew\nb"}) == notebook(["a\n", "new\n", "b"])
    assert with_cell_texts(raw, {0: "new\na\nb"}) == notebook(["new\n", "a\n", "b"])
    assert with_cell_texts(raw, {0: "a\nb\nc"}) == notebook(["a\n", "b\n", "c"])
    assert with_cell_texts(raw, {0: "b"}) == notebook(["b"])
    assert with_cell_texts(notebook(["a"]), {0: "a\nb"}) == notebook(["a\n", "b"])


def test_a_single_string_keeps_the_escapes_of_its_other_lines() -> None:
    raw = notebook("from a import b\nx = 1\n").replace(b"x = 1", b"x = \\u0031\\/2")
    assert with_cell_texts(raw, {0: "from c import b\nx = 1/2\n"}) == raw.replace(b"from a", b"from c")


def test_format_3_byte_order_mark_and_other_kinds_of_cells() -> None:
    old = {
        "worksheets": [
            {"cells": [{"cell_type": "markdown", "source": "t"}, {"cell_type": "code", "input": ["a\n", "b"]}]}
        ],
        "nbformat": 3,
    }
    raw = b"\xef\xbb\xbf" + json.dumps(old).encode()
    assert [(c.index, c.text) for c in cells(raw)] == [(1, "a\nb")]
    assert [c.text for c in cells(raw, "markdown")] == ["t"]
    assert with_cell_texts(raw, {1: "a\nc"}) == raw.replace(b'"b"', b'"c"')


@pytest.mark.parametrize(
    "raw", [b"", b"{", b"\xff", b'{"cells": [{"cell_type": "code", "source": 1}]}', b'{"cells": ' + b"[" * 100_000]
)
def test_what_is_not_a_notebook_is_refused_in_words(raw: bytes) -> None:
    with pytest.raises(BadInput, match="not a notebook"):
        cells(raw)


@pytest.mark.parametrize("raw", [b"[]", b"{}", b'{"cells": []}', b'{"cells": [{"cell_type": "code"}]}'])
def test_a_notebook_without_code_has_no_text(raw: bytes) -> None:
    assert "".join(c.text for c in cells(raw)) == ""


@pytest.mark.parametrize(
    ("text", "blanked"),
    [
        ("import a\n", "import a\n"),
        ("%matplotlib inline\nimport a", "                  \nimport a"),
        ("!ls \\\n  -l\nimport a", "     \n    \nimport a"),
        ("if x:\n    !ls\n", "if x:\n    0  \n"),
        ("files = !ls *.py\nx", "files = 0       \nx"),
        ("a, b = %magic\n", "a, b = 0     \n"),
        ("np.sum?\nimport a", "       \nimport a"),
        ("?np\nimport a", "   \nimport a"),
        ("%%time\nimport a", "      \nimport a"),
        ("%%bash\nimport a\n", "      \n        \n"),
        ("%%writefile x.py\nimport a", "                \n        "),
        ('x = """\n!ls\n%a\n"""\n!ls', 'x = """\n!ls\n%a\n"""\n   '),
        ("x = (a\n% b)\n", "x = (a\n% b)\n"),
        ("x = a \\\n% b\n", "x = a \\\n% b\n"),
        ("s = '#'  # it's\n!ls", "s = '#'  # it's\n   "),
        ("a != b\nx %= 2\ny = c % d", "a != b\nx %= 2\ny = c % d"),
        ("%cd x\r\nimport a\r\n", "     \r\nimport a\r\n"),
    ],
)
def test_magics_are_blanked_and_everything_else_keeps_its_place(text: str, blanked: str) -> None:
    assert first(text) == blanked


@given(st.text(alphabet="a =\n%!?()\"'#\\ \r", max_size=40))
def test_blanking_keeps_length_and_lines(text: str) -> None:
    blanked = first(text)
    assert len(blanked) == len(text) and blanked.count("\n") == text.count("\n")


@given(st.text(alphabet="ab =\n()\"'# :", max_size=40))
def test_python_without_magics_is_given_back(text: str) -> None:
    try:
        ast.parse(text)
    except (SyntaxError, ValueError):
        return
    assert first(text) == text


def test_text_that_has_no_utf8_form_can_still_be_parsed() -> None:
    raw = notebook("x = 1").replace(b"x = 1", b"x = 1  # \\ud800")
    python_text(cells(raw)[0]).encode()
    assert with_cell_texts(raw, {0: "y = 1  # \ud800"}) == raw.replace(b"x =", b"y =")
