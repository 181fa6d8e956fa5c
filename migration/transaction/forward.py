"""From the planned changes to the tree: first everything beside it, then file by file into it."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from typing import Any

from migration.errors import BadInput
from migration.transaction.change import Change, File, checked, clear_way, digest, digest_of, folders_above, look
from migration.transaction.journal import Entry, Journal, Transaction
from migration.transaction.site import Site


def write_ahead(site: Site, tx: Transaction, changes: list[Change], record: dict[str, Any]) -> None:
    """Put contents to come, backups and journal on the disk; the tree is only read.

    Raises BadInput where a file is not what the change expects, or a link or a folder is in the way.
    """
    files = [look(site.root, checked(change.path)) for change in changes]
    for change, now in zip(changes, files, strict=True):
        expected = None if change.before is None else digest(change.before)
        _expect(change.path, now, expected, change.mode_before)
    tx.journal = _journal(site, changes, files, record)
    journal = tx.journal.encode()
    for folder in (tx.folder, tx.folder / "old", tx.folder / "new"):
        site.disk.mkdir(folder)
    for i, (change, now) in enumerate(zip(changes, files, strict=True)):
        if now is not None:
            site.disk.write(tx.old(i), now.content, now.mode, now.status, times=True)
        if change.after is not None:
            mode = change.mode_after if change.mode_after is not None else now.mode if now else 0o644
            site.disk.write(tx.new(i), change.after, mode, now.status if now else None)
    site.disk.write(tx.path, journal, 0o644)
    for folder in (tx.folder / "old", tx.folder / "new", tx.folder):
        site.disk.sync(folder)
    site.move(tx, "applying")


def carry_out(site: Site, tx: Transaction) -> None:
    """Change the tree. Each file is looked at once more right before it is replaced; raises BadInput where it was edited."""
    for folder in tx.journal.made:
        clear_way(site.root, folder)
        with suppress(FileExistsError):  # somebody else has just made it; a file of that name shows below
            site.disk.mkdir(site.root / folder)
    for i, entry in enumerate(tx.journal.files):
        _expect(entry.path, look(site.root, entry.path), entry.before, entry.mode)
        if entry.after is None:
            site.disk.unlink(site.root / entry.path)
        else:
            site.place(tx.new(i), site.root / entry.path, tx.beside(i))
    for folder in reversed(tx.journal.emptied):
        site.remove_if_empty(folder)
    site.sync(tx)


def _journal(site: Site, changes: list[Change], files: list[File | None], record: dict[str, Any]) -> Journal:
    entries = [
        Entry(
            change.path,
            digest_of(now),
            None if change.after is None else digest(change.after),
            now.mode if now else None,
        )
        for change, now in zip(changes, files, strict=True)
    ]
    filled = dict.fromkeys(folder for entry in entries if entry.after for folder in folders_above(entry.path))
    left = dict.fromkeys(folder for entry in entries if entry.after is None for folder in folders_above(entry.path))
    made = [folder for folder in filled if not os.path.lexists(site.root / folder)]
    emptied = {folder: stat.S_IMODE(os.lstat(site.root / folder).st_mode) for folder in left if folder not in filled}
    return Journal(record, entries, made, emptied)


def _expect(path: str, now: File | None, expected: str | None, mode: int | None) -> None:
    if digest_of(now) != expected or (now is not None and mode not in (None, now.mode)):
        raise BadInput(f"{path} was changed since the migration was planned; plan again to take that edit into account")
