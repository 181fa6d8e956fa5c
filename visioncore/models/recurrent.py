"""Recurrent stages: one state over the lags, in their order. (B, C, T, H, W) → (B, hidden, H, W)."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor, nn

from visioncore.models.schema.stages import RecurrentParams
from visioncore.models.schema.types import Stage


class ConvGRUCell(nn.Module):
    """h′ = (1 − z)·h + z·n, with z = σ(·) and n = tanh(·) of `conv_x`(x) + `conv_h`(h).

    The convolutions have three outputs, as for a GRU (Cho et al. 2014), but the middle one, the reset gate's, is not used: that is
    how the weights of the old checkpoints were trained. It is a minimal gated unit (Zhou et al. 2016) with a bypassed forget gate.
    """

    def __init__(self, in_channels: int, hidden: int, kernel_size: int) -> None:
        super().__init__()
        self.conv_x = nn.Conv2d(in_channels, 3 * hidden, kernel_size, padding="same")
        self.conv_h = nn.Conv2d(hidden, 3 * hidden, kernel_size, padding="same", bias=False)
        nn.init.kaiming_uniform_(self.conv_x.weight, a=5**0.5)
        nn.init.orthogonal_(self.conv_h.weight)

    def forward(self, from_x: Tensor, h: Tensor) -> Tensor:
        """`from_x` is `conv_x` of the input, (B, 3·hidden, H, W); `h` is (B, hidden, H, W)."""
        z, _, n = (from_x + self.conv_h(h)).chunk(3, dim=1)
        z = z.sigmoid()
        state: Tensor = (1 - z) * h + z * n.tanh()
        return state


class ConvLSTMCell(nn.Module):
    """Shi et al. 2015 without peepholes; the gates are input, forget, candidate, output."""

    def __init__(self, in_channels: int, hidden: int, kernel_size: int) -> None:
        super().__init__()
        self.gates = nn.Conv2d(in_channels + hidden, 4 * hidden, kernel_size, padding="same")
        nn.init.xavier_uniform_(self.gates.weight)
        nn.init.zeros_(self.gates.bias)  # type: ignore[arg-type]  # there is one

    def forward(self, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        i, f, g, o = self.gates(torch.cat([x, h], dim=1)).chunk(4, dim=1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        return o.sigmoid() * c.tanh(), c


class _Recurrent(nn.Module):
    """A cell over the lags; with `fast_phase` the last frame stands in front of the state: (B, C + hidden, H, W)."""

    def __init__(self, in_channels: int, hidden: int, fast_phase: bool) -> None:
        super().__init__()
        self.hidden, self.fast_phase = hidden, fast_phase
        self.out_channels = hidden + (in_channels if fast_phase else 0)

    @abstractmethod
    def run(self, x: Tensor) -> Tensor:
        """(B, C, T, H, W) → (B, hidden, H, W), the state after the last frame."""

    def forward(self, x: Tensor) -> Tensor:
        if x.dim() != 5:
            raise ValueError(f"a recurrent stage needs (B, C, T, H, W), {tuple(x.shape)} given")
        state = self.run(x)
        return torch.cat([x[:, :, -1], state], dim=1) if self.fast_phase else state


class ConvGRU(_Recurrent):
    def __init__(self, in_channels: int, hidden: int, kernel_size: int, fast_phase: bool = False) -> None:
        super().__init__(in_channels, hidden, fast_phase)
        self.cell = ConvGRUCell(in_channels, hidden, kernel_size)

    def run(self, x: Tensor) -> Tensor:
        # the input's half of the gates does not wait for the state: one convolution for all lags
        frames = x.transpose(1, 2)
        from_x = self.cell.conv_x(frames.flatten(0, 1)).unflatten(0, frames.shape[:2])
        h: Tensor = from_x.new_zeros(len(x), self.hidden, *x.shape[-2:])
        for gates in from_x.unbind(1):
            h = self.cell(gates, h)
        return h


class ConvLSTM(_Recurrent):
    def __init__(self, in_channels: int, hidden: int, kernel_size: int, fast_phase: bool = False) -> None:
        super().__init__(in_channels, hidden, fast_phase)
        self.cell = ConvLSTMCell(in_channels, hidden, kernel_size)

    def run(self, x: Tensor) -> Tensor:
        h = c = x.new_zeros(len(x), self.hidden, *x.shape[-2:])
        for frame in x.unbind(2):
            h, c = self.cell(frame, h, c)
        return h


def make_recurrent(stage: Stage, in_channels: int) -> tuple[nn.Module, int]:
    """The recurrent stage of a config and the number of its output channels."""
    if stage.type == "none":
        return nn.Identity(), in_channels
    p: RecurrentParams = stage.params
    kind = ConvGRU if stage.type == "convgru" else ConvLSTM
    module = kind(in_channels, p.hidden_dim, p.kernel_size, p.fast_phase)
    return module, module.out_channels
