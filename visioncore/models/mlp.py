"""The multi-layer perceptron on behaviour."""

from __future__ import annotations

from torch import Tensor, nn

from visioncore.models.activations import channels_after, make_activation
from visioncore.models.schema.stages import EncoderParams


class MLPBlock(nn.Module):
    """Linear, activation, dropout: (B, `in_features`) → (B, `out_features`)."""

    def __init__(self, in_features: int, width: int, activation: str | None, bias: bool, dropout: float) -> None:
        super().__init__()
        self.linear = nn.Linear(in_features, width, bias=bias)
        self.act = make_activation(activation)
        self.dropout = nn.Dropout(dropout) if dropout else nn.Identity()
        self.out_features = channels_after(self.act, width)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.dropout(self.act(self.linear(x)))
        return out


class MLP(nn.Module):
    """Behaviour (B, K) → its encoding (B, `out_features`): a block for each of `dims`, the last without activation unless asked for.

    `residual` adds the input to the output where both are equally wide, and does nothing elsewhere.
    """

    def __init__(self, in_features: int, p: EncoderParams) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        features = in_features
        for width in p.dims[:-1]:
            layers.append(block := MLPBlock(features, width, p.activation, p.bias, p.dropout))
            features = block.out_features
        self.out_features = p.dims[-1]
        if p.last_layer_activation:
            layers.append(block := MLPBlock(features, p.dims[-1], p.activation, p.bias, dropout=0.0))
            self.out_features = block.out_features
        else:
            layers.append(nn.Linear(features, p.dims[-1], bias=p.bias))
        self.mlp = nn.Sequential(*layers)
        self.residual = p.residual and in_features == self.out_features

    def forward(self, x: Tensor) -> Tensor:
        encoded: Tensor = self.mlp(x)
        return encoded + x if self.residual else encoded
