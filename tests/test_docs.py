"""The documents that others name are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("visioncore", "migration", "legacy", "regression", "benchmarks", "fuzz", "docs")
NAMING = [ROOT / name for name in ("README.md", "CHANGELOG.md", "Makefile", "pyproject.toml")] + [
    path
    for folder in FOLDERS
    for pattern in ("*.py", "*.md", "*.toml")
    for path in (ROOT / folder).rglob(pattern)
    if "monolith" not in path.parts
]


def test_documents_that_are_named_are_there() -> None:
    named = {(path, name) for path in NAMING for name in re.findall(r"docs/[\w/.-]*\.(?:md|png)", path.read_text())}
    assert len(named) > 10
    assert [f"{path.relative_to(ROOT)} names {name}" for path, name in named if not (ROOT / name).is_file()] == []


@pytest.mark.parametrize("document", [ROOT / "README.md", *(ROOT / "docs").glob("*.md")], ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)", document.read_text()):
        assert "://" in target or (document.parent / target).exists(), target
