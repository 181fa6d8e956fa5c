"""Filters over the lags against loops in numpy."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from visioncore.models.frontends import LearnableTemporal, TemporalBasis, raised_cosines
from visioncore.models.schema.stages import LearnableTemporalParams, TemporalBasisParams


def learnable(**params):
    return LearnableTemporal(LearnableTemporalParams(**params))


def basis(**params):
    return TemporalBasis(TemporalBasisParams(**params))


def filtered(x, filters):
    """(C, T) by (K, k), valid: channel by channel, filter by filter."""
    lines = [np.correlate(line, taps, "valid") for line in x for taps in filters]
    return np.stack(lines)


@pytest.mark.parametrize("bias", [False, True])
def test_learnt_filters_are_a_valid_correlation_over_the_lags(bias):
    frontend = learnable(kernel_size=4, num_channels=3, bias=bias)
    x = torch.randn(2, 2, 9, 3, 3)
    out = frontend(x)
    weight = frontend.temporal_conv.weight.detach().numpy()[:, 0]
    expected = filtered(x[1, :, :, 2, 0].numpy(), weight)
    if bias:
        expected = expected + np.tile(frontend.temporal_conv.bias.detach().numpy(), 2)[:, None]
    assert out.shape == (2, 6, 6, 3, 3)
    np.testing.assert_allclose(out.detach()[1, :, :, 2, 0], expected, atol=1e-5)


def test_they_start_as_a_gaussian_and_its_derivatives():
    weight = learnable(kernel_size=16, num_channels=3).temporal_conv.weight.detach().numpy()[:, 0]
    t = np.arange(16) - 7.5
    gaussian = np.exp(-0.5 * (t / (16 / 6)) ** 2)
    for row, expected in zip(weight, [gaussian, -t * gaussian, (t**2 / (16 / 6) ** 2 - 1) * gaussian], strict=True):
        np.testing.assert_allclose(row, expected / np.linalg.norm(expected), atol=1e-6)


def test_further_filters_start_as_noise_of_norm_one():
    weight = learnable(kernel_size=10, num_channels=6).temporal_conv.weight.detach()[:, 0]
    torch.testing.assert_close(weight.norm(dim=1), torch.ones(6))
    assert not torch.allclose(weight[4], weight[5])


def test_an_identity_start_passes_the_lags_on():
    frontend = learnable(kernel_size=4, num_channels=5, init_type="identity")
    x = torch.randn(1, 1, 6, 2, 2)
    out = frontend(x)[0]
    for channel, lag in enumerate((0, 1, 2, 3, 3)):
        torch.testing.assert_close(out[channel], x[0, 0, lag : lag + 3])


def test_too_few_lags_are_told():
    with pytest.raises(ValueError, match="kernel of 16 lags needs as many, 10 given"):
        learnable()(torch.randn(1, 1, 10, 3, 3))


def cosines(count, bins, first, last, bin_ms, log):
    """Each function on its own, by the formula."""
    u = (lambda t: np.log(t + 1e-6)) if log else (lambda t: t)
    ends = (math.log(first), math.log(last)) if log else (first, last)
    centres = np.linspace(*ends, count) if count > 1 else [sum(ends) / 2]
    width = 2 * (centres[1] - centres[0]) if count > 1 else ends[1] - ends[0]
    rows = []
    for centre in centres:
        argument = np.pi * (u(np.arange(bins) * bin_ms) - centre) / width
        rows.append(np.where(np.abs(argument) <= np.pi, (1 + np.cos(argument)) / 2, 0))
    return np.pad(rows, ((0, 0), (1, 0)))


@pytest.mark.parametrize("log", [True, False])
@pytest.mark.parametrize("count", [1, 2, 6])
def test_the_basis_is_raised_cosines(log, count):
    p = TemporalBasisParams(
        num_cosine_funcs=count, history_bins=25, peak_range_ms=(10, 90), log_spacing=log, normalize=False
    )
    np.testing.assert_allclose(raised_cosines(p)[:, 0], cosines(count, 25, 10, 90, 5, log), atol=2e-5)


def test_delta_functions_come_first_a_bin_late():
    rows = raised_cosines(TemporalBasisParams(num_delta_funcs=2, num_cosine_funcs=1, history_bins=6))[:, 0]
    assert rows.shape == (3, 7)
    assert rows[:2].tolist() == [[0, 1, 0, 0, 0, 0, 0], [0, 0, 1, 0, 0, 0, 0]]


def test_the_basis_is_of_norm_one_and_orthogonal_on_demand():
    p = {"num_cosine_funcs": 4, "history_bins": 30, "peak_range_ms": (10.0, 120.0)}
    torch.testing.assert_close(raised_cosines(TemporalBasisParams(**p)).norm(dim=2), torch.ones(4, 1))
    rows = raised_cosines(TemporalBasisParams(**p, orthogonalize=True))[:, 0]
    torch.testing.assert_close(rows @ rows.T, torch.eye(4), atol=1e-5, rtol=0)
    assert (rows @ raised_cosines(TemporalBasisParams(**p))[:, 0].T).diagonal().min() > 0, "no function is turned over"


def test_a_causal_basis_looks_back_only():
    frontend = basis(num_cosine_funcs=3, history_bins=8)
    x = torch.randn(1, 2, 10, 2, 2)
    padded = np.pad(x[0, :, :, 1, 1].numpy(), ((0, 0), (8, 0)))
    expected = filtered(padded, frontend.basis.numpy()[:, 0])
    np.testing.assert_allclose(frontend(x)[0, :, :, 1, 1], expected, atol=1e-5)
    later = x.clone()
    later[:, :, 5:] = 0
    assert torch.equal(frontend(x)[:, :, :5], frontend(later)[:, :, :5])


@pytest.mark.parametrize("bins", [8, 9])
def test_an_acausal_basis_looks_both_ways(bins):
    frontend = basis(num_cosine_funcs=3, history_bins=bins, causal=False)
    x = torch.randn(1, 1, 12, 1, 1)
    before = (bins + 1) // 2
    padded = np.pad(x[0, :, :, 0, 0].numpy(), ((0, 0), (before, bins - before)))
    expected = filtered(
        padded, raised_cosines(TemporalBasisParams(num_cosine_funcs=3, history_bins=bins)).numpy()[:, 0]
    )
    np.testing.assert_allclose(frontend(x)[0, :, :, 0, 0], expected, atol=1e-5)


def test_the_basis_is_fixed_and_travels_with_the_weights():
    frontend = basis()
    assert not list(frontend.parameters())
    assert frontend.state_dict()["basis"].shape == (10, 1, 33)
    assert torch.equal(frontend.basis, raised_cosines(TemporalBasisParams()).flip(-1)), "last lag first"


def test_batch_norm_is_per_function():
    frontend = basis(num_cosine_funcs=3, history_bins=8, batch_norm=True)
    out = frontend(torch.randn(4, 2, 10, 3, 3)).unflatten(1, (2, 3))
    torch.testing.assert_close(out.mean((0, 1, 3, 4, 5)), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(out.var((0, 1, 3, 4, 5), correction=0), torch.ones(3), atol=1e-2, rtol=0)


def test_chomp_takes_the_first_lags():
    x = torch.randn(1, 1, 10, 2, 2)
    assert torch.equal(basis(chomp=4)(x), basis()(x)[:, :, 4:])
    with pytest.raises(ValueError, match="chomp takes 10 lags, 10 given"):
        basis(chomp=10)(x)


@settings(max_examples=30, deadline=None)
@given(
    st.integers(1, 3), st.integers(1, 3), st.integers(1, 20), st.integers(1, 4), st.integers(1, 20), st.integers(1, 5)
)  # fmt: skip
def test_shapes_of_learnt_filters(batch, channels, lags, size, kernel, count):
    frontend = learnable(kernel_size=kernel, num_channels=count)
    x = torch.randn(batch, channels, lags, size, size)
    if lags < kernel:
        with pytest.raises(ValueError, match="lags"):
            frontend(x)
    else:
        assert frontend(x).shape == (batch, channels * count, lags - kernel + 1, size, size)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 3), st.integers(1, 15), st.integers(0, 3), st.integers(0, 5), st.integers(3, 20), st.booleans())
def test_a_basis_keeps_the_number_of_lags(channels, lags, deltas, count, bins, causal):
    if deltas + count:
        frontend = basis(num_delta_funcs=deltas, num_cosine_funcs=count, history_bins=bins, causal=causal)
        out = frontend(torch.randn(1, channels, lags, 2, 3))
        assert out.shape == (1, channels * (deltas + count), lags, 2, 3)
        assert out.isfinite().all()
