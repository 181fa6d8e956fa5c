"""The two ways a checkpoint is turned down, each with its exit status."""

from __future__ import annotations


class CheckpointError(Exception):
    """A sentence for the person at the terminal; `status` is the process's exit status."""

    status = 2


class Damaged(CheckpointError):
    """The file is truncated, corrupt or no checkpoint at all."""

    status = 2


class Refused(CheckpointError):
    """The file is well-formed but holds what nobody allowed: a global, a trick of its format, an absurd size."""

    status = 3
