"""Checkpoints as files: read without torch and without running them, written again byte for byte.

>>> checkpoint = read("old.ckpt")
>>> write_ckpt(checkpoint, checkpoint.root, "new.ckpt", provenance={})
"""

from __future__ import annotations

from legacy.checkpoint.errors import CheckpointError, Damaged, Refused
from legacy.checkpoint.reader import Checkpoint, read
from legacy.checkpoint.safetensors_writer import write_safetensors
from legacy.checkpoint.writer import write_ckpt

__all__ = ["Checkpoint", "CheckpointError", "Damaged", "Refused", "read", "write_ckpt", "write_safetensors"]
