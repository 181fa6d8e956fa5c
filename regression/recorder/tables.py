"""Tables of many tensors' hashes and norms, taken on their device and fetched later, so that no step waits for them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from regression.hashing import Hasher, digest
from regression.trace import Writer


class Table:
    """Hashes and norms of named tensors as they are now; `row` makes the record of them."""

    def __init__(self, key: str, hashes: Tensor, norms: Tensor | None, measured: list[bool]) -> None:
        self.key, self._measured = key, measured
        parts = [hashes] if norms is None else [hashes, norms.double().view(torch.int64)]
        self._numbers, self._done = to_host(torch.cat(parts))
        self._n = len(hashes)

    def record(self) -> dict[str, Any]:
        if self._done is not None:
            self._done.synchronize()
        made: dict[str, Any] = {"of": self.key, "hash": [digest(value) for value in self._numbers[: self._n].tolist()]}
        norms = iter(self._numbers[self._n :].view(torch.float64).tolist())
        if any(self._measured):
            # six digits tell how far two sides are apart; the hash tells whether
            made["norm"] = [float(f"{next(norms):.6g}") if measured else None for measured in self._measured]
        return made


class Number:
    """A scalar on some device, fetched later. `value` is exact: float64 holds every smaller format."""

    def __init__(self, scalar: Tensor) -> None:
        self._number, self._done = to_host(scalar.detach().reshape(-1)[:1].double())

    def record(self) -> float:
        if self._done is not None:
            self._done.synchronize()
        return float(self._number[0])


def to_host(tensor: Tensor) -> tuple[Tensor, Any]:
    """A copy in the host's memory, and the event after which it is whole (None: at once)."""
    if tensor.device.type != "cuda":
        return tensor.to("cpu", copy=True), None
    host = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
    host.copy_(tensor, non_blocking=True)
    done = torch.cuda.Event()  # type: ignore[no-untyped-call]
    done.record()
    return host, done


class Tabulator:
    """Makes tables, and writes their names before they are first used."""

    def __init__(self, writer: Writer) -> None:
        self._writer, self._hasher = writer, Hasher()

    def __call__(self, named: Iterable[tuple[str, Tensor]], norms: bool = True) -> Table:
        names, tensors = [], []
        for name, tensor in named:
            names.append((name, tensor.shape, str(tensor.dtype).removeprefix("torch.")))
            tensors.append(tensor.detach())
        key = self._writer.names(names)
        measured = [norms and tensor.is_floating_point() and tensor.layout is torch.strided for tensor in tensors]
        return Table(key, self._hasher(tensors), _norms(tensors, measured), measured)


def _norms(tensors: list[Tensor], measured: list[bool]) -> Tensor | None:
    chosen = [tensor for tensor, wanted in zip(tensors, measured, strict=True) if wanted]
    if not chosen:
        return None
    # the many-tensor norm behind torch.nn.utils.clip_grad_norm_
    return torch.stack([norm.double() for norm in torch._foreach_norm(chosen)])


def finished(value: Any) -> Any:
    """`value` with every Table and Number in it fetched."""
    if isinstance(value, Table | Number):
        return value.record()
    if isinstance(value, dict):
        return {key: finished(part) for key, part in value.items()}
    return [finished(part) for part in value] if isinstance(value, list) else value
