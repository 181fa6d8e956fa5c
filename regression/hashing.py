"""A 64-bit hash of a tensor's bits, taken where the tensor lies.

Multilinear hashing (Lemire & Kaser, "Strongly universal string hashing is fast", 2012): the tensor's bytes are read as 32-bit words, each is
multiplied by a 64-bit weight of its position, and the products are summed modulo 2^64. Unlike a checksum over bytes it is a few kernels on a
GPU, its result need not be waited for, and it does not depend on the device, on threads or on how the sum is split. Two tensors that differ
get the same hash with a chance of about 2^-32. Weights are SplitMix64 (Steele, Lea & Flood 2014) of the position, so that anyone can make
them again.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

# constants of SplitMix64, as signed 64-bit integers
_GAMMA, _MIX = -0x61C8864680B583EB, (-0x40A7B892E31B1A47, -0x6B2FB644ECCEEE15)


def weights(n: int, device: torch.device | str = "cpu") -> Tensor:
    """(n,) int64: SplitMix64 of 1 … n."""
    state = torch.arange(1, n + 1, device=device) * _GAMMA
    for shift, factor in zip((30, 27), _MIX, strict=True):
        state = (state ^ _logical_shift(state, shift)) * factor
    return state ^ _logical_shift(state, 31)


def _logical_shift(value: Tensor, by: int) -> Tensor:
    return (value >> by) & ((1 << (64 - by)) - 1)


def words(tensor: Tensor) -> Tensor:
    """(ceil(bytes / 4),) int32: the tensor's bytes in logical order, whatever its strides; zeros fill the last word up."""
    tensor = tensor.detach()
    if tensor.layout is not torch.strided:
        tensor = tensor.to_dense()
    if hasattr(tensor, "full_tensor"):
        tensor = tensor.full_tensor()
    flat = tensor.resolve_conj().resolve_neg().contiguous().view(-1)
    if not flat.numel():
        return torch.zeros(0, dtype=torch.int32, device=tensor.device)
    if flat.element_size() >= 4:
        return flat.view(torch.int32)
    flat = flat.view(torch.uint8)
    if flat.numel() % 4:
        flat = torch.nn.functional.pad(flat, (0, -flat.numel() % 4))
    return flat.view(torch.int32)


class Hasher:
    """Hashes of many tensors; keeps the weights of every device it has seen."""

    def __init__(self) -> None:
        self._weights: dict[torch.device, Tensor] = {}
        self._layouts: dict[tuple[torch.device, tuple[int, ...]], tuple[Tensor, Tensor]] = {}

    def __call__(self, tensors: Sequence[Tensor]) -> Tensor:
        """(len(tensors),) int64, on the tensors' device; nothing is waited for."""
        if not tensors:
            return torch.zeros(0, dtype=torch.int64)
        parts = [words(tensor) for tensor in tensors]
        device = parts[0].device
        if device.type == "cpu":
            longest = self._first(device, max(part.numel() for part in parts))
            return torch.stack([(part * longest[: part.numel()]).sum() for part in parts])
        if any(part.device != device for part in parts):
            return torch.cat([self([part]).to(device) for part in parts])
        # many small kernels cost more than one large one with its copy
        laid, ends = self._layout(device, tuple(part.numel() for part in parts))
        sums = torch.nn.functional.pad((torch.cat(parts) * laid).cumsum(0), (1, 0))
        return sums[ends].diff()

    def _first(self, device: torch.device, n: int) -> Tensor:
        if device not in self._weights or self._weights[device].numel() < n:
            self._weights[device] = weights(n, device)
        return self._weights[device]

    def _layout(self, device: torch.device, sizes: tuple[int, ...]) -> tuple[Tensor, Tensor]:
        if (device, sizes) not in self._layouts:
            if len(self._layouts) > 16:
                self._layouts.clear()  # batches of ever other sizes
            longest = self._first(device, max(sizes))
            ends = torch.tensor((0, *sizes), device=device).cumsum(0)
            self._layouts[device, sizes] = torch.cat([longest[:size] for size in sizes]), ends
        return self._layouts[device, sizes]


def digest(value: int) -> str:
    """16 hexadecimal digits."""
    return f"{value & (1 << 64) - 1:016x}"
