"""What the animal saw: eye movements, and images that they move over the retina. Frames are uint8, 127 is grey."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Frames = NDArray[np.uint8]


def eye_movements(frames: int, reach: float, rng: np.random.Generator) -> Array:
    """(T, 2) gaze within ±reach: slow drift, and a saccade every 20 to 50 frames."""
    gaze = np.empty((frames, 2))
    position, until = rng.uniform(-reach, reach, 2), 0
    for t in range(frames):
        if t == until:
            position, until = rng.uniform(-reach, reach, 2), t + int(rng.integers(20, 50))
        position = np.clip(position + rng.normal(0, 0.01 * reach, 2), -reach, reach)
        gaze[t] = position
    return gaze


def natural_image(size: int, rng: np.random.Generator) -> Array:
    """(size, size), amplitude spectrum 1/f as that of natural scenes, zero mean, unit variance."""
    frequency = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.fftfreq(size)[None])
    frequency[0, 0] = np.inf
    image = np.fft.ifft2(np.fft.fft2(rng.normal(size=(size, size))) / frequency).real
    standard: Array = (image - image.mean()) / image.std()
    return standard


def backimage(gaze: Array, size: int, rng: np.random.Generator) -> Frames:
    """(T, 2) gaze in pixels → (T, size, size): a natural image as it lies on the retina, to a whole pixel."""
    image = natural_image(6 * size, rng)
    corner = np.rint(gaze + (image.shape[0] - size) / 2).astype(int)
    return _frames(np.stack([image[y : y + size, x : x + size] for x, y in corner]) * 0.8)


def gaborium(frames: int, size: int, rng: np.random.Generator) -> Frames:
    """(T, size, size): each frame a new cloud of eight Gabor patches."""
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    cloud = np.zeros((frames, size, size))
    for _ in range(8):
        cx, cy = rng.uniform(-size / 2, size / 2, (2, frames, 1, 1))
        angle, phase = rng.uniform(0, 2 * np.pi, (2, frames, 1, 1))
        frequency = rng.uniform(1, 2.5, (frames, 1, 1)) / size
        dx, dy = x - cx, y - cy
        wave = np.cos(2 * np.pi * frequency * (np.cos(angle) * dx + np.sin(angle) * dy) + phase)
        cloud += wave * np.exp(-(dx**2 + dy**2) / (2 * (0.18 * size) ** 2))
    return _frames(cloud)


def _frames(contrast: Array) -> Frames:
    """Contrast in about ±2 → uint8."""
    return np.clip(np.rint(127 + 50 * contrast), 0, 255).astype(np.uint8)
