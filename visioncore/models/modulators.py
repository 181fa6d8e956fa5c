"""Modulators: what behaviour does to the features. (B, C, T, H, W), (B, K) → (B, `out_channels`, T or 1, H, W)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from visioncore.models.mlp import MLP
from visioncore.models.recurrent import ConvGRU
from visioncore.models.schema.model import Compat
from visioncore.models.schema.stages import EncodedParams, GRUModulatorParams, PredictiveCodingParams
from visioncore.models.schema.types import Stage


class Modulator(nn.Module):
    """Behaviour has no lags: it is the same for all of them."""

    out_channels: int


class ConcatModulator(Modulator):
    """The encoding of behaviour beside the features, the same at each lag and pixel."""

    def __init__(self, feature_dim: int, p: EncodedParams) -> None:
        super().__init__()
        self.encoder = MLP(p.behavior_dim, p.encoder_params)
        self.out_channels = feature_dim + self.encoder.out_features

    def forward(self, x: Tensor, behavior: Tensor) -> Tensor:
        encoded = self.encoder(behavior)[:, :, None, None, None].expand(-1, -1, *x.shape[2:])
        return torch.cat([x, encoded], dim=1)


class FiLMModulator(Modulator):
    """A scale and a shift of each channel, linear in the encoding of behaviour (Perez et al. 2018); 1 and 0 at the start."""

    def __init__(self, feature_dim: int, p: EncodedParams, compat: Compat) -> None:
        super().__init__()
        self.encoder = MLP(p.behavior_dim, p.encoder_params)
        self.scale_layer = nn.Linear(self.encoder.out_features, feature_dim)
        self.shift_layer = nn.Linear(self.encoder.out_features, feature_dim)
        for layer in (self.scale_layer, self.shift_layer):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        nn.init.ones_(self.scale_layer.weight if compat.film_scale else self.scale_layer.bias)
        self.out_channels = feature_dim

    def forward(self, x: Tensor, behavior: Tensor) -> Tensor:
        encoded = self.encoder(behavior)
        per_channel = (*encoded.shape[:1], -1, 1, 1, 1)
        scale, shift = self.scale_layer(encoded).view(per_channel), self.shift_layer(encoded).view(per_channel)
        modulated: Tensor = scale * x + shift
        return modulated


def _beside(x: Tensor, embedded: Tensor) -> Tensor:
    """`embedded` (B, E) behind the channels of `x` (B, C, T, H, W), at each lag and pixel."""
    return torch.cat([x, embedded[:, :, None, None, None].expand(-1, -1, *x.shape[2:])], dim=1)


class ConvGRUModulator(Modulator):
    """A ConvGRU over the features and embedded behaviour; its last state, 1 × 1 mixed, is the one lag that is left."""

    def __init__(self, feature_dim: int, p: GRUModulatorParams) -> None:
        super().__init__()
        hidden = p.hidden_dim or feature_dim
        self.beh_emb = nn.Linear(p.behavior_dim, p.beh_emb_dim)
        self.gru = ConvGRU(feature_dim + p.beh_emb_dim, hidden, p.kernel_size)
        self.output_proj = nn.Conv2d(hidden, hidden, 1)
        self.out_channels = hidden

    def forward(self, x: Tensor, behavior: Tensor) -> Tensor:
        mixed: Tensor = self.output_proj(self.gru(_beside(x, self.beh_emb(behavior))))
        return mixed[:, :, None]


class PredictiveCodingModulator(Modulator):
    """The last feature map and how far it is from its prediction out of the maps before it and behaviour.

    In training the error (B, C, H, W) stays in `pred_err`, with its graph, for the trainer's auxiliary loss; otherwise that is None.
    """

    def __init__(self, feature_dim: int, p: PredictiveCodingParams) -> None:
        super().__init__()
        hidden = p.hidden_dim or feature_dim
        self.beh_emb = nn.Linear(p.behavior_dim, p.beh_emb_dim)
        self.predictor = ConvGRU(feature_dim + p.beh_emb_dim, hidden, p.kernel_size)
        if hidden != feature_dim:
            self.output_proj = nn.Conv2d(hidden, feature_dim, 1)
        self.concat_error = p.concat_error
        self.out_channels = 2 * feature_dim if p.concat_error else feature_dim
        self.pred_err: Tensor | None = None

    def forward(self, x: Tensor, behavior: Tensor) -> Tensor:
        if x.shape[2] < 2:
            raise ValueError(
                f"predictive coding needs at least 2 lags, one to predict from and one to predict; {x.shape[2]} given"
            )
        predicted = self.predictor(_beside(x[:, :, :-1], self.beh_emb(behavior)))
        if hasattr(self, "output_proj"):
            predicted = self.output_proj(predicted)
        actual = x[:, :, -1]
        error: Tensor = actual - predicted
        self.pred_err = error if self.training else None
        return (torch.cat([actual, error], dim=1) if self.concat_error else error)[:, :, None]


def make_modulator(stage: Stage, feature_dim: int, compat: Compat) -> tuple[Modulator | None, int]:
    """The modulator of a config, None for `none`, and the number of channels behind it."""
    modulator: Modulator
    match stage.type:
        case "none":
            return None, feature_dim
        case "concat":
            modulator = ConcatModulator(feature_dim, stage.params)
        case "film":
            modulator = FiLMModulator(feature_dim, stage.params, compat)
        case "convgru":
            modulator = ConvGRUModulator(feature_dim, stage.params)
        case _:
            modulator = PredictiveCodingModulator(feature_dim, stage.params)
    return modulator, modulator.out_channels
