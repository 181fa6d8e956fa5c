"""Memory for batches, used again.

A batch of 256 samples of 25 frames of 51 × 51 is 17 MB as bytes and 67 MB as float32. Fresh memory of that size comes from the kernel
page by page, and that takes four times as long as what is done in it (docs/performance.md).
"""

from __future__ import annotations

import sys
import threading
from typing import Any

import numpy as np
import torch
from torch import Tensor


class Slabs:
    """Gives memory out, and gives the same out again when no tensor lies in it any more, be it a view or one that autograd keeps.

    That is told by the reference count of the array under the tensors. At most `keep` arrays are kept; whoever holds more batches
    than that gets memory of its own. Pinned memory is torch's to reuse, which knows what copies are still under way.
    """

    def __init__(self, keep: int = 8, pin: bool = False) -> None:
        self.keep, self.pin = keep, pin
        self._arrays: list[np.ndarray[Any, np.dtype[np.uint8]]] = []
        self._idle = 0
        self._lock = threading.Lock()

    def take(self, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """A tensor with anything in it."""
        if self.pin:
            return torch.empty(shape, dtype=dtype, pin_memory=True)
        size = torch.Size(shape).numel() * dtype.itemsize
        with self._lock:
            array = self._free(size)
            flat = torch.from_numpy(array)[:size]
        return flat.view(dtype).view(shape)

    def _free(self, size: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
        outgrown = None
        for i in range(len(self._arrays)):
            if self._references(i) <= self._idle:
                if size <= self._arrays[i].size <= 2 * size + 4096:
                    return self._arrays[i]
                outgrown = i
        array = np.empty(size, np.uint8)
        if outgrown is not None:
            del self._arrays[outgrown]
        if len(self._arrays) < self.keep:
            self._arrays.append(array)
            del array
            self._idle = self._references(len(self._arrays) - 1)
            return self._arrays[-1]
        return array

    def _references(self, i: int) -> int:
        return sys.getrefcount(self._arrays[i])

    def __reduce__(self) -> Any:
        return Slabs, (self.keep, self.pin)
