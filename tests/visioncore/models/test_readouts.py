"""Readouts against a loop over cells and pixels."""

import math

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from visioncore.models.readouts import GaussianReadout, LinearReadout
from visioncore.models.schema.stages import GaussianParams, ReadoutParams


def gaussian(cells=3, channels=4, **params):
    readout = GaussianReadout(channels, cells, GaussianParams(**params))
    with torch.no_grad():
        readout.mean.normal_(std=2)
        readout.std.uniform_(0.5, 4)
        readout.theta.uniform_(-3, 3)
        if readout.bias is not None:
            readout.bias.normal_()
    return readout


def mask(mean, std, theta, height, width):
    """One cell's Gaussian, pixel by pixel."""
    values = np.empty((height, width))
    for i in range(height):
        for j in range(width):
            dy, dx = i - (height - 1) / 2 - mean[0], j - (width - 1) / 2 - mean[1]
            along = dy * math.cos(theta) + dx * math.sin(theta)
            across = -dy * math.sin(theta) + dx * math.cos(theta)
            values[i, j] = math.exp(-0.5 * ((along / std[0]) ** 2 + (across / std[1]) ** 2))
    return values / (values.sum() + 1e-8)


def test_a_cell_is_its_features_under_its_gaussian():
    readout = gaussian()
    x = torch.randn(2, 4, 3, 6, 9)
    features = readout.features.weight.detach().numpy()[:, :, 0, 0]
    mean, std, theta = (p.detach().numpy() for p in (readout.mean, readout.std, readout.theta))
    for cell in range(3):
        where = mask(mean[cell], std[cell], theta[cell], 6, 9)
        mapped = np.einsum("bchw,c->bhw", x[:, :, -1].numpy(), features[cell])
        expected = (mapped * where).sum((1, 2)) + readout.bias.detach().numpy()[cell]
        np.testing.assert_allclose(readout(x).detach()[:, cell], expected, atol=1e-5)


def test_only_the_last_lag_is_read():
    readout, x = gaussian(), torch.randn(2, 4, 3, 6, 9)
    assert torch.equal(readout(x), readout(x[:, :, -1]))


def test_a_narrow_cell_reads_its_pixel():
    readout = GaussianReadout(1, 1, GaussianParams(bias=False, initial_std=0.1))
    with torch.no_grad():
        readout.mean.copy_(torch.tensor([[-2.0, 1.0]]))
        readout.features.weight.fill_(1)
    x = torch.randn(5, 1, 7, 7)
    torch.testing.assert_close(readout(x)[:, 0], x[:, 0, 3 - 2, 3 + 1])


def test_it_starts_in_the_middle_and_wide():
    readout = GaussianReadout(4, 3, GaussianParams())
    fields = readout.receptive_fields()
    assert fields.mean.tolist() == [[0, 0]] * 3
    assert fields.std.tolist() == [[5, 5]] * 3
    assert readout.theta.tolist() == readout.bias.tolist() == [0, 0, 0]
    torch.manual_seed(0)
    spread = GaussianReadout(4, 2000, GaussianParams(initial_mean_scale=2.0)).mean
    assert abs(spread.std().item() - 2) < 0.1


def test_position_and_width_are_learnt():
    readout = gaussian()
    readout(torch.randn(2, 4, 6, 9)).square().sum().backward()
    for parameter in (readout.mean, readout.std, readout.theta, readout.features.weight, readout.bias):
        assert (parameter.grad != 0).any()


def test_a_std_is_never_nothing():
    readout = gaussian()
    with torch.no_grad():
        readout.std.fill_(-1)
        readout.mean.zero_()
    assert readout(torch.randn(2, 4, 7, 7)).isfinite().all()
    torch.testing.assert_close(readout.receptive_fields().std, torch.full((3, 2), 1e-3))


def test_receptive_fields_are_copies_for_plots():
    readout = gaussian()
    fields = readout.receptive_fields()
    assert not fields.mean.requires_grad
    torch.testing.assert_close(fields.mean, readout.mean.detach())
    torch.testing.assert_close(fields.theta, readout.theta.detach())
    with torch.no_grad():
        readout.mean += 1
    assert not torch.equal(fields.mean, readout.mean.detach())


def test_receptive_fields_on_the_unit_square():
    readout = gaussian(cells=2)
    with torch.no_grad():
        readout.mean.copy_(torch.tensor([[-3.0, 5.0], [0.0, 0.0]]))
        readout.std.fill_(2)
    fields = readout.receptive_fields().on_unit_square(7, 11)
    assert fields.mean.tolist() == [[-1, 1], [0, 0]]
    assert fields.std.tolist() == [[0.5, 0.5]] * 2  # half sizes 3 and 5, 4 in the mean


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 12), st.integers(1, 12), st.integers(1, 5), st.integers(0, 1000))
def test_masks_sum_to_one_where_the_cell_looks_at_the_map(height, width, cells, seed):
    torch.manual_seed(seed)
    readout = gaussian(cells)
    with torch.no_grad():
        readout.mean.clamp_(-min(height, width) / 2, min(height, width) / 2)
    masks = readout.masks(height, width)
    assert masks.shape == (cells, height, width)
    torch.testing.assert_close(masks.sum((1, 2)), torch.ones(cells), atol=1e-3, rtol=0)


def test_linear_is_the_mean_of_the_map_and_a_layer():
    readout = LinearReadout(4, 3, ReadoutParams())
    x = torch.randn(2, 4, 3, 6, 9)
    expected = (
        x[:, :, -1].mean((2, 3)).numpy() @ readout.fc.weight.detach().numpy().T + readout.fc.bias.detach().numpy()
    )
    np.testing.assert_allclose(readout(x).detach(), expected, atol=1e-5)
    assert LinearReadout(4, 3, ReadoutParams(bias=False)).bias is None
