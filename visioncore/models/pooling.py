"""Poolings over (B, C, T, H, W) or (B, C, H, W)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from visioncore.models.schema.blocks import PoolParams, as_tuple


class AntiAliasedPool(nn.Module):
    """Blur, 2 × 2 pooling of the image, squeeze-and-excite gate of the channels; the lags stay as they are.

    (B, C, T, H, W) → (B, C, T, ⌊(H − 2)/s⌋ + 1, ⌊(W − 2)/s⌋ + 1). The blur is Zhang's 2019 binomial 3 × 3, the soft pooling weights a
    window's pixels by their softmax (Stergiou et al. 2021), the gate is Hu et al. 2018 with a reduction by `r`.
    """

    blur: Tensor

    def __init__(self, channels: int, stride: int = 2, r: int = 8, use_soft: bool = True) -> None:
        super().__init__()
        if channels < r:
            raise ValueError(f"aablur pooling with r {r} needs at least {r} channels, {channels} found")
        binomial = torch.tensor([1.0, 2.0, 1.0])
        self.register_buffer("blur", (binomial[:, None] * binomial / 16)[None, None])
        self.stride, self.use_soft = stride, use_soft
        self.se = nn.Sequential(
            nn.AdaptiveAvgPool3d((None, 1, 1)),
            nn.Conv3d(channels, channels // r, 1),
            nn.SiLU(),
            nn.Conv3d(channels // r, channels, 1),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        frames = x.reshape(-1, 1, *x.shape[-2:])
        frames = F.conv2d(frames, self.blur, padding=1)
        if self.use_soft:
            windows = frames.unfold(2, 2, self.stride).unfold(3, 2, self.stride).flatten(-2)
            frames = (windows * windows.softmax(-1)).sum(-1)
        else:
            frames = F.avg_pool2d(frames, 2, self.stride)
        x = frames.reshape(*x.shape[:3], *frames.shape[-2:])
        gated: Tensor = x * self.se(x)
        return gated


_POOLS: dict[str, tuple[type[nn.Module], type[nn.Module]]] = {
    "max": (nn.MaxPool2d, nn.MaxPool3d),
    "avg": (nn.AvgPool2d, nn.AvgPool3d),
    "adaptivemax": (nn.AdaptiveMaxPool2d, nn.AdaptiveMaxPool3d),
    "adaptiveavg": (nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d),
}


def make_pool(params: PoolParams | None, channels: int, dim: int) -> nn.Module:
    """The pooling of `params` for `channels` channels and `dim` (2 or 3) axes behind them."""
    if params is None or params.type == "none":
        return nn.Identity()
    if params.type == "aablur":
        if dim != 3:
            raise ValueError("aablur pooling is for dim: 3")
        return AntiAliasedPool(
            channels, 2 if params.stride is None else as_tuple(params.stride, 1)[0], params.r, params.use_soft
        )
    assert params.kernel_size is not None
    pool = _POOLS[params.type][dim - 2]
    kernel = as_tuple(params.kernel_size, dim)
    if params.type.startswith("adaptive"):
        return pool(kernel)
    return pool(
        kernel, kernel if params.stride is None else as_tuple(params.stride, dim), as_tuple(params.padding, dim)
    )


def pool_stride(params: PoolParams | None, dim: int) -> tuple[int, ...]:
    """By how much a pooling thins out each axis; 1 where that is not said by a stride (none, adaptive)."""
    if params is None or params.type == "none" or params.type.startswith("adaptive"):
        return (1,) * dim
    if params.type == "aablur":
        stride = 2 if params.stride is None else as_tuple(params.stride, 1)[0]
        return (1, stride, stride)
    return as_tuple(params.kernel_size if params.stride is None else params.stride, dim)  # type: ignore[arg-type]
