"""The catalogue: an edit each, in TOML files beside this one, a file for each group."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from regression.record import ROOT
from regression.trace import PHASES

FOLDER = Path(__file__).parent
REFACTORS = "refactors"
PERFORMANCE = "performance"


class EditError(Exception):
    """An edit does not fit the tree any more; a sentence."""


@dataclass(frozen=True)
class Edit:
    """`find`, which is there once in `file`, becomes `replace`. `phases`: where the first difference must be; none for a refactor."""

    name: str
    group: str
    file: str
    find: str
    replace: str
    why: str
    scenario: str = "small"
    phases: tuple[str, ...] = ()
    options: tuple[str, ...] = ()

    @property
    def of_the_old_script(self) -> bool:
        return self.file.startswith("legacy/monolith/")

    def apply(self, tree: Path) -> None:
        """
        Raises:
            EditError: the text is not there, or more than once
        """
        path = tree / self.file
        text = path.read_text() if path.exists() else ""
        if text.count(self.find) != 1:
            n = text.count(self.find)
            raise EditError(
                f"{self.name}: {self.file} should have {self.find!r} once, and has it {n} times; bring the edit up to date"
            )
        path.write_text(text.replace(self.find, self.replace))


def read(folder: Path = FOLDER) -> list[Edit]:
    """
    Raises:
        EditError: an entry lacks a field, has one too many, names another phase, or has another's name
    """
    made: dict[str, Edit] = {}
    for file in sorted(folder.glob("*.toml")):
        rows: list[dict[str, Any]] = tomllib.loads(file.read_text()).get("edit", [])
        for row in rows:
            row = {key: tuple(value) if isinstance(value, list) else value for key, value in row.items()}
            try:
                edit = Edit(group=file.stem, **row)
            except TypeError as error:
                raise EditError(f"{file.name}: {row.get('name', row)}: {error}") from error
            if edit.name in made or set(edit.phases) - {*PHASES, "fails"}:
                raise EditError(
                    f"{file.name}: {edit.name}: a name of its own and known phases are expected, found {edit.phases}"
                )
            made[edit.name] = edit
    return list(made.values())


def root() -> Path:
    return ROOT
