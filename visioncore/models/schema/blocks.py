"""Convolution blocks: what convnets and the `conv` frontend are made of.

Sizes over (T, H, W) are one number for all three or a list of three, in lags and pixels.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from visioncore.models.activations import check_activation

Size = int | tuple[int, ...]
NormType = Literal["none", "batch", "instance", "layer", "layernorm", "rms", "group", "grn"]


def as_tuple(size: Size, dim: int) -> tuple[int, ...]:
    """`3` as `(3, 3, 3)`; a list as it is."""
    return (size,) * dim if isinstance(size, int) else tuple(size)


def positive(owner: object, *names: str) -> None:
    for name in names:
        value = getattr(owner, name)
        if value is not None and min(value if isinstance(value, tuple) else (value,), default=1) <= 0:
            raise ValueError(f"{name} has to be positive, {value} found")


def fraction(owner: object, name: str) -> None:
    if not 0 <= (value := getattr(owner, name)) < 1:
        raise ValueError(f"{name} has to be at least 0 and below 1, {value} found")


@dataclass(frozen=True, kw_only=True)
class ActParams:
    """Settings of an activation; each is read by the activations it is meant for."""

    inplace: bool = False
    negative_slope: float = 0.01  # leakyrelu
    approximate: Literal["none", "tanh"] = "none"  # gelu
    split_dim: int = 1  # splitrelu
    trainable_gain: bool = False  # splitrelu
    beta_init: float = 1.0  # bsoftplus
    beta_min: float = 0.1
    beta_max: float = 10.0


@dataclass(frozen=True, kw_only=True)
class NormParams:
    """Settings of a norm. `target_dim`: the axes that layer and rms normalise over, 1 being the channels."""

    eps: float = 1e-5
    target_dim: Size = 1
    affine: bool | None = None  # the norm's own default: true, but false for instance
    num_groups: int = 1

    def __post_init__(self) -> None:
        positive(self, "eps", "num_groups")


@dataclass(frozen=True, kw_only=True)
class PoolParams:
    """A pooling. `kernel_size` is the output's size for the adaptive ones; `r` and `use_soft` are aablur's."""

    type: Literal["max", "avg", "adaptivemax", "adaptiveavg", "aablur", "none"]
    kernel_size: Size | None = None
    stride: Size | None = None
    padding: Size = 0
    r: int = 8
    use_soft: bool = True

    def __post_init__(self) -> None:
        positive(self, "kernel_size", "stride", "r")
        if self.type not in ("aablur", "none") and self.kernel_size is None:
            raise ValueError(f"pooling {self.type!r} needs a kernel_size")
        if self.type == "aablur" and not isinstance(self.stride, int | None):
            raise ValueError(f"the stride of aablur is one number for both axes of the image, {self.stride} found")


@dataclass(frozen=True, kw_only=True)
class ConvParams:
    """A convolution. A causal block takes the spatial part of `padding` and pads the lags by itself."""

    kernel_size: Size
    type: Literal["standard", "depthwise"] = "standard"
    stride: Size = 1
    padding: Size = 0
    dilation: Size = 1
    groups: int = 1
    bias: bool | None = None  # a bias where no norm follows
    padding_mode: Literal["zeros", "replicate", "reflect", "circular"] = "replicate"

    def __post_init__(self) -> None:
        positive(self, "kernel_size", "stride", "dilation", "groups")
        if self.type == "depthwise" and self.groups != 1:
            raise ValueError(f"a depthwise convolution has its own groups, groups {self.groups} found")


@dataclass(frozen=True, kw_only=True)
class BlockConfig:
    """Convolution, norm, activation, dropout, pooling, in `order`."""

    conv_params: ConvParams
    norm_type: NormType | None = "batch"
    norm_params: NormParams = field(default_factory=NormParams)
    act_type: str | None = "relu"
    act_params: ActParams = field(default_factory=ActParams)
    pool_params: PoolParams | None = None
    dropout: float = 0.0
    use_weight_norm: bool = False
    causal: bool = True
    order: tuple[Literal["conv", "norm", "act", "dropout", "pool"], ...] = ("conv", "norm", "act", "dropout", "pool")

    def __post_init__(self) -> None:
        check_activation(self.act_type, "act_type")
        fraction(self, "dropout")
        if len(set(self.order)) != len(self.order) or "conv" not in self.order:
            raise ValueError(f"order names each component once, and the convolution always; {list(self.order)} found")


@dataclass(frozen=True, kw_only=True)
class WideBlockConfig(BlockConfig):
    """A block that says its own width: a ResNet's stem, the `conv` frontend."""

    out_channels: int

    def __post_init__(self) -> None:
        super().__post_init__()
        positive(self, "out_channels")
