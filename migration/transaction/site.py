"""The repository, its state folder and the disk below both: the single steps that going forward and going back are made of."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from migration.errors import BadInput
from migration.transaction.change import File, clear_way
from migration.transaction.disk import Disk
from migration.transaction.journal import Transaction, transactions

LEFT_IN_PLACE = (errno.ENOTEMPTY, errno.EEXIST, errno.EBUSY)


@dataclass(frozen=True)
class Site:
    root: Path
    home: Path
    disk: Disk

    def exists(self) -> bool:
        """Whether there is a state folder. Raises BadInput where something else has its name."""
        try:
            mode = os.lstat(self.home).st_mode
        except FileNotFoundError:
            return False
        if not stat.S_ISDIR(mode):
            kind = "a symbolic link" if stat.S_ISLNK(mode) else "a file"
            raise BadInput(
                f"{self.home} is {kind}, a folder was expected: the migration keeps its backups there; move it out of the way"
            )
        return True

    def move(self, tx: Transaction, state: str) -> None:
        """Go to the next state."""
        self.disk.replace(tx.folder, Transaction(tx.home, tx.number, state).folder)
        tx.state = state
        self.disk.sync(self.home)

    def place(self, source: Path, target: Path, beside: str) -> None:
        """Rename `source` over `target`; across file systems by way of `beside`, which going back knows how to find."""
        try:
            self.disk.replace(source, target)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            file = read(source)
            self.disk.write(target.with_name(beside), file.content, file.mode, file.status, times=True)
            self.disk.replace(target.with_name(beside), target)
            self.disk.unlink(source)

    def remove_if_empty(self, folder: str) -> None:
        if clear_way(self.root, folder) and not any((self.root / folder).iterdir()):
            try:
                self.disk.rmdir(self.root / folder)
            except OSError as error:
                if error.errno not in LEFT_IN_PLACE:
                    raise

    def aside(self, kind: str, tx: Transaction, path: str = "") -> Path:
        """Where contents are kept that belong neither to the tree nor to a transaction."""
        return self.home / kind / f"{tx.number:04}" / path

    def set_aside(self, file: File, place: Path) -> None:
        self.make_folder(place.parent)
        partial = place.with_name(place.name + ".partial")
        if partial.exists():
            self.disk.unlink(partial)
        self.disk.write(partial, file.content, file.mode, file.status, times=True)
        self.disk.replace(partial, place)
        self.disk.sync(place.parent)

    def make_folder(self, folder: Path) -> None:
        """A folder of the state folder, with its parents."""
        if not folder.is_dir():
            self.make_folder(folder.parent)
            self.disk.mkdir(folder)
            self.disk.sync(folder.parent)

    def sync(self, tx: Transaction) -> None:
        """Make every rename so far last, before the state says so."""
        journal = tx.journal
        touched = {
            PurePosixPath(name).parent
            for name in (*(entry.path for entry in journal.files), *journal.made, *journal.emptied)
        }
        for folder in sorted(touched):
            if (self.root / folder).is_dir():
                self.disk.sync(self.root / folder)

    def sweep(self) -> None:
        """Delete what is of no use any more. What cannot be deleted now is tried again by the next command."""
        for tx in transactions(self.home, ("draft", "gone")):
            with suppress(OSError):
                for folder, _, names in os.walk(tx.folder, topdown=False):
                    for name in names:
                        self.disk.unlink(Path(folder, name))
                    self.disk.rmdir(Path(folder))

    def next_number(self) -> int:
        """One that was never used, so that what is kept aside under it stays apart."""
        used = [tx.number for tx in transactions(self.home, ("draft", "applied", "gone"))]
        for kind in ("edited", "former"):
            with suppress(FileNotFoundError):
                used += [int(folder.name) for folder in (self.home / kind).iterdir() if folder.name.isdecimal()]
        return max(used, default=0) + 1


def read(path: Path) -> File:
    return File(path.read_bytes(), path.stat())
