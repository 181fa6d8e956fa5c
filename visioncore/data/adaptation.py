"""Dynamical adaptation of photoreceptors (Clark, Benichou, Meister & Azeredo da Silveira 2013, doi:10.1371/journal.pcbi.1003289)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class DynamicalAdaptation:
    """r(t) = α y(t) / (1 + β z(t)): a fast filter of the light, divided by a slow one.

    y = K_y ∗ s and z = (γ K_y + (1 − γ) K_slow) ∗ s, with kernels tⁿ e^(−t/τ) / (τ^(n+1) Γ(n+1)); t and `filter_length` in bins that count
    as a millisecond each. Before the first frame it is dark.
    """

    alpha: float = 1.0
    beta: float = 8e-5
    gamma: float = 0.5
    tau_y_ms: float = 5.0
    tau_z_ms: float = 60.0
    n_y: float = 5.0
    n_z: float = 2.0
    filter_length: int = 200

    def __call__(self, light: Tensor) -> Tensor:
        """(T, …) → the same shape."""
        fast, slow = self._kernel(self.n_y, self.tau_y_ms), self._kernel(self.n_z, self.tau_z_ms)
        kernels = torch.stack([fast, self.gamma * fast + (1 - self.gamma) * slow]).to(light)
        rows = F.pad(light.reshape(len(light), -1).T[:, None], (self.filter_length - 1, 0))
        y, z = F.conv1d(rows, kernels.flip(-1)[:, None]).unbind(1)
        return (self.alpha * y / (1 + F.relu(torch.as_tensor(self.beta)) * z)).T.reshape(light.shape)

    def _kernel(self, n: float, tau: float) -> Tensor:
        t = torch.arange(self.filter_length, dtype=torch.float64)
        log = n * t.log() - t / tau - (n + 1) * torch.as_tensor(tau).log() - torch.lgamma(torch.as_tensor(n + 1.0))
        return log.exp()
