"""Modulators and recurrent stages against numpy, step by step."""

import numpy as np
import pytest
import torch

from tests.visioncore.models.configs import BEHAVIOR, behavior
from visioncore.models.mlp import MLP
from visioncore.models.modulators import make_modulator
from visioncore.models.reading import parse_stage
from visioncore.models.recurrent import ConvGRU, ConvLSTM, make_recurrent
from visioncore.models.schema.model import Compat
from visioncore.models.schema.stages import EncoderParams


def modulator(kind, feature_dim=4, compat=None, **params):
    stage = parse_stage("modulator", {"type": kind, "params": {"behavior_dim": BEHAVIOR, **params}}, "test")
    return make_modulator(stage, feature_dim, compat or Compat())


def features(lags=3):
    return torch.randn(2, 4, lags, 5, 6)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def same(x, conv):
    """A "same" convolution of (C, H, W) in numpy."""
    weight = conv.weight.detach().numpy()
    reach = weight.shape[-1] // 2
    padded = np.pad(x, ((0, 0), (reach, reach), (reach, reach)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, weight.shape[-2:], axis=(1, 2))
    out = np.einsum("chwxy,ocxy->ohw", windows, weight)
    return out if conv.bias is None else out + conv.bias.detach().numpy()[:, None, None]


# -- recurrent ---------------------------------------------------------------------------------------------------------


def test_convgru_is_its_equations_over_the_lags():
    made = ConvGRU(4, 3, 3)
    x = features()
    h = np.zeros((3, 5, 6))
    for frame in x[1].numpy().transpose(1, 0, 2, 3):
        gates = same(frame, made.cell.conv_x) + same(h, made.cell.conv_h)
        z, n = sigmoid(gates[:3]), np.tanh(gates[6:])  # gates[3:6], the reset gate, is not used
        h = (1 - z) * h + z * n
    np.testing.assert_allclose(made(x)[1].detach(), h, atol=1e-5)


def test_convlstm_is_its_equations_over_the_lags():
    made = ConvLSTM(4, 3, 3)
    x = features()
    h = c = np.zeros((3, 5, 6))
    for frame in x[1].numpy().transpose(1, 0, 2, 3):
        i, f, g, o = np.split(same(np.concatenate([frame, h]), made.cell.gates), 4)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
    np.testing.assert_allclose(made(x)[1].detach(), h, atol=1e-5)


@pytest.mark.parametrize("kind", ["convgru", "convlstm"])
def test_fast_phase_puts_the_last_frame_in_front(kind):
    stage = parse_stage("recurrent", {"type": kind, "params": {"hidden_dim": 3, "fast_phase": True}}, "test")
    made, channels = make_recurrent(stage, 4)
    x = features()
    assert channels == 7
    assert made(x).shape == (2, 7, 5, 6)
    assert torch.equal(made(x)[:, :4], x[:, :, -1])


@pytest.mark.parametrize("kind", ["convgru", "convlstm"])
def test_the_defaults_are_the_labs(kind):
    made, channels = make_recurrent(parse_stage("recurrent", {"type": kind}, "test"), 4)
    assert (channels, made.fast_phase) == (64, False)


def test_the_state_needs_lags():
    with pytest.raises(ValueError, match=r"needs \(B, C, T, H, W\), \(2, 4, 5, 6\) given"):
        ConvGRU(4, 3, 3)(torch.randn(2, 4, 5, 6))


def test_the_gates_start_as_they_should():
    made = ConvGRU(4, 8, 3).cell.conv_h.weight.detach().flatten(1)
    torch.testing.assert_close(made @ made.T, torch.eye(24), atol=1e-5, rtol=0)
    assert ConvLSTM(4, 8, 3).cell.gates.bias.abs().sum() == 0


# -- the encoder of behaviour ------------------------------------------------------------------------------------------


def test_the_encoder_is_linear_layers_with_an_activation_between():
    made = MLP(BEHAVIOR, EncoderParams(dims=(6, 4), activation="tanh"))
    x = behavior()
    first, last = made.mlp[0].linear, made.mlp[1]
    expected = np.tanh(x.numpy() @ first.weight.detach().numpy().T + first.bias.detach().numpy())
    expected = expected @ last.weight.detach().numpy().T + last.bias.detach().numpy()
    np.testing.assert_allclose(made(x).detach(), expected, atol=1e-5)


def test_the_residual_is_for_equal_widths():
    torch.manual_seed(0)
    made = MLP(BEHAVIOR, EncoderParams(dims=(6, BEHAVIOR)))
    torch.testing.assert_close(made(behavior()) - made.mlp(behavior()), behavior())
    other = MLP(BEHAVIOR, EncoderParams(dims=(6, BEHAVIOR + 1)))
    assert torch.equal(other(behavior()), other.mlp(behavior()))


def test_a_last_activation_and_a_wider_one_are_counted():
    made = MLP(BEHAVIOR, EncoderParams(dims=(6, 4), activation="splitrelu", last_layer_activation=True))
    assert made.out_features == 8
    assert made(behavior()).shape == (2, 8)


# -- modulators --------------------------------------------------------------------------------------------------------


def test_concat_puts_the_encoding_behind_the_features():
    made, channels = modulator("concat", encoder_params={"dims": [8, 6]})
    x = features()
    out = made(x, behavior())
    assert channels == 10
    assert torch.equal(out[:, :4], x)
    encoded = made.encoder(behavior())
    assert torch.equal(out[:, 4:, 2, 3, 1], encoded)
    assert torch.equal(out[:, 4:, 0, 0, 0], encoded)


def test_film_scales_and_shifts_each_channel():
    made, channels = modulator("film", encoder_params={"dims": [8, 6]})
    for layer in (made.scale_layer, made.shift_layer):
        torch.nn.init.normal_(layer.weight)
        torch.nn.init.normal_(layer.bias)
    x, encoded = features(), made.encoder(behavior()).detach().numpy()
    scale, shift = (
        encoded @ layer.weight.detach().numpy().T + layer.bias.detach().numpy()
        for layer in (made.scale_layer, made.shift_layer)
    )
    expected = scale[..., None, None, None] * x.numpy() + shift[..., None, None, None]
    assert channels == 4
    np.testing.assert_allclose(made(x, behavior()).detach(), expected, atol=1e-5)


def test_film_starts_by_doing_nothing():
    made, _ = modulator("film")
    assert torch.equal(made(x := features(), behavior()), x)


def test_film_once_started_at_the_sum_of_the_encoding():
    made, _ = modulator("film", compat=Compat(film_scale=True))
    scale = made.encoder(behavior()).sum(1)[:, None, None, None, None]
    torch.testing.assert_close(made(x := features(), behavior()), scale * x)


def test_convgru_is_a_gru_over_features_and_embedded_behavior():
    made, channels = modulator("convgru", hidden_dim=7, beh_emb_dim=3)
    x = features()
    embedded = made.beh_emb(behavior())[:, :, None, None, None].expand(2, 3, 3, 5, 6)
    expected = made.output_proj(made.gru(torch.cat([x, embedded], dim=1)))
    out = made(x, behavior())
    assert channels == 7
    assert out.shape == (2, 7, 1, 5, 6)
    torch.testing.assert_close(out[:, :, 0], expected)


def test_convgru_is_as_wide_as_the_features_by_default():
    assert modulator("convgru")[1] == 4


def test_predictive_coding_gives_the_last_map_and_its_error():
    made, channels = modulator("pc", beh_emb_dim=3)
    x = features()
    out = made(x, behavior())[:, :, 0]
    embedded = made.beh_emb(behavior())[:, :, None, None, None].expand(2, 3, 2, 5, 6)
    predicted = made.predictor(torch.cat([x[:, :, :-1], embedded], dim=1))
    assert channels == 8
    assert torch.equal(out[:, :4], x[:, :, -1])
    torch.testing.assert_close(out[:, 4:], x[:, :, -1] - predicted)


def test_the_error_is_kept_in_training_with_its_graph_and_not_elsewhere():
    made, _ = modulator("pc")
    assert made.pred_err is None
    made(features(), behavior())
    assert made.pred_err.shape == (2, 4, 5, 6)
    made.pred_err.square().mean().backward()
    assert made.predictor.cell.conv_x.weight.grad.abs().sum() > 0
    made.eval()
    made(features(), behavior())
    assert made.pred_err is None


def test_the_projection_of_predictive_coding_is_there_from_the_start():
    made, channels = modulator("pc", hidden_dim=3, concat_error=False)
    assert channels == 4
    assert "output_proj.weight" in dict(made.named_parameters())
    assert made(features(), behavior()).shape == (2, 4, 1, 5, 6)


def test_predictive_coding_needs_something_to_predict_from():
    with pytest.raises(ValueError, match=r"at least 2 lags.*1 given"):
        modulator("pc")[0](features(lags=1), behavior())
