"""Dictionary keys and set members from a file: hashing and comparing them must not be made to take for ever.

Python hashes a tuple by walking it, shared parts as often as they occur, and without a limit on depth; and only the hashes of
strings and bytes are salted. So keys that cost more than a look are walked first, and counted.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from legacy.checkpoint.errors import Damaged, Refused
from legacy.checkpoint.records import Call, Global, Storage

COSTLY: Final = (
    4_000  # parts of compound keys, and very large numbers, in one file: all of one hash, they take a second
)
_CHEAP: Final = frozenset({str, bytes, bool, float, type(None), Global, Call, Storage})
_LARGE: Final = 1 << 60  # from here on integers can be chosen to have one hash


class Keys:
    """The budget of one file."""

    def __init__(self) -> None:
        self._left = COSTLY

    def check(self, key: object) -> None:
        """Raises `Damaged` for a key that cannot be one, `Refused` where the file's keys cost too much."""
        if type(key) in _CHEAP or (type(key) is int and -_LARGE < key < _LARGE):
            return
        todo = [key]
        while todo:
            part = todo.pop()
            self._left -= 1
            if type(part) is tuple or type(part) is frozenset:
                if len(part) > self._left:
                    self._left = -1
                else:
                    todo.extend(part)
            elif type(part) not in _CHEAP and type(part) is not int and type(part) is not complex:
                raise Damaged(f"a {type(part).__name__} stands where only a dictionary's key or a set's member can")
            if self._left < 0:
                raise Refused(
                    f"the keys of its dictionaries and sets have over {COSTLY:,} parts: no checkpoint needs them"
                )

    def check_all(self, keys: Iterable[object]) -> None:
        for key in keys:
            if type(key) is not str:
                self.check(key)
