"""A trace without the place it was recorded at."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def anonymous(path: Path) -> None:
    """Drop what a replay needs and shorten absolute paths to their last part, in place; no number is touched."""
    lines = []
    for line in path.read_text().splitlines():
        record: dict[str, Any] = json.loads(line)
        record.pop("replay", None)
        lines.append(json.dumps(_shortened(record), separators=(",", ":")))
    path.write_text("\n".join(lines) + "\n")


def _shortened(value: Any) -> Any:
    if isinstance(value, str) and value.startswith("/"):
        return Path(value).name
    if isinstance(value, dict):
        return {key: _shortened(part) for key, part in value.items()}
    return [_shortened(part) for part in value] if isinstance(value, list) else value
