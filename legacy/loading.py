"""`load_checkpoint`: an old checkpoint as the dictionary that `torch.load` of its translation gives."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Collection
from pathlib import Path
from typing import Any

from legacy.checkpoint.rules.user import load
from legacy.translate import Options, translate


def load_checkpoint(
    path: str | os.PathLike[str],
    *,
    map_location: Any = "cpu",
    rules: str | os.PathLike[str] | None = None,
    allow: Collection[str] = (),
    folder: str | os.PathLike[str] | None = None,
) -> dict[str, Any]:
    """The checkpoint as it would be after `translate`, loaded by torch with `weights_only`.

    `rules` is a rules file; objects under names in `allow` must be known to torch (`torch.serialization.add_safe_globals`). The translation
    lies in `folder` (the system's for temporary files) while it is loaded. Raises `legacy.CheckpointError` as the command does.
    """
    import torch

    rows = load(Path(rules)) if rules is not None else ()
    with tempfile.TemporaryDirectory(dir=folder) as made:
        target = Path(made) / "translated.ckpt"
        translate(Path(path), target, Options(rows=rows, allow=frozenset(allow), hashed=False))
        found: dict[str, Any] = torch.load(target, map_location=map_location, weights_only=True)
    return found
