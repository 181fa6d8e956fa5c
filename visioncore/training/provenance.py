"""What a run was made with, in plain containers, for its checkpoints and its logger."""

from __future__ import annotations

import functools
import platform
import subprocess
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import torch


def plain(value: Any) -> Any:
    """`value` in dicts, lists, texts and numbers, so that `torch.load(weights_only=True)` reads it; what else there is, as a text."""
    if isinstance(value, Mapping):
        return {key if isinstance(key, str | int) else str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    # exact types: a numpy float is a float, and pickles as a numpy scalar
    if value is None or type(value) in (bool, int, float, str):
        return value
    for kind in (bool, int, float, str):
        if isinstance(value, kind):
            return kind(value)
    return value.item() if hasattr(value, "item") and getattr(value, "ndim", 1) == 0 else str(value)


def provenance(configs: Mapping[str, Any]) -> dict[str, Any]:
    """`{configs, git_commit, versions}`; the commit is that of the code, None outside a repository."""
    return {"configs": plain(configs), "git_commit": git_commit(Path(__file__).parent), "versions": versions()}


@functools.cache
def git_commit(folder: Path) -> str | None:
    """The commit that is checked out where `folder` lies; None without git or a repository."""
    try:
        done = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=folder, capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None


def versions() -> dict[str, str | None]:
    """Of Python and of the packages that decide what a run computes; None for a package that runs uninstalled."""
    try:
        own = metadata.version("visioncore-migration")
    except metadata.PackageNotFoundError:
        own = None
    return {
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "pytorch-lightning": metadata.version("pytorch-lightning"),
        "visioncore": own,
    }
