"""The lab's older LightningModules, `PLCoreVisionModel` and `MultiDatasetPLCore`, for their checkpoints and for training on.

Lightning comes under two names, and a Trainer of one refuses modules of the other. The classes here are those of the name that the
program has imported, `pytorch_lightning` where it has both or none; `legacy.lightning.of_lightning` and `.of_pytorch_lightning` have either.
By their old paths (`legacy.install`) they are `lightning`'s where it has none, as they always were.
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from legacy.lightning.of_pytorch_lightning import MultiDatasetPLCore, PLCoreVisionModel

__all__ = ["MultiDatasetPLCore", "PLCoreVisionModel"]

if __name__ == "lightning":  # the folder above is on the path itself, for DataYatesV1: the library is meant, not this
    from legacy.lightning.library import take_place

    take_place(__path__[0])


def classes(namespace: str | None = None, first: str = "pytorch_lightning") -> ModuleType:
    """The module with the two classes under "lightning" or "pytorch_lightning", by default as above, with `first` where none is imported.

    Raises ModuleNotFoundError where neither is installed, ValueError for another name.
    """
    if namespace is None:
        known = ("pytorch_lightning", "lightning.pytorch")
        imported = [name for name in known if name in sys.modules]
        installed = [name for name in known if find_spec(name.partition(".")[0])]
        installed.sort(key=lambda name: not name.startswith(first))
        namespace = (imported or installed or known[:1])[0].partition(".")[0]
    if namespace not in ("lightning", "pytorch_lightning"):
        raise ValueError(f"namespace {namespace!r}: 'lightning' or 'pytorch_lightning' is expected")
    return import_module(f"legacy.lightning.of_{namespace}")


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(classes(), name)
