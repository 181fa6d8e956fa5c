"""The first tensor in which two captured steps differ, and how far apart it is in them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from regression.compare.bits import MOST_ULPS

_NAN = float("nan")
_UNKNOWN: tuple[float, float, None] = (_NAN, _NAN, None)


@dataclass(frozen=True)
class Place:
    """The first tensor, in the order in which they came to be, whose bits differ. `at` is where in it they differ most."""

    step: int
    kind: str
    name: str
    shape: tuple[int, ...]
    differing: int
    at: tuple[int, ...]
    old: float
    new: float
    max_abs: float
    relative: float
    ulps: int | None

    def __str__(self) -> str:
        where = {"batch": "the batch's", "forward": "the output of", "backward": "the gradient at the output of"}
        what = f"{where.get(self.kind, f'the {self.kind}')} {self.name}"
        if self.max_abs != self.max_abs:
            side = "old" if self.old == self.old else "new"
            return f"step {self.step}: {what} {list(self.shape)} is there in the {side} run alone, or has another shape"
        by = f"max {self.max_abs:.3g}, {self.relative:.2g} relative" + (
            f", {self.ulps} ulp" if self.ulps is not None and self.ulps <= MOST_ULPS else ""
        )
        n = f"{self.differing} of {math.prod(self.shape)} values"
        return f"step {self.step}: {what} {list(self.shape)} is the first to differ, in {n}, {by} at {list(self.at)}"


def first_difference(old: Path, new: Path, step: int, order: Sequence[str] = ()) -> Place | None:
    """Of two captured steps: batch, then outputs as they were made, gradients as they came back, then parameters in the model's `order`."""
    mine, its = (dict(_keyed(load_file(file))) for file in (old, new))
    for key in _in_order(list(dict.fromkeys((*mine, *its))), order):
        one, other = mine.get(key), its.get(key)
        if one is None or other is None:
            # a module that both sides have
            made = key[0] == "gradient" or all(("forward", *key[1:]) in side for side in (mine, its))
            if key[0] in ("backward", "gradient") and made:
                return _one_sided(step, key[0], key[1], one, other)
            continue  # a module that only one side has, or calls under another name: what comes of it is compared
        if one.shape != other.shape or one.dtype != other.dtype or not _same_bits(one, other):
            return place(step, key[0], key[1], one, other)
    return None


def _one_sided(step: int, kind: str, name: str, one: Tensor | None, other: Tensor | None) -> Place:
    there = one if one is not None else other
    assert there is not None
    norms = [float("nan") if side is None else float(side.double().norm()) for side in (one, other)]
    return Place(step, kind, name, tuple(there.shape), there.numel(), (), norms[0], norms[1], *_UNKNOWN)


def place(step: int, kind: str, name: str, one: Tensor, other: Tensor) -> Place:
    """How far apart two tensors are, and where most."""
    if one.shape != other.shape:
        return Place(step, kind, name, tuple(one.shape), one.numel(), (), _NAN, _NAN, *_UNKNOWN)
    left, right = one.double(), other.double()
    apart = (left - right).abs().nan_to_num(torch.inf)
    at = tuple(int(i) for i in torch.unravel_index(apart.argmax(), apart.shape)) if apart.ndim else ()
    largest = max(abs(float(left[at])), abs(float(right[at])))
    distance = float(apart[at])
    differing = int((_bits(one) != _bits(other)).sum())
    ulps = _ulps(one[at], other[at]) if one.is_floating_point() and one.dtype == other.dtype else None
    relative = distance / largest if largest else 0.0
    return Place(
        step, kind, name, tuple(one.shape), differing, at, float(left[at]), float(right[at]), distance, relative, ulps
    )


def _keyed(tensors: dict[str, Tensor]) -> Iterator[tuple[tuple[str, str, int], Tensor]]:
    """Under kind, name and how often it had come before: the running number differs where one run has a module more."""
    seen: dict[tuple[str, str], int] = {}
    for key in sorted(tensors):
        kind, name = key.split("/", 1)
        name = name.split("/", 1)[1] if kind in ("forward", "backward") else name
        n = seen[kind, name] = seen.get((kind, name), -1) + 1
        yield (kind, name, n), tensors[key]


def _in_order(keys: list[tuple[str, str, int]], order: Sequence[str]) -> list[tuple[str, str, int]]:
    at = {name: i for i, name in enumerate(order)}
    kinds: dict[str, list[tuple[str, str, int]]] = {}
    for key in keys:
        kinds.setdefault(key[0], []).append(key)
    ordered = [key for kind in ("batch", "forward") for key in kinds.get(kind, [])]
    ordered += kinds.get("backward", [])[::-1]
    for kind in ("gradient", "parameter"):
        ordered += sorted(kinds.get(kind, []), key=lambda key: at.get(key[1], len(at)))
    return ordered


def _bits(tensor: Tensor) -> Tensor:
    sizes = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
    return tensor.contiguous().view(sizes[tensor.element_size()])


def _same_bits(one: Tensor, other: Tensor) -> bool:
    return torch.equal(_bits(one), _bits(other))


def _ulps(one: Tensor, other: Tensor) -> int | None:
    """Numbers of their format between two."""
    if not (one.isfinite() and other.isfinite()):
        return None
    places = [int(_bits(value.reshape(1))) for value in (one, other)]
    sign = 1 << (8 * one.element_size() - 1)
    ordered = [place if place >= 0 else -(place + sign) for place in places]
    return abs(ordered[0] - ordered[1])
