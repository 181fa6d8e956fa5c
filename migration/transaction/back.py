"""From a transaction back to the tree before it. Every step may be interrupted, and all of it be run again."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress

from migration.errors import BadInput
from migration.transaction.change import File, clear_way, digest_of, look
from migration.transaction.journal import Entry, Transaction
from migration.transaction.site import Site, read


def edited_since(site: Site, tx: Transaction) -> dict[str, File]:
    """The files of `tx` that hold neither what it left nor what was there before. Raises BadInput where a link or folder took a file's place."""
    files = ((entry, look(site.root, entry.path)) for entry in tx.journal.files)
    return {
        entry.path: now for entry, now in files if now is not None and now.digest not in (entry.before, entry.after)
    }


def take_back(site: Site, tx: Transaction) -> dict[str, str]:
    """Put back what was there before `tx`. Returns the files left alone, with a sentence for each."""
    if tx.state == "applied":
        site.move(tx, "reverting")
    left = dict(_put_back(site, tx))
    site.sync(tx)
    try:
        site.move(tx, "gone")
    except OSError:
        if tx.state != "gone":  # only the sync failed: at worst the next command does all this again, to no effect
            raise
    return left


def _put_back(site: Site, tx: Transaction) -> Iterator[tuple[str, str]]:
    for folder, mode in tx.journal.emptied.items():
        with suppress(BadInput):  # what is in the way is told below, with the file's name
            if not clear_way(site.root, folder):
                site.disk.mkdir(site.root / folder, mode)
    for i, entry in enumerate(tx.journal.files):
        if entry.before is None or tx.old(i).exists():  # else it went into the tree before an interruption
            sentence = _put_back_one(site, tx, i, entry)
            if sentence:
                yield entry.path, sentence
    for folder in reversed(tx.journal.made):
        with suppress(BadInput):
            _remove_cache(site, folder)
            site.remove_if_empty(folder)


def _remove_cache(site: Site, folder: str) -> None:
    """Compiled files, where nothing else is left in a folder that the transaction made: they were made from what has gone."""
    cache = site.root / folder / "__pycache__"
    if not clear_way(site.root, folder) or [p.name for p in (site.root / folder).iterdir()] != ["__pycache__"]:
        return
    if cache.is_symlink() or not all(p.suffix == ".pyc" and p.is_file() for p in cache.iterdir()):
        return
    for compiled in sorted(cache.iterdir()):
        site.disk.unlink(compiled)
    site.disk.rmdir(cache)


def _put_back_one(site: Site, tx: Transaction, i: int, entry: Entry) -> str:
    """One file as it was, unless it holds an edit that is nowhere else; then a sentence."""
    target = site.root / entry.path
    try:
        now = look(site.root, entry.path)
    except BadInput as obstacle:
        return "" if tx.new(i).exists() else _left_alone(site, tx, i, entry, f" ({obstacle})")
    if os.path.lexists(target.with_name(tx.beside(i))):
        site.disk.unlink(target.with_name(tx.beside(i)))
    if tx.new(i).exists() and digest_of(now) != entry.after:
        return ""  # never replaced
    saved = site.aside("edited", tx, entry.path)
    if now is not None and now.digest not in (
        entry.before,
        entry.after,
        read(saved).digest if saved.is_file() else None,
    ):
        return _left_alone(site, tx, i, entry)
    if entry.before is None:
        if now is not None:
            site.disk.unlink(target)
    elif now is None or not now.same_as(read(tx.old(i))):
        site.place(tx.old(i), target, tx.beside(i))
    return ""


def _left_alone(site: Site, tx: Transaction, i: int, entry: Entry, why: str = "") -> str:
    kept = ""
    if entry.before is not None:
        former = site.aside("former", tx, entry.path)
        site.make_folder(former.parent)
        site.disk.replace(tx.old(i), former)
        kept = f"; what it held before is in {former}"
    return f"{entry.path} was left alone, it was changed in between{why}{kept}"
