"""Checkpoints as files: read without torch and without running them, written again byte for byte.

>>> checkpoint = read("old.ckpt")
>>> write_ckpt(checkpoint, checkpoint.root, "new.ckpt", provenance={})
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from legacy.checkpoint.errors import CheckpointError, Damaged, Refused
    from legacy.checkpoint.reader import Checkpoint, read
    from legacy.checkpoint.safetensors_writer import write_safetensors
    from legacy.checkpoint.writer import write_ckpt

__all__ = ["Checkpoint", "CheckpointError", "Damaged", "Refused", "read", "write_ckpt", "write_safetensors"]

_HOMES = {
    "Checkpoint": "reader",
    "CheckpointError": "errors",
    "Damaged": "errors",
    "Refused": "errors",
    "read": "reader",
    "write_ckpt": "writer",
    "write_safetensors": "safetensors_writer",
}


def __getattr__(name: str) -> Any:  # each when it is asked for: a command starts sooner
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
