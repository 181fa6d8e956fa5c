"""Every touched file still parses."""

from __future__ import annotations

import json

import pytest

from tests.migration.gates.checks import check_of, failing, fatal

NOTEBOOK = {"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}


def test_only_this_gate_sees_a_broken_file() -> None:
    check = check_of({"a.py": "x = 1\n"}, {"a.py": "x = = 1\n"})
    assert failing(check) == {"parses"}
    assert fatal(check, "parses")[0].startswith("a.py:1: parsed before and does not afterwards (")


@pytest.mark.parametrize(
    ("path", "good", "bad"),
    [
        ("a.py", "def f():\n    return 1\n", "def f():\n\treturn 1\n        return 2\n"),
        ("a.toml", "a = 1\n", "a = \n"),
        ("a.json", '{"a": 1}', '{"a": 1,}'),
        ("a.yaml", "a:\n  b: 1\n", "a:\n\tb: 1\n"),
        ("a.yml", "a: ä\n", b"a: \xe4\n"),
        ("a.sh", 'echo "a"\n', 'echo "a\nfi )\n'),
        ("a.ipynb", json.dumps(NOTEBOOK), json.dumps({**NOTEBOOK, "cells": {}})),
    ],
)
def test_each_kind_of_file_is_read_by_its_own_parser(path: str, good: str, bad: str | bytes) -> None:
    extended = good + "\n" if isinstance(good, str) else good
    assert not fatal(check_of({path: good}, {path: extended}), "parses")
    assert fatal(check_of({path: good}, {path: bad}), "parses")


def test_a_new_file_has_to_parse() -> None:
    assert "is new and does not parse" in fatal(check_of({}, {"a.py": "def f(:\n"}), "parses")[0]


def test_a_touched_file_that_never_parsed_is_named_as_such() -> None:
    assert (
        "did not parse before the migration either"
        in fatal(check_of({"a.py": "x = (\n"}, {"a.py": "y = (\n"}), "parses")[0]
    )


def test_a_file_that_never_parsed_may_be_repaired_removed_or_left() -> None:
    broken = {"a.py": "x = (\n", "b.py": "x = (\n", "c.py": "x = (\n"}
    assert not fatal(check_of(broken, {"a.py": "x = ()\n", "b.py": None}), "parses")


def test_a_shell_script_may_stay_as_odd_as_it_was() -> None:
    odd = "if [ x ; then fi fi\npython train.py\n"
    assert not fatal(check_of({"a.sh": odd}, {"a.sh": odd.replace("train.py", "training/train.py")}), "parses")


@pytest.mark.parametrize("text", [b"\xef\xbb\xbfx = 1\r\n", b"# coding: latin-1\nx = '\xe9'\n", b"x = 1", b""])
def test_encodings_and_line_ends_do_not_matter(text: bytes) -> None:
    assert not fatal(check_of({}, {"a.py": text}), "parses")


def test_a_tab_inside_a_yaml_comment_is_fine() -> None:
    assert not fatal(check_of({}, {"a.yaml": "\t# note\na: 1\t# b\n"}), "parses")


def test_a_file_no_parser_knows_is_left_alone() -> None:
    assert not fatal(check_of({}, {"Makefile": "a:\n\tb\n"}), "parses")
