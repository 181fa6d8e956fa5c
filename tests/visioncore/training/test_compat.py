from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from visioncore.compat import FLAGS, Compat, markdown_table


@pytest.mark.parametrize("nothing", ["", None, [], {}, " , ", Compat()])
def test_nothing_asked_for_is_nothing_on(nothing: Any) -> None:
    assert Compat.parse(nothing) == Compat() and Compat().names() == []


@pytest.mark.parametrize("everything", ["all", ["all"], {"all": True}, Compat.all()])
def test_all(everything: Any) -> None:
    assert Compat.parse(everything).names() == [flag.name for flag in FLAGS]


def test_some() -> None:
    wanted = Compat(prox_per_group=True, unseeded=True)
    for given in (
        "prox_per_group, unseeded",
        ["unseeded", "prox_per_group"],
        {"prox_per_group": True, "unseeded": True},
    ):
        assert Compat.parse(given) == wanted
    assert Compat.parse(wanted.names()) == wanted


def test_all_but_one() -> None:
    assert set(Compat.all().names()) - set(Compat.parse({"all": True, "unseeded": False}).names()) == {"unseeded"}


def test_misspelt_flag_gets_the_nearest() -> None:
    with pytest.raises(ValueError, match=r"'prox_per_grop'; did you mean 'prox_per_group'\?"):
        Compat.parse("prox_per_grop")


@pytest.mark.parametrize("value", ["yes", 1, None])
def test_a_flag_is_true_or_false(value: Any) -> None:
    with pytest.raises(ValueError, match=r"compat\.(unseeded|all): true or false is expected"):
        Compat.parse({"unseeded": value})
    with pytest.raises(ValueError, match=r"compat\.(unseeded|all): true or false is expected"):
        Compat.parse({"all": value})


def test_neither_name_nor_mapping() -> None:
    with pytest.raises(ValueError, match="a list or a mapping"):
        Compat.parse(3)


def test_every_quirk_has_a_flag_that_says_what_it_switches() -> None:
    assert {f"Q{n}" for n in range(1, 22)} <= {flag.quirk for flag in FLAGS}
    assert all(re.fullmatch(r"[QACD]\d+|trap \d", flag.quirk) and flag.old and flag.new for flag in FLAGS)


def test_the_documentations_table_is_this_one() -> None:
    assert markdown_table() in (Path(__file__).parents[3] / "docs" / "compat.md").read_text()
