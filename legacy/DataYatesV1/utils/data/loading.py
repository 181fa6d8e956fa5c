"""Before sessions are read."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any


def remove_pixel_norm(config: Mapping[str, Any]) -> tuple[dict[str, Any], bool]:
    """A copy without the `pixelnorm` of the stimulus's transforms, and whether there was one."""
    left = copy.deepcopy(dict(config))
    removed = False
    for transform in (left.get("transforms") or {}).values():
        if transform.get("source") == "stim":
            ops = [op for op in transform.get("ops") or [] if op != "pixelnorm" and "pixelnorm" not in op]
            removed |= len(ops) < len(transform.get("ops") or [])
            transform["ops"] = ops
    return left, removed
