"""What the steps of a transform do to a signal."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from visioncore.compat import Compat
from visioncore.data.adaptation import DynamicalAdaptation
from visioncore.data.config import Transform
from visioncore.data.ops import apply
from visioncore.data.recording import Recording
from visioncore.data.transforms import transformed

NOW = Compat()
rng = np.random.default_rng(0)
X = rng.normal(size=(30, 4)).astype(np.float32)


def smoothed(x: Any, sigma: float) -> Any:
    half = (int(6 * sigma) + 1) // 2
    kernel = np.exp(-0.5 * (np.arange(-half, half + 1) / sigma) ** 2)
    padded = np.pad(x, ((half, half), (0, 0)), mode="reflect")
    return np.stack([(padded[t : t + 2 * half + 1] * (kernel / kernel.sum())[:, None]).sum(0) for t in range(len(x))])


def whitened(x: Any) -> Any:
    grid = np.meshgrid(*(np.fft.fftfreq(size) for size in x.shape), indexing="ij")
    f = np.sqrt(sum(axis**2 for axis in grid))
    return np.fft.ifftn(np.fft.fftn(x) * f * np.exp(-((f / 0.4) ** 4))).real


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        ({"pixelnorm": {}}, (X - 127) / 255),
        ("maxnorm", X / np.abs(X).max()),
        ({"unsqueeze": 1}, X[:, None]),
        ({"unsqueeze": {"axis": 2}}, X[..., None]),
        ({"diff": {"axis": 0}}, np.diff(X, axis=0, prepend=X[:1])),
        ({"mul": 2.5}, 2.5 * X),
        ({"mul": {"factor": -1}}, -X),
        ({"symlog": None}, np.sign(X) * np.log1p(np.abs(X))),
        (
            {"splitrelu": {"split_dim": 1, "trainable_gain": False}},
            np.concatenate([np.maximum(X, 0), np.maximum(-X, 0)], 1),
        ),
        ({"cast": "int16"}, X.astype(np.int16)),
        ({"smooth": 1}, smoothed(X, 1)),
        ({"smooth": {"type": "gaussian", "params": {"sigma": 1.5}}}, smoothed(X, 1.5)),
        ({"smooth": [{"type": "gaussian"}, {"params": 2}]}, smoothed(X, 2)),
    ],
)
def test_ops(step: Any, expected: Any) -> None:
    assert apply(torch.from_numpy(X), step).numpy() == pytest.approx(expected, abs=1e-5)


def test_whitening_keeps_what_is_between_slow_and_fast() -> None:
    movie = rng.normal(size=(12, 5, 6)).astype(np.float32)
    assert apply(torch.from_numpy(movie), "fftwhitening").numpy() == pytest.approx(whitened(movie), abs=1e-4)


def test_temporal_basis_of_traces_and_movies() -> None:
    arguments = {"num_cosine_funcs": 3, "history_bins": 8}
    traces = apply(torch.from_numpy(X), {"temporal_basis": arguments})
    assert traces.shape == (30, 12)
    movie = apply(torch.from_numpy(X)[:, :, None], {"temporal_basis": arguments})
    assert movie.shape == (30, 3, 4, 1)
    assert movie[:, :, 2, 0].numpy() == pytest.approx(traces[:, 6:9].numpy(), abs=1e-6), (
        "columns: a trace's functions together"
    )
    past = torch.zeros(30, 1)
    past[10] = 1
    response = apply(past, {"temporal_basis": arguments})
    assert not response[:10].any() and response[10:20].any(), "causal"


def test_adaptation_by_the_formula() -> None:
    light = np.abs(rng.normal(size=50)) * 200
    model = DynamicalAdaptation(beta=0.01, filter_length=30)

    def kernel(n: float, tau: float) -> Any:
        t = np.arange(30.0)
        return t**n * np.exp(-t / tau) / (tau ** (n + 1) * math.gamma(n + 1))

    fast, slow = kernel(5, 5), kernel(2, 60)
    y = np.convolve(light, fast)[:50]
    z = np.convolve(light, 0.5 * fast + 0.5 * slow)[:50]
    assert model(torch.tensor(light[:, None]))[:, 0].numpy() == pytest.approx(y / (1 + 0.01 * z), rel=1e-5)


def test_the_labs_behaviour_has_42_columns() -> None:
    velocity: list[Any] = [{"diff": {"axis": 0}}, {"maxnorm": {}}, {"symlog": {}}]
    basis = {"num_delta_funcs": 0, "num_cosine_funcs": 10, "history_bins": 50, "log_spacing": False, "causal": False}
    velocity += [{"temporal_basis": {**basis, "peak_range_ms": [30, 200]}}, {"splitrelu": {"split_dim": 1}}]
    transforms = {
        "eye_vel": Transform("eyepos", tuple(velocity), "behavior", True),
        "eye_pos": Transform("eyepos", (), "behavior", True),
    }
    recording = Recording({"eyepos": torch.rand(80, 2)})
    made, _ = transformed(recording, transforms, NOW)
    assert made["behavior"].shape == (80, 42) and torch.equal(made["behavior"][:, 40:], recording["eyepos"])


@pytest.mark.parametrize(
    ("ops", "compat", "dtype", "later"),
    [
        (({"pixelnorm": {}}, {"unsqueeze": 1}), NOW, torch.uint8, True),
        (({"unsqueeze": 1},), NOW, torch.uint8, False),
        (({"pixelnorm": {}}, {"unsqueeze": 1}), Compat(float32_stimulus=True), torch.float32, True),
        (({"pixelnorm": {}}, {"splitrelu": {}}), NOW, torch.float32, False),
        (({"pixelnorm": {}}, {"splitrelu": {}}), Compat(normalise_last=True), torch.float32, True),
    ],
)
def test_q21_when_the_stimulus_is_normalised(
    ops: tuple[Any, ...], compat: Compat, dtype: torch.dtype, later: bool
) -> None:
    stim = torch.randint(0, 256, (20, 3, 3), dtype=torch.uint8)
    made, postponed = transformed(Recording({"stim": stim}), {"stim": Transform("stim", ops)}, compat)
    assert (made["stim"].dtype, postponed) == (dtype, later)
    if dtype == torch.float32 and not later:
        norm = (stim.float() - 127) / 255
        assert torch.equal(made["stim"], torch.cat([norm.relu(), (-norm).relu()], 1)), "in the order they are written"
