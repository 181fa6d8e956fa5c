"""Model cells of primary visual cortex whose every parameter is known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Cells:
    """N cells that see a stimulus of `size` × `size` pixels through `lags` frames.

    centres (N, 2): x and y in pixels from the image's centre; filters (N, 2, size, size): a quadrature pair of Gabors, each of
    unit norm; kernels (N, lags): lag 0 is the current frame; complex (N,): an energy cell, or a simple one, which has the even
    filter only; baseline, gain (N,): spikes a bin
    """

    centres: Array
    filters: Array
    kernels: Array
    complex: NDArray[np.bool_]
    baseline: Array
    gain: Array

    def __len__(self) -> int:
        return len(self.centres)

    def rates(self, stimulus: NDArray[np.uint8]) -> Array:
        """(T, size, size) → (T, N) spikes a bin; before the first frame the screen is grey."""
        frames = (stimulus.astype(np.float64) - 127) / 255
        drive = np.einsum("thw,nqhw->tnq", frames, self.filters)
        filtered = np.zeros_like(drive)
        for lag in range(min(self.kernels.shape[1], len(drive))):
            filtered[lag:] += drive[: len(drive) - lag] * self.kernels[:, lag, None]
        energy = (filtered**2).sum(-1)
        simple = np.maximum(filtered[..., 0], 0.0) ** 2
        rates: Array = self.baseline + self.gain * np.where(self.complex, energy, simple)
        return rates


def draw_cells(n: int, size: int, lags: int, rng: np.random.Generator) -> Cells:
    """N cells with receptive fields all over the middle of the image: spatial frequencies of one to two cycles an image, any
    orientation and phase, a biphasic response some 40 ms after the frame at 120 Hz.
    """
    centres = rng.uniform(-0.25, 0.25, (n, 2)) * size
    angle, phase = rng.uniform(0, np.pi, n), rng.uniform(0, 2 * np.pi, n)
    frequency = rng.uniform(1.2, 2.2, n) / size
    sigma = rng.uniform(0.10, 0.16, n) * size
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    dx, dy = x - centres[:, 0, None, None], y - centres[:, 1, None, None]
    carrier = (
        2 * np.pi * frequency[:, None, None] * (np.cos(angle)[:, None, None] * dx + np.sin(angle)[:, None, None] * dy)
    )
    envelope = np.exp(-(dx**2 + dy**2) / (2 * sigma[:, None, None] ** 2))
    filters = np.stack([envelope * np.cos(carrier + shift + phase[:, None, None]) for shift in (0, np.pi / 2)], 1)
    filters -= filters.mean((2, 3), keepdims=True)
    filters /= np.sqrt((filters**2).sum((2, 3), keepdims=True))
    return Cells(
        centres,
        filters,
        np.stack([_kernel(lags, peak) for peak in rng.uniform(0.25, 0.4, n) * lags]),
        rng.random(n) < 0.5,
        np.full(n, 0.02),
        np.ones(n),
    )


def _kernel(lags: int, peak: float) -> Array:
    """A lobe at `peak` and a weaker, opposite one after it; unit norm."""
    t = np.arange(lags)
    width = 0.12 * lags
    kernel = np.exp(-((t - peak) ** 2) / (2 * width**2)) - 0.5 * np.exp(
        -((t - peak - 2.2 * width) ** 2) / (2 * width**2)
    )
    unit: Array = kernel / np.sqrt((kernel**2).sum())
    return unit
