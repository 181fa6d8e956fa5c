"""Readouts: each session's cells from the shared features. (B, C, T, H, W) or (B, C, H, W) → (B, N), at the last lag."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from visioncore.models.schema.stages import GaussianParams, ReadoutParams
from visioncore.models.schema.types import Stage


@dataclass(frozen=True)
class ReceptiveFields:
    """Where N cells look on a feature map: detached, on the CPU.

    mean: (N, 2) row and column, pixels from the map's middle
    std: (N, 2) along the two axes of the ellipse, pixels, positive
    theta: (N,) by which the ellipse is turned, radians
    """

    mean: Tensor
    std: Tensor
    theta: Tensor

    def on_unit_square(self, height: int, width: int) -> ReceptiveFields:
        """The same on [−1, 1]², −1 and 1 being the middle of the outermost pixels of a `height` × `width` map.

        The std is divided by the mean of the map's two half-sizes where it is not square, since its axes are the ellipse's.
        """
        half = torch.tensor([height - 1, width - 1], dtype=self.mean.dtype).clamp(min=1) / 2
        return ReceptiveFields(self.mean / half, self.std / half.mean(), self.theta)


class GaussianReadout(nn.Module):
    """A 1 × 1 feature weight for each cell and channel, summed under a Gaussian for each cell (after Lurz et al. 2021).

    The Gaussian is evaluated at the map's pixels and sums to 1 over them. `mean` and `std` (N, 2) are rows and columns in pixels,
    0 being the map's middle; `theta` (N,) turns the axes; a std counts as at least 0.001.
    """

    def __init__(self, in_channels: int, n_units: int, p: GaussianParams) -> None:
        super().__init__()
        self.n_units = n_units
        self.features = nn.Conv2d(in_channels, n_units, 1, bias=False)
        self.bias = nn.Parameter(torch.zeros(n_units)) if p.bias else None
        self.mean = nn.Parameter(p.initial_mean_scale * torch.randn(n_units, 2))
        self.std = nn.Parameter(torch.full((n_units, 2), p.initial_std))
        self.theta = nn.Parameter(torch.zeros(n_units))

    def masks(self, height: int, width: int) -> Tensor:
        """(N, height, width): each cell's Gaussian."""
        rows = torch.arange(height, device=self.mean.device) - (height - 1) / 2
        columns = torch.arange(width, device=self.mean.device) - (width - 1) / 2
        dy = (rows - self.mean[:, :1])[:, :, None]  # (N, H, 1)
        dx = (columns - self.mean[:, 1:])[:, None, :]  # (N, 1, W)
        cos, sin = self.theta.cos()[:, None, None], self.theta.sin()[:, None, None]
        across, along = self.std.clamp(min=1e-3)[:, :, None, None].unbind(1)
        squared = ((dy * cos + dx * sin) / across).square() + ((dx * cos - dy * sin) / along).square()
        mask = torch.exp(-0.5 * squared)
        return mask / (mask.sum((1, 2), keepdim=True) + 1e-8)

    def forward(self, x: Tensor) -> Tensor:
        x = _last_lag(x)
        out: Tensor = (self.features(x) * self.masks(*x.shape[-2:])).sum((2, 3))
        return out if self.bias is None else out + self.bias

    def receptive_fields(self) -> ReceptiveFields:
        """Where the cells look, for plots and for comparison with a known truth."""
        mean, std, theta = (p.detach().float().cpu().clone() for p in (self.mean, self.std, self.theta))
        return ReceptiveFields(mean, std.clamp(min=1e-3), theta)


class LinearReadout(nn.Module):
    """The mean over the map, then a linear layer. `bias` and `fc.bias` are one parameter under two names."""

    def __init__(self, in_channels: int, n_units: int, p: ReadoutParams) -> None:
        super().__init__()
        self.n_units = n_units
        self.fc = nn.Linear(in_channels, n_units, bias=p.bias)
        self.bias = self.fc.bias

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.fc(_last_lag(x).mean((2, 3)))
        return out


def _last_lag(x: Tensor) -> Tensor:
    return x[:, :, -1] if x.dim() == 5 else x


def make_readout(stage: Stage, in_channels: int, n_units: int) -> GaussianReadout | LinearReadout:
    """One session's readout for `n_units` cells."""
    kind = GaussianReadout if stage.type == "gaussian" else LinearReadout
    return kind(in_channels, n_units, stage.params)
