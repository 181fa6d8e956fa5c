"""JSON for people: in words where it has no end or is too much, whatever a file names over and over."""

from __future__ import annotations

import json
from typing import Any

import pytest

from legacy.checkpoint.as_json import as_json, shown
from legacy.checkpoint.errors import Refused


def bomb(leaf: Any, levels: int, times: int) -> Any:
    """One object at each level, named so many times by the next."""
    for _ in range(levels):
        leaf = {str(index): leaf for index in range(times)}
    return leaf


@pytest.mark.parametrize("value", [bomb({}, 7, 10), bomb("A" * 1000, 5, 10), ["A" * 10_000_000] * 100])
def test_what_is_named_over_and_over_takes_the_room_of_200_000_parts(value: Any) -> None:
    found = shown({"before": 1, "bomb": value})
    assert found["before"] == 1 and "too much for JSON" in found["bomb"]
    assert len(json.dumps(as_json(bomb("A" * 1000, 2, 10)))) > 100_000
    with pytest.raises(Refused, match="too much for JSON"):
        as_json(bomb({}, 7, 10))


def test_what_contains_itself_is_told_in_words() -> None:
    endless: list[Any] = []
    endless.append(endless)
    assert "nested over 100 deep" in shown({"list": endless})["list"]
