"""Adapters: each session's stimulus, blurred and scaled, on a square grid that all sessions share."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from visioncore.models.schema.model import Compat
from visioncore.models.schema.stages import AdapterParams
from visioncore.models.schema.types import Stage


class AffineAdapter(nn.Module):
    """(B, C, T, H, W) → (B, C, T, g, g), or the same without T.

    A Gaussian blur of standard deviation σ pixels, then a bilinear look-up at the points of a g × g grid that spans the image at
    scale 1 and its middle at smaller ones; outside the image lies 0. σ² is softplus(`log_sigma`)² plus (0.44·(1/s − 1))² for the
    smallest scale s below 1. `log_scale` is the inverse softplus of the scales in x and y; with `transform: affine` there is a
    2 × 3 matrix `affine` in its place, in the units of `torch.nn.functional.affine_grid`.

    Blur and look-up by scales are linear along each axis, so they are two small matrices: σ and scale get their gradients, no
    size depends on a value on the device, and nothing waits for it.
    """

    base: Tensor

    def __init__(self, p: AdapterParams, compat: Compat) -> None:
        super().__init__()
        self.grid_size, self.old_blur = p.grid_size, compat.adapter_blur
        self.log_sigma = nn.Parameter(torch.tensor(math.log(math.expm1(p.init_sigma))))
        if p.transform == "scale":
            start = 0.0 if compat.adapter_scale else math.log(math.expm1(1.0))
            self.log_scale = nn.Parameter(torch.full((2,), start))
        else:
            self.affine = nn.Parameter(torch.eye(2, 3))
        self.register_buffer("base", torch.linspace(-1.0, 1.0, p.grid_size), persistent=False)

    def scales(self) -> Tensor:
        """(2,): how much of the image the grid spans in x and y; singular values for an affine transform."""
        if hasattr(self, "log_scale"):
            return F.softplus(self.log_scale)
        singular: Tensor = torch.linalg.svdvals(self.affine[:, :2])
        return singular

    def sigma(self) -> Tensor:
        """The blur's standard deviation, pixels."""
        sampling = 0.44 * (1 / self.scales().min() - 1).clamp(min=0)
        return (sampling.square() + F.softplus(self.log_sigma).square()).sqrt()

    def _blur(self, size: int, sigma: Tensor) -> Tensor:
        """(size, size): a row for each blurred pixel. The kernel has the odd number of taps nearest to 6σ, 0 outside the image."""
        pixels = torch.arange(size, device=sigma.device)
        centres = pixels[1:] if self.old_blur else pixels
        distance = pixels - centres[:, None]
        taps = torch.round(6 * sigma.detach()).long() | 1
        last = (taps // 2).clamp(max=3 * size)
        first = -(last + 1) if self.old_blur else -last

        def kernel(at: Tensor) -> Tensor:
            return torch.exp(-0.5 * (at / sigma.clamp(min=1e-3)).square()) * ((at >= first) & (at <= last))

        # the sum is over all taps, those outside the image too: the kernel is the same everywhere
        return kernel(distance) / kernel(torch.arange(-3 * size - 1, 3 * size + 1, device=sigma.device)).sum()

    def _look_up(self, size: int, scale: Tensor) -> Tensor:
        """(g, size): a row of two linear weights for each point of the grid."""
        points = (self.base * scale + 1) * (size - 1) / 2
        return (1 - (points[:, None] - torch.arange(size, device=points.device)).abs()).clamp(min=0)

    def forward(self, x: Tensor) -> Tensor:
        sigma = self.sigma()
        rows, columns = self._blur(x.shape[-2], sigma), self._blur(x.shape[-1], sigma)
        if hasattr(self, "log_scale"):
            across, down = self.scales()
            rows = self._look_up(len(rows), down) @ rows
            columns = self._look_up(len(columns), across) @ columns
        x = rows.to(x.dtype) @ x @ columns.to(x.dtype).T
        return x if hasattr(self, "log_scale") else self._warp(x)

    def _warp(self, x: Tensor) -> Tensor:
        """The look-up under an affine transform, which mixes the axes."""
        frames = x.reshape(1, -1, *x.shape[-2:])
        size = [1, 1, self.grid_size, self.grid_size]
        grid = F.affine_grid(self.affine[None], size, align_corners=True)
        warped = F.grid_sample(frames, grid.to(x.dtype), align_corners=True)
        return warped.view(*x.shape[:-2], self.grid_size, self.grid_size)


def make_adapter(stage: Stage, compat: Compat) -> nn.Module:
    """One session's adapter."""
    return nn.Identity() if stage.type == "none" else AffineAdapter(stage.params, compat)
