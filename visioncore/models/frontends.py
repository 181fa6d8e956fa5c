"""Frontends: filters over the lags, the same at each pixel, shared by all sessions."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from visioncore.models.conv_block import ConvBlock
from visioncore.models.schema.stages import LearnableTemporalParams, TemporalBasisParams
from visioncore.models.schema.types import Stage


def _filter_lags(x: Tensor, filters: Tensor, before: int = 0, after: int = 0) -> Tensor:
    """Each channel by each of K filters of k lags, with zeros before and after: (B, C, T, H, W), (K, k) → (B, C·K, T′, H, W).

    T′ = `before` + T + `after` − k + 1. A (K, T′, T) band matrix and one product are 2–6 times faster on a CPU than a convolution
    along the lags, which has no channels to work on.
    """
    lags, size = x.shape[2], filters.shape[1]
    out = torch.arange(before + lags + after - size + 1, device=x.device)
    tap = torch.arange(lags, device=x.device) - out[:, None] + before
    band = filters[:, tap.clamp(0, size - 1)] * ((tap >= 0) & (tap < size))
    return torch.einsum("kot,bcthw->bckohw", band, x).flatten(1, 2)


class LearnableTemporal(nn.Module):
    """Learnt filters over the lags: (B, C, T, H, W) → (B, C·`num_channels`, T − `kernel_size` + 1, H, W).

    They start as a Gaussian (σ = k/6) and its first two derivatives, further ones as noise under the Gaussian; each of norm 1.
    """

    def __init__(self, p: LearnableTemporalParams) -> None:
        super().__init__()
        self.kernel_size, self.num_channels = p.kernel_size, p.num_channels
        self.temporal_conv = nn.Conv1d(1, p.num_channels, p.kernel_size, bias=p.bias)
        with torch.no_grad():
            if p.init_type == "gaussian_derivatives":
                self.temporal_conv.weight.copy_(_gaussian_derivatives(p.num_channels, p.kernel_size)[:, None])
            elif p.init_type == "identity":
                # filter i passes lag i on
                eye = torch.eye(p.kernel_size)[torch.arange(p.num_channels).clamp(max=p.kernel_size - 1)]
                self.temporal_conv.weight.copy_(eye[:, None])

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[2] < self.kernel_size:
            raise ValueError(f"a temporal kernel of {self.kernel_size} lags needs as many, {x.shape[2]} given")
        y = _filter_lags(x, self.temporal_conv.weight[:, 0])
        if self.temporal_conv.bias is not None:
            y = y + self.temporal_conv.bias.repeat(x.shape[1])[:, None, None, None]
        return y


def _gaussian_derivatives(count: int, size: int) -> Tensor:
    """(count, size), rows of norm 1."""
    t = torch.arange(size) - (size - 1) / 2
    sigma = size / 6
    gaussian = torch.exp(-0.5 * (t / sigma).square())
    rows = [gaussian, -t * gaussian, ((t / sigma).square() - 1) * gaussian][:count]
    rows += [torch.randn(size) * gaussian for _ in range(count - len(rows))]
    return F.normalize(torch.stack(rows), dim=1)


class TemporalBasis(nn.Module):
    """Fixed filters over the lags: (B, C, T, H, W) → (B, C·K, T − chomp, H, W), K = delta and cosine functions.

    `basis` (K, 1, `history_bins` + 1) is a buffer and travels with the checkpoint, last lag first.
    """

    basis: Tensor

    def __init__(self, p: TemporalBasisParams) -> None:
        super().__init__()
        basis = raised_cosines(p).flip(-1)
        # an acausal basis looks the other way, with the lags on both sides
        reach = basis.shape[-1] - 1
        self.causal, self.chomp = p.causal, p.chomp or 0
        self.pad = (reach, 0) if p.causal else ((reach + 1) // 2, reach - (reach + 1) // 2)
        self.register_buffer("basis", basis)
        self.bn = nn.BatchNorm1d(len(basis)) if p.batch_norm else None

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[2] <= self.chomp:
            raise ValueError(f"chomp takes {self.chomp} lags, {x.shape[2]} given: nothing is left")
        basis = self.basis if self.causal else self.basis.flip(-1)
        y = _filter_lags(x, basis[:, 0], *self.pad)
        if self.bn is not None:
            # statistics per basis function, over all else
            y = self.bn(y.reshape(-1, len(basis), y.shape[2:].numel())).view_as(y)
        return y[:, :, self.chomp :]


def raised_cosines(p: TemporalBasisParams) -> Tensor:
    """(K, 1, `history_bins` + 1), earliest lag first: deltas, then cosines (Pillow et al. 2008).

    A cosine with centre c is (1 + cos(π(u(t) − u(c))/w))/2 where its argument is within ±π, u being the logarithm or, without
    `log_spacing`, nothing; w is twice the distance between centres. One empty bin in front delays all by a bin.
    """
    times = torch.arange(p.history_bins, dtype=torch.float32) * p.bin_size_ms
    deltas = torch.eye(p.history_bins)[: p.num_delta_funcs]
    first, last = p.peak_range_ms
    if p.log_spacing:
        first, last = math.log(max(first, 1e-2)), math.log(max(last, 1e-2))
        times = torch.log(times + 1e-6)
    count = p.num_cosine_funcs
    centres = torch.linspace(first, last, count) if count > 1 else torch.full((count,), (first + last) / 2)
    # alone, a cosine is as wide as the range
    width = 2 * (last - first) / (count - 1) if count > 1 else last - first
    argument = math.pi * (times - centres[:, None]) / (width or abs(last) or 1.0)
    cosines = torch.where(argument.abs() <= math.pi, (1 + argument.cos()) / 2, 0.0)

    basis = F.pad(torch.cat([deltas, cosines]), (1, 0))
    if p.normalize:
        basis = F.normalize(basis, dim=1)
    if p.orthogonalize:
        q, r = torch.linalg.qr(basis.T)
        basis = (q * r.diagonal().sign()).T  # Gram-Schmidt in order, each function keeping its sign
    return basis[:, None]


def make_frontend(stage: Stage, in_channels: int) -> tuple[nn.Module, int]:
    """The frontend of a config and the number of its output channels."""
    p = stage.params
    match stage.type:
        case "none":
            return nn.Identity(), in_channels
        case "learnable_temporal":
            return LearnableTemporal(p), in_channels * p.num_channels
        case "temporal_basis":
            return TemporalBasis(p), in_channels * (p.num_delta_funcs + p.num_cosine_funcs)
        case _:
            block = ConvBlock(in_channels, p.out_channels, 3, p)
            return block, block.out_channels
