"""The adapter against a loop over its taps, and against torch's own look-up."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from visioncore.models.adapters import AffineAdapter
from visioncore.models.schema.model import Compat
from visioncore.models.schema.stages import AdapterParams


def adapter(grid=9, sigma=1.0, scales=None, transform="scale", **compat):
    made = AffineAdapter(AdapterParams(grid_size=grid, init_sigma=sigma, transform=transform), Compat(**compat))
    if scales is not None:
        with torch.no_grad():
            made.log_scale.copy_(torch.tensor([math.log(math.expm1(s)) for s in scales]))
    return made


def blurred(image, sigma):
    """Gaussian with the odd number of taps nearest to 6σ; zeros around the image."""
    reach = (round(6 * sigma) | 1) // 2
    taps = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    taps /= taps.sum()
    rows = np.apply_along_axis(lambda line: np.convolve(np.pad(line, reach), taps, "valid"), 0, image)
    return np.apply_along_axis(lambda line: np.convolve(np.pad(line, reach), taps, "valid"), 1, rows)


def looked_up(image, grid, across, down):
    lines = np.linspace(-1, 1, grid)
    points = np.stack(np.broadcast_arrays(lines * across, (lines * down)[:, None]), -1)
    look_up = F.grid_sample(torch.tensor(image)[None, None], torch.tensor(points)[None], align_corners=True)
    return look_up[0, 0].numpy()


@pytest.mark.parametrize(("across", "down"), [(1.0, 1.0), (0.6, 0.9), (1.3, 0.8), (1.2, 1.1)])
@pytest.mark.parametrize("sigma", [0.4, 1.0, 2.3])
def test_blur_and_look_up_are_those_of_the_formula(across, down, sigma):
    image = np.random.default_rng(0).normal(size=(13, 11))
    smallest = min(across, down)
    total = math.hypot(sigma, 0.44 * (1 / smallest - 1) if smallest < 1 else 0)
    made = adapter(9, sigma, (across, down)).double()
    out = made(torch.tensor(image)[None, None, None])
    np.testing.assert_allclose(out.detach()[0, 0, 0], looked_up(blurred(image, total), 9, across, down), atol=1e-6)


def test_the_old_blur_is_a_tap_longer_and_takes_a_pixel():
    image = np.random.default_rng(0).normal(size=(13, 13))
    offsets = np.arange(-4, 4)  # 7 taps were meant, for sigma 1
    taps = np.exp(-0.5 * offsets.astype(float) ** 2)
    taps /= taps.sum()
    padded = np.pad(image, 3)
    rows = np.stack([np.tensordot(taps, padded[i : i + 8, 3:-3], 1) for i in range(12)])
    both = np.stack([np.pad(rows, ((0, 0), (3, 3)))[:, i : i + 8] @ taps for i in range(12)], axis=1)
    made = adapter(9, 1.0, (1.0, 1.0), adapter_blur=True).double()
    out = made(torch.tensor(image)[None, None, None])
    np.testing.assert_allclose(out.detach()[0, 0, 0], looked_up(both, 9, 1.0, 1.0), atol=1e-6)


def test_it_starts_at_the_whole_image():
    torch.testing.assert_close(adapter().scales(), torch.ones(2))
    torch.testing.assert_close(adapter(sigma=1.7).sigma(), torch.tensor(1.7))
    torch.testing.assert_close(adapter(adapter_scale=True).scales(), torch.full((2,), math.log(2)))


def test_an_impulse_stays_where_it_is():
    image = torch.zeros(1, 1, 1, 9, 9)
    image[..., 2, 6] = 1
    out = adapter(9, 0.8)(image)[0, 0, 0]
    assert divmod(out.argmax().item(), 9) == (2, 6)
    torch.testing.assert_close(out.sum(), torch.tensor(1.0))


def test_the_width_of_the_blur_is_learnt():
    made = adapter()
    made(torch.randn(1, 1, 2, 9, 9)).square().sum().backward()
    assert made.log_sigma.grad != 0
    assert (made.log_scale.grad != 0).all()


def test_an_affine_identity_is_a_scale_of_one():
    x = torch.randn(2, 1, 3, 13, 13)
    torch.testing.assert_close(adapter(9, transform="affine")(x), adapter(9)(x), atol=1e-5, rtol=1e-5)


def test_an_affine_shift_moves_the_image():
    made = adapter(9, 0.2, transform="affine")
    with torch.no_grad():
        made.affine[0, 2] = 0.25  # a quarter of the half-width of 4 pixels
    x = torch.randn(1, 1, 1, 9, 9)
    torch.testing.assert_close(made(x)[..., :-1], adapter(9, 0.2, transform="affine")(x)[..., 1:], atol=1e-5, rtol=1e-5)


@settings(max_examples=25, deadline=None)
@given(
    st.integers(1, 3), st.integers(1, 3), st.integers(1, 4), st.integers(2, 20), st.integers(2, 20), st.integers(2, 12),
    st.sampled_from(["scale", "affine"]),
)  # fmt: skip
def test_any_image_becomes_the_grid(batch, channels, lags, height, width, grid, transform):
    made = adapter(grid, transform=transform)
    assert made(torch.randn(batch, channels, lags, height, width)).shape == (batch, channels, lags, grid, grid)
    assert made(torch.randn(batch, channels, height, width)).shape == (batch, channels, grid, grid)


@settings(max_examples=20, deadline=None)
@given(st.floats(0.05, 40.0), st.floats(0.05, 3.0))
def test_it_is_finite_for_any_blur_and_scale(sigma, scale):
    made = adapter(7, sigma, (scale, scale))
    out = made(torch.rand(1, 1, 1, 9, 9))
    out.sum().backward()
    assert out.isfinite().all()
    assert made.log_sigma.grad.isfinite()
    assert (out >= 0).all()
    assert (out <= 1 + 1e-5).all(), "a mean of pixels between 0 and 1, and zeros"
