"""Convnets: features of the stimulus, shared by all sessions. (B, C, T, H, W) → (B, `out_channels`, T′, H′, W′)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from visioncore.models.activations import channels_after, make_activation
from visioncore.models.conv_block import CONV, ConvBlock, ResBlock, crop_like
from visioncore.models.norms import make_norm
from visioncore.models.pooling import pool_stride
from visioncore.models.schema.blocks import BlockConfig, as_tuple
from visioncore.models.schema.model import Compat
from visioncore.models.schema.stages import ConvNetParams, ResNetParams, StackParams
from visioncore.models.schema.types import Stage


class ConvNet(nn.Module):
    """Blocks one after the other, then `final_activation`.

    With `checkpointing`, a block's inner tensors are computed anew in the backward pass instead of kept.
    """

    def __init__(self, p: ConvNetParams, channels: int, layers: list[ConvBlock | ResBlock]) -> None:
        super().__init__()
        self.checkpointing = p.checkpointing
        self.layers = nn.ModuleList(layers)
        self.final_activation = make_activation(p.final_activation)
        self.out_channels = channels_after(self.final_activation, channels)

    def run(self, layer: nn.Module, x: Tensor) -> Tensor:
        if self.checkpointing and self.training:
            out: Tensor = checkpoint(layer, x, use_reentrant=False)
        else:
            out = layer(x)
        return out

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = self.run(layer, x)
        out: Tensor = self.final_activation(x)
        return out


class VanillaCNN(ConvNet):
    """Blocks one after the other."""

    def __init__(self, in_channels: int, p: StackParams) -> None:
        layers: list[ConvBlock | ResBlock] = []
        channels = in_channels
        for width in p.channels:
            layers.append(ConvBlock(channels, width, p.dim, p.block_config))
            channels = layers[-1].out_channels
        super().__init__(p, channels, layers)


class DenseNet(ConvNet):
    """Each block sees the input and the output of all blocks before it (Huang et al. 2017), cropped to the newest."""

    def __init__(self, in_channels: int, p: StackParams) -> None:
        layers: list[ConvBlock | ResBlock] = []
        channels = in_channels
        for width in p.channels:
            layers.append(ConvBlock(channels, width, p.dim, p.block_config))
            channels += layers[-1].out_channels
        super().__init__(p, channels, layers)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            new = self.run(layer, x)
            old = crop_like(x, new)
            if old.shape[2:] != new.shape[2:]:
                raise ValueError(
                    f"a densenet's block makes {tuple(x.shape[2:])} larger, {tuple(new.shape[2:])}: its padding is too wide for its kernel"
                )
            x = torch.cat([old, new], dim=1)
        out: Tensor = self.final_activation(x)
        return out


class ResNet(ConvNet):
    """An optional stem, then blocks with a shortcut around each (He et al. 2016)."""

    def __init__(self, in_channels: int, p: ResNetParams, compat: Compat) -> None:
        layers: list[ConvBlock | ResBlock] = []
        channels = in_channels
        if p.stem_config is not None:
            layers.append(ConvBlock(channels, p.stem_config.out_channels, p.dim, p.stem_config))
            channels = layers[-1].out_channels
        for width, config in zip(p.channels, p.blocks, strict=True):
            main = ConvBlock(channels, width, p.dim, config)
            stride = _block_stride(config, p.dim, compat)
            shortcut = _shortcut(channels, main.out_channels, stride, p)
            layers.append(ResBlock(main, shortcut, make_activation(p.resnet_post_add_activation)))
            channels = layers[-1].out_channels
        super().__init__(p, channels, layers)


def _block_stride(config: BlockConfig, dim: int, compat: Compat) -> tuple[int, ...]:
    """By how much a block thins out each axis: its convolution's stride times its pooling's."""
    thinned = pool_stride(config.pool_params, dim) if "pool" in config.order else (1,) * dim
    if compat.shortcut_stride and config.pool_params is not None:
        thinned = as_tuple(config.pool_params.stride or 1, dim)
    return tuple(a * b for a, b in zip(as_tuple(config.conv_params.stride, dim), thinned, strict=True))


def _shortcut(in_channels: int, out_channels: int, stride: tuple[int, ...], p: ResNetParams) -> nn.Module:
    fits = in_channels == out_channels and set(stride) == {1}
    if fits or not p.resnet_shortcut_projection:
        return nn.Identity()
    conv = CONV[p.dim](
        in_channels,
        out_channels,
        as_tuple(p.resnet_shortcut_params.kernel_size, p.dim),  # type: ignore[arg-type]
        stride=stride,  # type: ignore[arg-type]
        bias=p.resnet_shortcut_params.bias,
    )
    return nn.Sequential(
        conv, make_norm(p.resnet_shortcut_norm_type, out_channels, p.dim, p.resnet_shortcut_norm_params)
    )


def make_convnet(stage: Stage, in_channels: int, compat: Compat) -> tuple[nn.Module, int]:
    """The convnet of a config and the number of its output channels."""
    match stage.type:
        case "none":
            return nn.Identity(), in_channels
        case "resnet":
            net: ConvNet = ResNet(in_channels, stage.params, compat)
        case "densenet":
            net = DenseNet(in_channels, stage.params)
        case _:
            net = VanillaCNN(in_channels, stage.params)
    return net, net.out_channels
