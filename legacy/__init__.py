"""Old names resolve, old checkpoints become new ones: `legacy.checkpoint` has the files, `python -m legacy` the commands."""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "Checkpoint": "legacy.checkpoint",
    "CheckpointError": "legacy.checkpoint",
    "Damaged": "legacy.checkpoint",
    "Refused": "legacy.checkpoint",
    "install": "legacy.old_names",
    "kind": "legacy.loading",
    "load_checkpoint": "legacy.loading",
    "load_model": "legacy.loading",
    "read": "legacy.checkpoint",
    "write_ckpt": "legacy.checkpoint",
    "write_safetensors": "legacy.checkpoint",
}

__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'legacy' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
