"""The block all convnets are made of: convolution, norm, activation, dropout, pooling."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import weight_norm

from visioncore.models.activations import channels_after, make_activation
from visioncore.models.norms import make_norm
from visioncore.models.pooling import make_pool
from visioncore.models.schema.blocks import BlockConfig, ConvParams, as_tuple

CONV = {2: nn.Conv2d, 3: nn.Conv3d}


def crop_like(x: Tensor, reference: Tensor) -> Tensor:
    """`x` with the lags and the image of `reference`: the last lags, the middle of the image."""
    if x.dim() == 5:
        x = x[:, :, max(x.shape[2] - reference.shape[2], 0) :]
    for axis in (-2, -1):
        extra = x.shape[axis] - reference.shape[axis]
        if extra > 0:
            x = x.narrow(axis, extra // 2, reference.shape[axis])
    return x


def normalise_weight(conv: nn.Module) -> None:
    """Weight-normalise a convolution (Salimans and Kingma 2016); a plain `weight` still loads, as its length and its direction."""
    weight_norm(conv)

    def take_plain_weight(state_dict: dict[str, Tensor], prefix: str, *_: object) -> None:
        weight = state_dict.pop(f"{prefix}weight", None)
        if weight is not None:
            state_dict[f"{prefix}parametrizations.weight.original0"] = torch.norm_except_dim(weight)
            state_dict[f"{prefix}parametrizations.weight.original1"] = weight

    conv._register_load_state_dict_pre_hook(take_plain_weight)  # type: ignore[no-untyped-call]


class StandardConv(nn.Module):
    """One convolution; its weight is `conv.weight`, or its two factors under weight normalisation."""

    def __init__(
        self, in_channels: int, out_channels: int, dim: int, p: ConvParams, padding: tuple[int, ...], bias: bool
    ):
        super().__init__()
        for name, channels in (("in", in_channels), ("out", out_channels)):
            if channels % p.groups:
                raise ValueError(f"{channels} {name}put channels cannot be cut into {p.groups} groups")
        self.conv = CONV[dim](
            in_channels,
            out_channels,
            as_tuple(p.kernel_size, dim),  # type: ignore[arg-type]  # its length is dim
            stride=as_tuple(p.stride, dim),  # type: ignore[arg-type]
            padding=padding,  # type: ignore[arg-type]
            dilation=as_tuple(p.dilation, dim),  # type: ignore[arg-type]
            groups=p.groups,
            bias=bias,
            padding_mode=p.padding_mode,
        )

    def normalise_weight(self) -> None:
        normalise_weight(self.conv)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv(x)
        return out


class DepthwiseConv(nn.Module):
    """A filter for each channel, then a 1 × 1 mixture of the channels."""

    def __init__(
        self, in_channels: int, out_channels: int, dim: int, p: ConvParams, padding: tuple[int, ...], bias: bool
    ):
        super().__init__()
        self.depthwise = CONV[dim](
            in_channels,
            in_channels,
            as_tuple(p.kernel_size, dim),  # type: ignore[arg-type]
            stride=as_tuple(p.stride, dim),  # type: ignore[arg-type]
            padding=padding,  # type: ignore[arg-type]
            dilation=as_tuple(p.dilation, dim),  # type: ignore[arg-type]
            groups=in_channels,
            bias=False,
            padding_mode=p.padding_mode,
        )
        self.pointwise = CONV[dim](in_channels, out_channels, 1, bias=bias)

    def normalise_weight(self) -> None:
        normalise_weight(self.depthwise)
        normalise_weight(self.pointwise)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.pointwise(self.depthwise(x))
        return out


class ConvBlock(nn.Module):
    """(B, C, T, H, W) → (B, `out_channels`, T′, H′, W′), or without T for `dim` 2.

    A causal block pads the lags on their low side only, with as much as its kernel reaches: T′ = T for stride 1.
    """

    def __init__(self, in_channels: int, width: int, dim: int, config: BlockConfig) -> None:
        super().__init__()
        p = config.conv_params
        for name in ("kernel_size", "stride", "padding", "dilation"):
            size = getattr(p, name)
            # the padding of a causal block may leave out the lags, which it pads by itself
            lengths = (dim, dim - 1) if name == "padding" and config.causal else (dim,)
            if isinstance(size, tuple) and len(size) not in lengths:
                raise ValueError(f"{name} has {len(size)} numbers, {list(size)}, for a convolution of {dim} axes")
        padding = as_tuple(p.padding, dim)
        self.pad: tuple[int, ...] = ()
        if config.causal and dim == 3:
            before = (as_tuple(p.kernel_size, dim)[0] - 1) * as_tuple(p.dilation, dim)[0]
            height, width_ = padding[-2:]
            self.pad = (width_, width_, height, height, before, 0)
            padding = (0, 0, 0)
        self.pad_mode = "constant" if p.padding_mode == "zeros" else p.padding_mode
        self.order = config.order

        bias = p.bias if p.bias is not None else config.norm_type in (None, "none")
        conv_class = StandardConv if p.type == "standard" else DepthwiseConv
        conv = conv_class(in_channels, width, dim, p, padding, bias)
        if config.use_weight_norm:
            conv.normalise_weight()

        # how many channels each component meets depends on where the activation stands
        act = make_activation(config.act_type, config.act_params)
        met, channels = {}, in_channels
        for name in config.order:
            met[name] = channels
            channels = width if name == "conv" else channels_after(act, channels) if name == "act" else channels
        self.out_channels = channels
        self.components = nn.ModuleDict(
            {
                "conv": conv,
                "norm": make_norm(config.norm_type, met.get("norm", width), dim, config.norm_params),
                "act": act,
                "dropout": nn.Dropout(config.dropout) if config.dropout else nn.Identity(),
                "pool": make_pool(config.pool_params, met.get("pool", width), dim),
            }
        )

    def forward(self, x: Tensor) -> Tensor:
        for name in self.order:
            if name == "conv" and any(self.pad):
                x = F.pad(x, self.pad, mode=self.pad_mode)
            x = self.components[name](x)
        return x


class ResBlock(nn.Module):
    """`post_add_activation(main_block(x) + shortcut(x))`, both cropped to the smaller; the shortcut's channels are filled up with
    zeros or cut where no projection makes them fit."""

    def __init__(self, main_block: ConvBlock, shortcut: nn.Module, post_add_activation: nn.Module) -> None:
        super().__init__()
        self.main_block = main_block
        self.shortcut = shortcut
        self.post_add_activation = post_add_activation
        self.out_channels = channels_after(post_add_activation, main_block.out_channels)

    def forward(self, x: Tensor) -> Tensor:
        out, identity = self.main_block(x), self.shortcut(x)
        out, identity = crop_like(out, identity), crop_like(identity, out)
        missing = out.shape[1] - identity.shape[1]
        if missing > 0:
            identity = torch.cat([identity, identity.new_zeros(len(identity), missing, *identity.shape[2:])], dim=1)
        summed: Tensor = self.post_add_activation(out + identity[:, : out.shape[1]])
        return summed
