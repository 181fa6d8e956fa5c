"""Writes the report's files, each whole or not at all."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from regression.compare.judge import Comparison
from regression.report import several
from regression.report.facts import Facts, gather
from regression.report.markdown import markdown
from regression.report.timing import Measured
from regression.trace import Trace, strict


class ReportError(Exception):
    """The report cannot be written; a sentence."""


def write(path: Path, old: Trace, new: Trace, found: Comparison, throughput: Measured | None = None) -> list[Path]:
    """
    The page at `path`, and beside it `NAME.md`, `NAME.json` and a PNG for each picture; returns them in this order.

    Raises:
        ReportError: the path does not end in .html, cannot be written to, or matplotlib is not installed
    """
    path = Path(path)
    check(path)
    return _replace(path, _content(path, gather(old, new, found, throughput)))


def write_all(
    path: Path, runs: Mapping[str, tuple[Trace, Trace, Comparison]], throughput: Measured | None = None
) -> list[Path]:
    """
    As `write`, for several trainings by their names: the page at `path` says of each what was found, and links its own page, which is in
    the folder NAME beside it.

    Raises:
        ReportError: as there
    """
    path = Path(path)
    check(path)
    facts = {name: gather(*run, throughput) for name, run in runs.items()}
    of_each: dict[Path, bytes] = {}
    for name, of in facts.items():
        of_each |= _content(path.with_suffix("") / f"{name}.html", of)
    result = {name: as_json(of) for name, of in facts.items()}
    return _replace(path, _files(path, several.page(path.stem, facts), several.markdown(facts), result) | of_each)


def check(path: Path) -> None:
    """
    Whether a report can be written there, before there is one.

    Raises:
        ReportError: as `write`
    """
    if find_spec("matplotlib") is None:
        raise ReportError("the report draws with matplotlib, which is not installed: pip install matplotlib")
    if path.suffix != ".html":
        raise ReportError(f"{path}: the report is a page, name a file that ends in .html")
    folder = next(folder for folder in path.absolute().parents if folder.exists())
    if path.is_dir() or not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        what = "it is a folder" if path.is_dir() else f"{folder} is {'read-only' if folder.is_dir() else 'no folder'}"
        raise ReportError(f"{path}: the report cannot be written here ({what}); name another file")


def _content(path: Path, facts: Facts) -> dict[Path, bytes]:
    from regression.report.figures import pictures, png
    from regression.report.page import page

    drawn = [*pictures(facts)]
    files = _files(path, page(facts, drawn), markdown(facts), as_json(facts))
    return files | {path.with_name(f"{path.stem}-{picture.name}.png"): png(picture.figure) for picture in drawn}


def _files(path: Path, page: str, summary: str, result: Mapping[str, Any]) -> dict[Path, bytes]:
    return {
        path: page.encode("utf-8", "replace"),
        path.with_suffix(".md"): summary.encode("utf-8", "replace"),
        path.with_suffix(".json"): json.dumps(result, indent=1, allow_nan=False).encode(),
    }


def as_json(facts: Facts) -> dict[str, Any]:
    """What the page says, for machines; numbers that JSON does not have are strings."""
    whole = {
        "verdict": {"kind": facts.verdict.kind, "title": facts.verdict.title, "why": facts.verdict.why},
        "comparison": facts.found.to_json(),
        "throughput": facts.timing.result if facts.timing else None,
        "phases": {c.phase: {"compared": c.compared, "differ": c.differ, "first_step": c.first} for c in facts.causes},
        "environments": {"old": facts.old.header, "new": facts.new.header},
        "compared": facts.covered,
        "not_compared": facts.missing,
        "notes": facts.notes,
    }
    made: dict[str, Any] = strict(whole)
    return made


def _replace(page: Path, content: Mapping[Path, bytes]) -> list[Path]:
    """All are written aside before the first takes its place."""
    aside: dict[Path, Path] = {}
    try:
        for path, data in content.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            aside[path] = path.with_name(f".{path.name}.{os.getpid()}")
            aside[path].write_bytes(data)
        for path, written in aside.items():
            written.replace(path)
    except OSError as error:
        why = error.strerror or error
        raise ReportError(f"{page}: the report cannot be written here ({why}); name another file") from error
    finally:
        for written in aside.values():
            written.unlink(missing_ok=True)
    return [*content]
