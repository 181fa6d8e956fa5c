"""A transaction's folder, `.migration/tx-<number>.<state>`, and the journal in it.

The state is part of the folder's name, so that one rename, atomic and possible on a full disk, goes from one to the next:

    draft      being written; the tree has not been touched
    applying   contents, backups and journal are on disk; the tree is being changed
    applied    done; a rollback starts from here
    reverting  being taken back
    gone       taken back; to be deleted

`new/<i>` is the i-th file's content to come, `old/<i>` its backup with mode and modification time. Both leave by a rename
into the tree, so what is still there tells what has still to be done.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from migration.errors import MigrationError

FOLDER = re.compile(r"tx-(\d+)\.(draft|applying|applied|reverting|gone)")


@dataclass(frozen=True)
class Entry:
    """One file: SHA-256 of its content before and after, None where it does not exist."""

    path: str
    before: str | None
    after: str | None
    mode: int | None


@dataclass(frozen=True)
class Journal:
    """What a transaction changes. `made` are folders it creates, `emptied` (with modes) those it may leave empty, outermost first."""

    record: dict[str, Any]
    files: list[Entry]
    made: list[str]
    emptied: dict[str, int]

    def encode(self) -> bytes:
        return json.dumps(asdict(self), indent=1).encode("ascii")


@dataclass
class Transaction:
    home: Path
    number: int
    state: str

    @property
    def folder(self) -> Path:
        return self.home / f"tx-{self.number:04}.{self.state}"

    @property
    def path(self) -> Path:
        return self.folder / "journal.json"

    def new(self, i: int) -> Path:
        return self.folder / "new" / str(i)

    def old(self, i: int) -> Path:
        return self.folder / "old" / str(i)

    def beside(self, i: int) -> str:
        """The name of a temporary file next to the i-th target, where the target lies on another file system."""
        return f".migration-{self.number}-{i}"

    @cached_property
    def journal(self) -> Journal:
        """Raises MigrationError where the journal was damaged from outside."""
        try:
            data = json.loads(self.path.read_bytes())
            return Journal(data["record"], [Entry(**entry) for entry in data["files"]], data["made"], data["emptied"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise MigrationError(
                f"{self.path} cannot be read ({error}); a transaction always writes it whole, so it was damaged from outside. "
                f"The backups are in {self.folder / 'old'}; remove {self.folder} once you need them no more"
            ) from error


def transactions(home: Path, states: Iterable[str]) -> list[Transaction]:
    """The transactions of `home` in one of `states`, oldest first."""
    names = (FOLDER.fullmatch(entry.name) for entry in home.iterdir()) if home.is_dir() else ()
    found = [Transaction(home, int(name[1]), name[2]) for name in names if name and name[2] in states]
    return sorted(found, key=lambda tx: tx.number)
