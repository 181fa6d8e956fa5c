"""Activations by the names the YAMLs use."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from visioncore.errors import nearest

if TYPE_CHECKING:
    from visioncore.models.schema.blocks import ActParams


class SplitReLU(nn.Module):
    """relu(x)·|gain| and relu(−x), one after the other along `split_dim`: (B, C, …) → (B, 2C, …)."""

    def __init__(self, split_dim: int = 1, trainable_gain: bool = False) -> None:
        super().__init__()
        self.split_dim = split_dim
        self.ongain = nn.Parameter(torch.ones(1), requires_grad=trainable_gain)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([F.relu(x) * self.ongain.abs(), F.relu(-x)], dim=self.split_dim)


class BSoftplus(nn.Module):
    """softplus(βx)/β with a learnt β within [`beta_min`, `beta_max`]."""

    def __init__(self, beta_init: float = 1.0, beta_min: float = 0.1, beta_max: float = 10.0) -> None:
        super().__init__()
        self.log_beta = nn.Parameter(torch.tensor(beta_init).log())
        self.beta_min, self.beta_max = beta_min, beta_max

    def forward(self, x: Tensor) -> Tensor:
        beta = self.log_beta.exp().clamp(self.beta_min, self.beta_max)
        return F.softplus(beta * x) / beta


class Square(nn.Module):
    """x²."""

    def forward(self, x: Tensor) -> Tensor:
        return x.square()


_NAMED: dict[str, type[nn.Module]] = {
    "none": nn.Identity,
    "identity": nn.Identity,
    "relu": nn.ReLU,
    "leakyrelu": nn.LeakyReLU,
    "gelu": nn.GELU,
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
    "silu": nn.SiLU,
    "swish": nn.SiLU,
    "mish": nn.Mish,
    "softplus": nn.Softplus,
    "bsoftplus": BSoftplus,
    "splitrelu": SplitReLU,
    "square": Square,
}


def _find(name: str | None) -> type[nn.Module] | None:
    if named := _NAMED.get((name or "none").lower()):
        return named
    # any other activation of torch.nn by its exact name, such as ELU or Hardswish
    found = getattr(nn.modules.activation, str(name), None)
    return found if inspect.isclass(found) and issubclass(found, nn.Module) and _needs_nothing(found) else None


def _needs_nothing(module: type[nn.Module]) -> bool:
    parameters = list(inspect.signature(module).parameters.values())
    return all(p.default is not p.empty or p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in parameters)


def check_activation(name: str | None, key: str) -> None:
    """Raise ValueError where `name` is no activation."""
    if _find(name) is None:
        known = [*_NAMED, *(other for other in nn.modules.activation.__all__ if _find(other))]
        raise ValueError(f"{key} {name!r} is no activation{nearest(str(name), known)}")


def make_activation(name: str | None, params: ActParams | None = None) -> nn.Module:
    """The activation called `name`; of `params` it takes what it knows. ValueError if there is none."""
    check_activation(name, "activation")
    found = _find(name)
    assert found is not None
    wanted = inspect.signature(found).parameters
    given: dict[str, Any] = {} if params is None else {k: v for k, v in vars(params).items() if k in wanted}
    return found(**given)


def channels_after(activation: nn.Module, channels: int) -> int:
    """How many channels come out of an activation that is given `channels`."""
    return channels * 2 if isinstance(activation, SplitReLU) and activation.split_dim == 1 else channels
