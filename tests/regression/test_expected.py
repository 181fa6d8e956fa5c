"""Differences that are meant: the file, and what it says of a bad one."""

from __future__ import annotations

from pathlib import Path

import pytest

from regression.compare.expected import Expected, read
from regression.trace import TraceError

GOOD = '[[difference]]\nname = "n"\nphase = "metrics"\nquantity = "logged"\ntensor = "val_*"\nwhy = "w"\n'


def test_patterns(tmp_path: Path) -> None:
    (tmp_path / "e.toml").write_text(GOOD)
    (rule,) = read(tmp_path / "e.toml")
    assert rule == Expected("n", "metrics", "logged", "val_*", "w")
    assert rule.fits("metrics", "logged", "val_loss") and not rule.fits("metrics", "logged", "train_loss")
    assert not rule.fits("loss", "logged", "val_loss")


@pytest.mark.parametrize(
    "bad",
    [GOOD + "[", GOOD.replace("metrics", "mood"), GOOD.replace("why", "because"), GOOD.replace('why = "w"\n', "")],
)
def test_a_bad_file_is_a_sentence(tmp_path: Path, bad: str) -> None:
    (tmp_path / "e.toml").write_text(bad)
    with pytest.raises(TraceError, match=r"e\.toml"):
        read(tmp_path / "e.toml")
