"""Norms over (B, C, T, H, W) or (B, C, H, W)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from visioncore.models.schema.blocks import NormParams, NormType, as_tuple


class RMSNorm(nn.Module):
    """x / √(mean x² + ε) over `dims`, in float32. Nothing is learnt."""

    def __init__(self, dims: tuple[int, ...] = (1,), eps: float = 1e-5) -> None:
        super().__init__()
        self.dims, self.eps = dims, eps

    def forward(self, x: Tensor) -> Tensor:
        wide = x.float()
        return (wide * torch.rsqrt(wide.square().mean(self.dims, keepdim=True) + self.eps)).to(x.dtype)


class PlainLayerNorm(nn.Module):
    """(x − mean) / √(var + ε) over `dims`, in float32. Nothing is learnt."""

    def __init__(self, dims: tuple[int, ...] = (1,), eps: float = 1e-5) -> None:
        super().__init__()
        self.dims, self.eps = dims, eps

    def forward(self, x: Tensor) -> Tensor:
        wide = x.float()
        centred = wide - wide.mean(self.dims, keepdim=True)
        return (centred * torch.rsqrt(centred.square().mean(self.dims, keepdim=True) + self.eps)).to(x.dtype)


class GlobalResponseNorm(nn.Module):
    """γ·x / (rms + offset) + β, the rms over lags and image of each channel.

    The offset, learnt and kept within [0.1, 1], bounds the gain where a channel is nearly silent. After ConvNeXt V2's GRN
    (Woo et al. 2023), which divides by the mean over channels instead.
    """

    def __init__(self, channels: int, eps: float = 1e-6, offset: float = 0.5) -> None:
        super().__init__()
        self.eps = eps
        self.offset = nn.Parameter(torch.full((1,), offset))
        self.gamma = nn.Parameter(torch.ones(channels))
        self.beta = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        rms = (x.square().mean(tuple(range(2, x.dim())), keepdim=True) + self.eps).sqrt()
        per_channel = (1, -1) + (1,) * (x.dim() - 2)
        return self.gamma.view(per_channel) * (x / (rms + self.offset.clamp(0.1, 1.0))) + self.beta.view(per_channel)


def make_norm(kind: NormType | None, channels: int, dim: int, params: NormParams) -> nn.Module:
    """The norm called `kind` for `channels` channels and `dim` (2 or 3) axes behind them."""
    affine = params.affine if params.affine is not None else kind != "instance"
    match kind:
        case None | "none":
            return nn.Identity()
        case "batch":
            return (nn.BatchNorm2d if dim == 2 else nn.BatchNorm3d)(channels, eps=params.eps, affine=affine)
        case "instance":
            return (nn.InstanceNorm2d if dim == 2 else nn.InstanceNorm3d)(channels, eps=params.eps, affine=affine)
        case "layer" | "layernorm":
            return PlainLayerNorm(as_tuple(params.target_dim, 1), params.eps)
        case "rms":
            return RMSNorm(as_tuple(params.target_dim, 1), params.eps)
        case "group":
            if channels % params.num_groups:
                raise ValueError(f"{channels} channels cannot be cut into num_groups {params.num_groups} equal groups")
            return nn.GroupNorm(params.num_groups, channels, eps=params.eps, affine=affine)
        case "grn":
            return GlobalResponseNorm(channels)
