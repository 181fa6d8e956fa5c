"""Names that live somewhere else now: the table of `moved.toml`."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from legacy.checkpoint.names import OLD_ROOTS
from legacy.checkpoint.records import Global

_SCRIPT = "train_ddp_multidataset"


@cache
def table() -> Mapping[str, str]:
    """The new name, as module:name, by the old one."""
    rows = tomllib.loads(Path(__file__).with_name("moved.toml").read_text(encoding="utf-8"))["moved"]
    return {row["from"]: row["to"] for row in rows}


def new_name(name: Global) -> str:
    """Where the class or function lives now, as module:name; the name it had where nothing is known of it."""
    module = name.module.removeprefix("DataYatesV1.").removeprefix("training.").removeprefix("jake.multidataset_ddp.")
    if module == "__main__":  # the script that was run
        module = _SCRIPT
    found = table().get(f"{module}.{name.name}")
    if found is None and name.module.partition(".")[0] in OLD_ROOTS:  # a re-export: the last name is telling enough
        tails = {new for old, new in table().items() if old.rpartition(".")[2] == name.name}
        found = tails.pop() if len(tails) == 1 else None
    return found or f"{name.module}:{name.name}"
