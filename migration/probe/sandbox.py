"""What code may do while it is imported for a look: compute. Writing, deleting, starting programs and networking are refused.

The refusals are an audit hook (PEP 578), which cannot be taken out again. Making folders and writing files are, before that,
pretended, so that a module that makes its log folder on import can still be looked at.
"""

from __future__ import annotations

import builtins
import io
import os
import sys
from typing import Any

from migration.probe.standins import own_metaclasses_win

REFUSED = (
    "socket.",
    "subprocess.",
    "shutil.",
    "ctypes.",
    "pty.",
    "ftplib.",
    "smtplib.",
    "http.client.",
    "urllib.",
    "sqlite3.",
    "winreg.",
    "msvcrt.",
    "_winapi.",
)
REFUSED_OS = frozenset(
    [
        "remove",
        "rename",
        "rmdir",
        "mkdir",
        "link",
        "symlink",
        "truncate",
        "chmod",
        "chown",
        "chflags",
        "utime",
        "lockf",
        "setxattr",
        "removexattr",
        "kill",
        "killpg",
        "system",
        "exec",
        "posix_spawn",
        "spawn",
        "fork",
        "forkpty",
        "startfile",
    ]
)
HARMLESS = frozenset({"socket.gethostname", "sqlite3.enable_load_extension"})
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class Refused(PermissionError):
    """Code that is only being looked at tried to change something."""


def seal() -> list[str]:
    """Shut this process in, for good. What it then tries to do anyway is listed in the result."""
    tried: list[str] = []
    empty = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(empty, descriptor)
    _pretend()
    own_metaclasses_win()
    sys.dont_write_bytecode = True

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if _changes_something(event, arguments):
            tried.append(event)
            raise Refused(f"{event}{arguments[:1]!r} is refused while a module is only being looked at")

    sys.addaudithook(hook)
    return tried


def _changes_something(event: str, arguments: tuple[Any, ...]) -> bool:
    if event == "open":
        path, mode, flags = arguments
        writes = bool(isinstance(flags, int) and flags & WRITES) or (
            isinstance(mode, str) and any(c in mode for c in "wax+")
        )
        return writes and path != os.devnull
    if event in HARMLESS:
        return False
    return (
        event.startswith(REFUSED)
        or (event.startswith("os.") and event[3:] in REFUSED_OS)
        or event == "signal.pthread_kill"
    )


def _pretend() -> None:
    """Folders seem to be made, files seem to be written; pipes and devices, which no audit event covers, cannot be made."""
    real = builtins.open

    def pretend_open(file: Any, mode: str = "r", *arguments: Any, **named: Any) -> Any:
        if isinstance(mode, str) and not isinstance(file, int) and any(c in mode for c in "wax"):
            return real(os.devnull, mode.replace("x", "w"), *arguments, **named)
        return real(file, mode, *arguments, **named)

    def refuse(*arguments: Any, **_: Any) -> None:
        raise Refused(f"{arguments[:1]!r} cannot be made while a module is only being looked at")

    builtins.open = io.open = pretend_open
    for name in ("mkdir", "makedirs"):
        setattr(os, name, lambda *_, **__: None)
    for name in ("mkfifo", "mknod"):
        if hasattr(os, name):
            setattr(os, name, refuse)
