"""The state folder `.migration/` of a repository: who is at work, what was applied, forward and back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from migration.errors import BadInput, DecisionNeeded, MigrationError
from migration.transaction import git
from migration.transaction.back import edited_since, take_back
from migration.transaction.change import Change, digest_of, look
from migration.transaction.disk import Disk
from migration.transaction.forward import carry_out, write_ahead
from migration.transaction.journal import Transaction, transactions
from migration.transaction.lock import exclusive
from migration.transaction.site import Site

HOME = ".migration"


class Store:
    """The transactions of the repository at `root`. `notes` are sentences about the last rollback that a person should see."""

    def __init__(self, root: Path, disk: Disk | None = None) -> None:
        self.root = root.resolve()
        self.home = self.root / HOME
        self.notes: list[str] = []
        self._site = Site(self.root, self.home, disk or Disk())
        self._held = False

    @contextmanager
    def locked(self, wait: float = 0) -> Iterator[None]:
        """Keep other migrations out of this repository. Raises MigrationError where one is at work for longer than `wait` seconds."""
        if self._held:
            yield
            return
        if not self._site.exists():
            try:
                with suppress(FileExistsError):
                    self._site.disk.mkdir(self.home)
            except OSError as error:
                raise BadInput(
                    f"{self.home} cannot be created ({error.strerror}); the migration keeps its backups there"
                ) from error
        with exclusive(self.home / "lock", wait):
            self._held = True
            try:
                git.exclude(self.root, HOME)
                yield
            finally:
                self._held = False

    def history(self) -> list[dict[str, Any]]:
        """The records of what is applied and not rolled back, oldest first."""
        return [tx.journal.record for tx in self._applied()]

    def before(self, n: int = -1) -> dict[str, bytes | None]:
        """What the files of the n-th entry of `history` held before it; None where a file did not exist. Raises BadInput."""
        applied = self._applied()
        if not -len(applied) <= n < len(applied):
            raise BadInput(f"{self.root} has {len(applied)} applied migrations; there is none with the index {n}")
        tx = applied[n]
        return {
            entry.path: tx.old(i).read_bytes() if entry.before else None for i, entry in enumerate(tx.journal.files)
        }

    def conflicts(self, changes: Iterable[Change]) -> list[str]:
        """Files to be changed that hold edits git has not committed, other than those our own last apply made. Raises MigrationError."""
        left_by_us = {entry.path: entry.after for tx in self._applied() for entry in tx.journal.files}
        dirty = git.uncommitted(self.root, [change.path for change in changes])
        return [
            path for path in dirty if path not in left_by_us or digest_of(look(self.root, path)) != left_by_us[path]
        ]

    def apply(self, changes: Iterable[Change], record: dict[str, Any]) -> None:
        """Carry out all of `changes`, or none.

        Raises BadInput where a file is not what it was when the change was planned, or a link or a folder is in the way, and
        MigrationError where the disk refuses. The tree is then as it was.
        """
        ordered = sorted((change for change in changes if change.real), key=lambda change: change.path)
        if not ordered:
            return
        with self.locked():
            self.recover()
            tx = Transaction(self.home, self._site.next_number(), "draft")
            try:
                write_ahead(self._site, tx, ordered, record)
                carry_out(self._site, tx)
                self._site.move(tx, "applied")
            except BadInput as error:
                raise BadInput(f"{error}; {self._undo(tx)}") from error
            except OSError as error:
                raise MigrationError(f"{_in_words(error)}; {self._undo(tx)}") from error
            except BaseException:
                self._undo(tx)
                raise

    def recover(self) -> str | None:
        """Take back an interrupted apply, or finish an interrupted rollback; says which in a sentence. None where nothing was interrupted."""
        if not self._site.exists() or not transactions(self.home, ("draft", "applying", "reverting", "gone")):
            return None
        with self.locked():
            sentences = []
            for tx in self._interrupted():
                what = (
                    "An interrupted rollback was finished"
                    if tx.state == "reverting"
                    else "An interrupted apply was taken back"
                )
                left = self._take_back(tx)
                sentences += [f"{what}; files as they were before: {len(tx.journal.files) - len(left)}", *left.values()]
            self._site.sweep()
            return ". ".join(sentences) or None

    def rollback(self, save_edits: bool = False) -> list[str]:
        """Go back to before the last apply, or all the way back where that was interrupted; returns the paths put back.

        Raises DecisionNeeded where files were edited since, unless `save_edits`: the edits are then kept in a folder that `notes` names.
        """
        self.notes = []
        if not self._site.exists():
            return []
        with self.locked():
            candidates = self._interrupted() or self._applied()
            if not candidates:
                return []
            tx = candidates[-1]
            if tx.state == "applied":
                self._keep_edits(tx, save_edits)
            left = self._take_back(tx)
            self._site.sweep()
            self.notes += left.values()
            return [entry.path for entry in tx.journal.files if entry.path not in left]

    def _keep_edits(self, tx: Transaction, save: bool) -> None:
        edited, folder = edited_since(self._site, tx), self._site.aside("edited", tx)
        if not edited:
            return
        if not save:
            raise DecisionNeeded(
                f"edited since the apply: {', '.join(edited)}; going back would lose that and was not begun. "
                f"Commit the edits or copy them away, or have them kept in {folder}"
            )
        try:
            for path, file in edited.items():
                self._site.set_aside(file, folder / path)
        except OSError as error:
            raise MigrationError(f"{_in_words(error)}; the rollback was not begun, the tree is unchanged") from error
        self.notes.append(f"Edited since the apply, the edits are kept in {folder}: {', '.join(edited)}")

    def _take_back(self, tx: Transaction) -> dict[str, str]:
        try:
            return take_back(self._site, tx)
        except OSError as error:
            raise MigrationError(
                f"going back stopped half-way: {_in_words(error)}. Nothing is lost, the backups are in {tx.folder}; "
                "see to the cause, then the next migration command here goes on with it"
            ) from error

    def _undo(self, tx: Transaction) -> str:
        """Take back an apply that failed; the end of the sentence that reports it."""
        try:
            left = self._take_back(tx) if tx.state != "draft" else {}
        except MigrationError as error:
            return str(error)
        self._site.sweep()
        return ". ".join(["nothing was applied, the tree is as it was", *left.values()])

    def _applied(self) -> list[Transaction]:
        return transactions(self.home, ("applied",)) if self._site.exists() else []

    def _interrupted(self) -> list[Transaction]:
        return transactions(self.home, ("applying", "reverting"))


def _in_words(error: OSError) -> str:
    file = error.filename2 or error.filename
    return f"{f'{file}: ' if file else ''}{error.strerror or error}"
