"""Looking at a tree by importing it, in a fresh process that can change nothing, with stand-ins for what is not installed.

Linters pass trees that cannot be imported: cycles and shadowing show only when Python itself goes through the door.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class Door:
    """One way of coming into the tree. `entries` are the repository's folders on `sys.path`, in order.

    `module` imports `name`. `script` runs `path` as `__main__`, without what its main guard holds. `statements` runs only `code`, as if it
    stood in `path`: for scripts that do their work at module level and must not be run.
    """

    kind: Literal["module", "script", "statements"]
    name: str = ""
    path: str = ""
    entries: tuple[str, ...] = (".",)
    code: str = ""
    package: str = ""
    cwd: str = "."


@dataclass(frozen=True)
class DoorResult:
    """What came of it. `chain` is the way through the tree to the error; `ran` counts module-level statements by
    (path, line, column), in the order of their first run; `limitation` means that the error may be the stand-ins' or the sandbox's.
    """

    door: Door
    ok: bool
    error: str = ""
    message: str = ""
    chain: list[tuple[str, int]] = field(default_factory=list)
    limitation: bool = False
    loaded: list[str] = field(default_factory=list)
    standins: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    ran: dict[tuple[str, int, int], int] = field(default_factory=dict)

    @property
    def why(self) -> str:
        """The error in one line, with the files it came through."""
        steps = list(dict.fromkeys(f"{path}:{line}" for path, line in self.chain))
        return f"{self.error}: {self.message}" + (f" ({' → '.join(steps)})" if steps else "")
