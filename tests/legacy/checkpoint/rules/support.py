"""A checkpoint before and after the rules."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from legacy.checkpoint.rules.user import Row, parse
from legacy.translate import Options, Report, translate


def translated(
    folder: Path, value: Any, rows: list[dict[str, Any]] | None = None, allow: tuple[str, ...] = ()
) -> tuple[Any, Report]:
    """What plain torch loads of the translation, and what was told of it. Twice over is the same as once."""
    torch.save(value, folder / "old.ckpt")
    options = Options(rows=rules(rows), allow=frozenset(allow))
    report = translate(folder / "old.ckpt", folder / "new.ckpt", options)
    again = translate(folder / "new.ckpt", folder / "again.ckpt", Options(allow=frozenset(allow)))
    assert again.rules == [] and again.replaced == {}, again
    return torch.load(folder / "new.ckpt", weights_only=not allow), report


def rules(rows: list[dict[str, Any]] | None) -> list[Row]:
    return parse(rows or [], "rules.toml")


def applied(report: Report) -> dict[str, list[str]]:
    """The notes by rule."""
    return {rule["name"]: rule["notes"] for rule in report.rules}
