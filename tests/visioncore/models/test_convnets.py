"""Blocks and nets of blocks against plain torch and numpy, and the laws of their shapes."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from tests.visioncore.models.configs import block
from visioncore.models.conv_block import ConvBlock, crop_like
from visioncore.models.convnets import make_convnet
from visioncore.models.pooling import make_pool
from visioncore.models.reading import parse_stage
from visioncore.models.schema.blocks import BlockConfig, PoolParams
from visioncore.models.schema.model import Compat
from visioncore.reading import read


def conv_block(in_channels, width, dim=3, **config):
    return ConvBlock(in_channels, width, dim, read(BlockConfig, {**block(), **config}, "block", "test"))


def net(kind, in_channels=2, compat=None, **params):
    return make_convnet(
        parse_stage("convnet", {"type": kind, "params": params}, "test"), in_channels, compat or Compat()
    )


def images(channels=2, lags=6, size=9, batch=2):
    return torch.randn(batch, channels, lags, size, size)


# -- one block ---------------------------------------------------------------------------------------------------------


def test_a_causal_block_never_looks_ahead():
    made = conv_block(2, 3, norm_type="none")
    x = images()
    later = x.clone()
    later[:, :, 3:] = 0
    assert made(x).shape == (2, 3, 6, 9, 9)
    assert torch.equal(made(x)[:, :, :3], made(later)[:, :, :3])


@pytest.mark.parametrize(("mode", "pad"), [("replicate", "replicate"), ("zeros", "constant"), ("reflect", "reflect")])
def test_a_causal_block_pads_the_past_and_both_sides_of_the_image(mode, pad):
    conv = {"kernel_size": [3, 5, 3], "padding": [7, 2, 1], "dilation": [2, 1, 1], "padding_mode": mode}
    made = conv_block(2, 3, conv_params=conv, norm_type="none", act_type="none")
    x = images()
    inner = made.components["conv"].conv
    expected = F.conv3d(F.pad(x, (1, 1, 2, 2, 4, 0), mode=pad), inner.weight, inner.bias, dilation=(2, 1, 1))
    torch.testing.assert_close(made(x), expected)


def test_a_block_that_is_not_causal_pads_as_it_is_told():
    conv = {"kernel_size": 3, "padding": 1, "padding_mode": "zeros"}
    made = conv_block(2, 3, conv_params=conv, causal=False, norm_type="none", act_type="none")
    inner = made.components["conv"].conv
    torch.testing.assert_close(made(x := images()), F.conv3d(x, inner.weight, inner.bias, padding=1))


def test_a_depthwise_block_filters_each_channel_and_mixes_them():
    conv = {"type": "depthwise", "kernel_size": 3, "padding": 1}
    made = conv_block(2, 5, conv_params=conv, norm_type="none", act_type="none").components["conv"]
    x = images(size=5)
    single = torch.cat([F.conv3d(x[:, i : i + 1], made.depthwise.weight[i : i + 1]) for i in range(2)], dim=1)
    mixed = torch.einsum("oi,bithw->bothw", made.pointwise.weight[:, :, 0, 0, 0], single)
    torch.testing.assert_close(made(x), mixed + made.pointwise.bias[:, None, None, None])


def test_a_bias_stands_in_for_a_missing_norm():
    assert conv_block(2, 3, norm_type="none").components["conv"].conv.bias is not None
    assert conv_block(2, 3, norm_type="rms").components["conv"].conv.bias is None
    assert conv_block(2, 3, conv_params={"kernel_size": 3, "bias": True}).components["conv"].conv.bias is not None


def test_weight_normalisation_separates_length_and_direction():
    conv = conv_block(2, 3, use_weight_norm=True).components["conv"].conv
    with torch.no_grad():
        conv.parametrizations.weight.original0.fill_(2)
        conv.parametrizations.weight.original1.mul_(7)
    torch.testing.assert_close(conv.weight.flatten(1).norm(dim=1), torch.full((3,), 2.0))


def test_the_order_decides_which_width_a_component_meets():
    order = ["conv", "act", "norm", "pool"]
    made = conv_block(2, 3, order=order, act_type="splitrelu", norm_type="grn", pool_params={"type": "aablur", "r": 2})
    assert made.out_channels == 6
    assert made.components["norm"].gamma.shape == (6,)
    assert made(images()).shape == (2, 6, 6, 4, 4)


def test_dropout_is_for_training():
    made = conv_block(2, 3, dropout=0.5)
    x = images()
    assert not torch.equal(made(x), made(x))
    made.eval()
    assert torch.equal(made(x), made(x))


@pytest.mark.parametrize(
    ("kind", "formula"),
    [
        ("rms", lambda x: x / np.sqrt((x**2).mean(1, keepdims=True) + 1e-5)),
        ("layernorm", lambda x: (x - x.mean(1, keepdims=True)) / np.sqrt(x.var(1, keepdims=True) + 1e-5)),
        ("layer", lambda x: (x - x.mean(1, keepdims=True)) / np.sqrt(x.var(1, keepdims=True) + 1e-5)),
        (
            "batch",
            lambda x: (x - x.mean((0, 2, 3, 4), keepdims=True)) / np.sqrt(x.var((0, 2, 3, 4), keepdims=True) + 1e-5),
        ),
        (
            "instance",
            lambda x: (x - x.mean((2, 3, 4), keepdims=True)) / np.sqrt(x.var((2, 3, 4), keepdims=True) + 1e-5),
        ),
        (
            "group",
            lambda x: (x - x.mean((1, 2, 3, 4), keepdims=True)) / np.sqrt(x.var((1, 2, 3, 4), keepdims=True) + 1e-5),
        ),
        ("grn", lambda x: x / (np.sqrt((x**2).mean((2, 3, 4), keepdims=True) + 1e-6) + 0.5)),
    ],
)
def test_norms_are_their_formulas(kind, formula):
    norm = conv_block(2, 3, norm_type=kind).components["norm"]
    x = images(3)
    np.testing.assert_allclose(norm(x).detach(), formula(x.numpy()), atol=1e-5)


@pytest.mark.parametrize(("offset", "counts_as"), [(0.01, 0.1), (0.7, 0.7), (9.0, 1.0)])
def test_the_offset_of_grn_is_kept_in_bounds(offset, counts_as):
    norm = conv_block(2, 3, norm_type="grn").components["norm"]
    torch.nn.init.constant_(norm.offset, offset)
    x = images(3)
    rms = (x.square().mean((2, 3, 4), keepdim=True) + 1e-6).sqrt()
    torch.testing.assert_close(norm(x), x / (rms + counts_as))


def test_soft_pooling_is_a_blurred_weighted_mean_and_bears_large_values():
    pool = make_pool(PoolParams(type="aablur", r=2), 2, 3)
    torch.nn.init.zeros_(pool.se[3].weight)
    torch.nn.init.constant_(pool.se[3].bias, 50.0)  # an open gate
    x = images(2, size=6).double()
    pool.double()
    kernel = np.outer([1, 2, 1], [1, 2, 1]) / 16
    frame = np.pad(x[1, 1, 3].numpy(), 1)
    blurred = np.array([[(frame[i : i + 3, j : j + 3] * kernel).sum() for j in range(6)] for i in range(6)])
    window = blurred[2:4, 4:6]
    expected = (window * np.exp(window)).sum() / np.exp(window).sum()
    np.testing.assert_allclose(pool(x).detach()[1, 1, 3, 1, 2], expected, rtol=1e-6)
    assert pool(x * 1e4).isfinite().all()


def test_plain_pooling_by_aablur_is_the_mean_of_four():
    pool = make_pool(PoolParams(type="aablur", r=2, use_soft=False, stride=3), 2, 3)
    x = images(2)
    frames = F.avg_pool2d(F.conv2d(x.reshape(-1, 1, 9, 9), pool.blur, padding=1), 2, 3).view(2, 2, 6, 3, 3)
    torch.testing.assert_close(pool(x), frames * pool.se(frames))


# -- nets --------------------------------------------------------------------------------------------------------------


def test_a_vanilla_net_is_its_blocks_one_after_the_other():
    made, channels = net("vanilla", channels=[3, 5], block_config=block(act_type="splitrelu"), final_activation="tanh")
    x = images()
    assert channels == 10
    torch.testing.assert_close(made(x), made.layers[1](made.layers[0](x)).tanh())


@pytest.mark.parametrize("name", ["conv", "cnn", "Vanilla"])
def test_vanilla_has_other_names(name):
    made, _ = net(name, channels=[3], block_config=block())
    assert type(made).__name__ == "VanillaCNN"


def test_a_densenets_block_sees_all_before_it():
    made, channels = net("densenet", channels=[3, 4], block_config=block(padding=(0, 0, 0)))
    x = images()
    first = made.layers[0](x)
    seen = torch.cat([x[..., 1:-1, 1:-1], first], dim=1)
    second = made.layers[1](seen)
    assert channels == 2 + 3 + 4
    torch.testing.assert_close(made(x), torch.cat([seen[..., 1:-1, 1:-1], second], dim=1))


def test_a_resnet_block_is_convolution_plus_projection():
    made, channels = net(
        "resnet", channels=[4], block_config=block(norm_type="none"), resnet_post_add_activation="tanh"
    )
    x = images(lags=3, size=4, batch=1)
    main, shortcut = made.layers[0].main_block.components["conv"].conv, made.layers[0].shortcut[0]
    padded = np.pad(x.numpy()[0], ((0, 0), (2, 0), (1, 1), (1, 1)), mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3, 3), axis=(1, 2, 3))
    convolved = np.einsum("cthwxyz,ocxyz->othw", windows, main.weight.detach().numpy())
    out = np.maximum(convolved + main.bias.detach().numpy()[:, None, None, None], 0)
    out = out + np.einsum("cthw,oc->othw", x.numpy()[0], shortcut.weight.detach().numpy()[:, :, 0, 0, 0])
    assert channels == 4
    np.testing.assert_allclose(made(x).detach()[0], np.tanh(out), atol=1e-5)


def test_a_block_that_fits_needs_no_projection():
    made, _ = net("resnet", in_channels=4, channels=[4], block_config=block())
    assert isinstance(made.layers[0].shortcut, torch.nn.Identity)


@pytest.mark.parametrize(("width", "in_channels"), [(5, 2), (2, 5)])
def test_without_projection_channels_are_filled_up_or_cut(width, in_channels):
    made, channels = net(
        "resnet", in_channels=in_channels, channels=[width], block_config=block(), resnet_shortcut_projection=False
    )
    x = images(in_channels)
    kept = min(width, in_channels)
    difference = made(x) - made.layers[0].main_block(x)
    assert channels == width
    torch.testing.assert_close(difference[:, :kept], x[:, :kept], atol=1e-5, rtol=1e-5)
    assert difference[:, kept:].abs().sum() == 0


@pytest.mark.parametrize("stride", [2, [1, 2, 2]])
def test_strides_of_convolution_and_pooling_multiply_in_the_shortcut(stride):
    conv = {"kernel_size": 3, "padding": [0, 1, 1], "stride": stride}
    pool = {"type": "max", "kernel_size": 3, "stride": 2, "padding": 1}
    made, _ = net("resnet", channels=[4], block_config=block(conv_params=conv, pool_params=pool))
    expected = (4, 4, 4) if stride == 2 else (2, 4, 4)
    assert made.layers[0].shortcut[0].stride == expected
    assert made(images(size=16)).shape[-2:] == (4, 4)


def test_a_pooling_without_stride_thins_out_by_its_kernel():
    config = block(pool_params={"type": "max", "kernel_size": [1, 2, 2]})
    made, _ = net("resnet", channels=[4], block_config=config)
    assert made.layers[0].shortcut[0].stride == (1, 2, 2)
    old, _ = net("resnet", channels=[4], block_config=config, compat=Compat(shortcut_stride=True))
    assert old.layers[0].shortcut[0].stride == (1, 1, 1)


def test_aablur_leaves_the_lags_to_the_shortcut_too():
    config = block(pool_params={"type": "aablur", "r": 2})
    made, _ = net("resnet", channels=[4], block_config=config)
    assert made(images()).shape == (2, 4, 6, 4, 4)


def test_a_stem_comes_first_and_may_double_its_width():
    made, channels = net(
        "resnet", channels=[4], block_config=block(), stem_config={"out_channels": 3, **block(act_type="splitrelu")}
    )
    assert made.layers[1].main_block.components["conv"].conv.in_channels == 6
    assert channels == 4


def test_each_block_can_have_its_own_config():
    made, _ = net("resnet", channels=[4, 6], block_configs=[block(norm_type="grn"), block((1, 1, 1), (0, 0, 0))])
    assert made.layers[1].main_block.components["conv"].conv.kernel_size == (1, 1, 1)


@pytest.mark.parametrize("kind", ["resnet", "densenet", "vanilla"])
def test_checkpointing_changes_memory_and_not_numbers(kind):
    torch.manual_seed(0)
    plain, _ = net(kind, channels=[3, 3], block_config=block())
    saving, _ = net(kind, channels=[3, 3], block_config=block(), checkpointing=True)
    saving.load_state_dict(plain.state_dict())
    x = images()
    for made in (plain, saving):
        made(x).square().sum().backward()
    for one, other in zip(plain.parameters(), saving.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad)


@pytest.mark.parametrize("kind", ["resnet", "densenet", "vanilla"])
def test_nets_without_lags(kind):
    conv = {"kernel_size": 3, "padding": 1}
    made, channels = net(kind, dim=2, channels=[3, 4], block_config=block(conv_params=conv))
    assert made(torch.randn(2, 2, 9, 7)).shape == (2, channels, 9, 7)


def test_cropping_keeps_the_last_lags_and_the_middle():
    x = torch.arange(5 * 7 * 6).reshape(1, 1, 5, 7, 6)
    assert torch.equal(crop_like(x, torch.empty(1, 9, 3, 4, 6)), x[:, :, 2:, 1:5])


sizes = st.integers(1, 4)


@settings(max_examples=40, deadline=None)
@given(
    kernel=st.tuples(sizes, sizes, sizes),
    padding=st.tuples(st.just(0), st.integers(0, 2), st.integers(0, 2)),
    stride=st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(1, 3)),
    dilation=st.tuples(st.integers(1, 2), st.integers(1, 2), st.integers(1, 2)),
    act=st.sampled_from(["relu", "splitrelu"]),
)
def test_shapes_of_a_causal_block(kernel, padding, stride, dilation, act):
    conv = {"kernel_size": kernel, "padding": padding, "stride": stride, "dilation": dilation}
    made = conv_block(2, 3, conv_params=conv, act_type=act)
    lags, size = 5, 12
    reach = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
    expected = [(lags - 1) // stride[0] + 1]
    expected += [(size + 2 * padding[i] - reach[i] - 1) // stride[i] + 1 for i in (1, 2)]
    assert made(torch.randn(1, 2, lags, size, size)).shape == (1, made.out_channels, *expected)


@settings(max_examples=25, deadline=None)
@given(
    kind=st.sampled_from(["resnet", "densenet", "vanilla"]),
    channels=st.lists(st.integers(1, 5), min_size=1, max_size=3),
    act=st.sampled_from(["relu", "splitrelu", "gelu"]),
    in_channels=st.integers(1, 4),
    lags=st.integers(1, 6),
)
def test_a_net_puts_out_as_many_channels_as_it_says(kind, channels, act, in_channels, lags):
    made, out = net(kind, in_channels=in_channels, channels=channels, block_config=block(act_type=act))
    assert made(torch.randn(1, in_channels, lags, 7, 7)).shape == (1, out, lags, 7, 7)
