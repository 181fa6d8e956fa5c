"""What these tests share: torch files in one line, pickles by hand, and equality that sees types, identities and NaN."""

from __future__ import annotations

import io
import math
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import torch

from legacy.checkpoint import Checkpoint, read, write_ckpt
from legacy.checkpoint.pickles import Machine, run
from legacy.checkpoint.records import Ordered


def unpickled(code: bytes) -> Any:
    """What our machine makes of a pickle."""
    return run(Machine(code))


def saved(path: Path, value: object, **how: Any) -> Checkpoint:
    """`value` as torch saves it, read by us."""
    torch.save(value, path, **how)
    return read(path)


def rewritten(path: Path, value: object, **how: Any) -> Any:
    """`value` saved by torch, written again by us, and loaded by plain torch under weights_only."""
    checkpoint = saved(path, value, **how)
    target = path.with_suffix(".new")
    write_ckpt(checkpoint, checkpoint.root, target, {}, check=True)
    return torch.load(target, weights_only=True)


def torch_bytes(value: object, **how: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer, **how)
    return buffer.getvalue()


def same(ours: Any, theirs: Any) -> bool:
    """Equal, of equal types, element by element, and told apart where it is the sharing that differs."""
    return _same(ours, theirs, {})


def _same(ours: Any, theirs: Any, seen: dict[int, int]) -> bool:
    if isinstance(theirs, (list, dict, set, tuple)) and theirs != () and not isinstance(theirs, torch.Size):
        if id(theirs) in seen:
            return seen[id(theirs)] == id(ours)
        seen[id(theirs)] = id(ours)
    if type(ours) is Ordered and type(theirs) is OrderedDict:
        pass
    elif type(ours) is not type(theirs):
        return False
    if isinstance(theirs, float) and math.isnan(theirs):
        return math.isnan(ours)
    if isinstance(theirs, complex):
        return repr(ours) == repr(theirs)
    if isinstance(theirs, torch.Tensor):
        return bitwise(ours, theirs)
    if isinstance(theirs, dict):
        pairs = zip(ours.items(), theirs.items(), strict=True)
        return len(ours) == len(theirs) and all(_same(a, b, seen) and _same(v, w, seen) for (a, v), (b, w) in pairs)
    if isinstance(theirs, (list, tuple)):
        return len(ours) == len(theirs) and all(_same(a, b, seen) for a, b in zip(ours, theirs, strict=True))
    return bool(ours == theirs)


def bitwise(ours: torch.Tensor, theirs: torch.Tensor) -> bool:
    """Same type, place in the storage and bits."""
    if (ours.dtype, ours.shape, ours.layout, ours.requires_grad) != (
        theirs.dtype,
        theirs.shape,
        theirs.layout,
        theirs.requires_grad,
    ) or type(ours) is not type(theirs):
        return False
    if ours.layout is not torch.strided:
        return bitwise(ours.coalesce().indices(), theirs.coalesce().indices()) and bitwise(
            ours.coalesce().values(), theirs.coalesce().values()
        )
    if ours.stride() != theirs.stride() or ours.storage_offset() != theirs.storage_offset():
        return False
    return bytes(ours.untyped_storage()) == bytes(theirs.untyped_storage())


def frozen(value: object, protocol: int = 2) -> bytes:
    return pickle.dumps(value, protocol)
