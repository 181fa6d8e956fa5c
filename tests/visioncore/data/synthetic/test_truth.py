"""The truth that lies beside a session is the session's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from visioncore.data.synthetic.session import make_session
from visioncore.data.synthetic.truth import load_truth, save_truth


def test_it_comes_back(tmp_path: Path) -> None:
    session = make_session(2, frames=500, size=7, lags=4, n_units=3, types=("gaborium", "fixrsvp"))
    save_truth(session, tmp_path / "truth.npz")
    truth = load_truth(tmp_path / "truth.npz")
    assert list(truth.rates) == ["gaborium", "fixrsvp"]
    for kind, rates in session.rates.items():
        np.testing.assert_array_equal(truth.rates[kind], rates)
        assert truth.rates[kind].shape == (500, 3)
    for name in ("centres", "kernels", "filters"):
        np.testing.assert_array_equal(getattr(truth, name), getattr(session.cells, name))


def test_there_is_none(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load_truth(tmp_path / "truth.npz")
