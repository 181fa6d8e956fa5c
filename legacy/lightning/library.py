"""`import lightning` where the folder `legacy` is on the path and so this package answers to that name."""

from __future__ import annotations

import os
import sys
from importlib.machinery import PathFinder
from importlib.util import module_from_spec


def take_place(own: str) -> None:
    """Puts the library into `sys.modules` as "lightning". Raises ModuleNotFoundError where it is not installed."""
    above = os.path.realpath(os.path.dirname(own))
    spec = PathFinder.find_spec("lightning", [entry for entry in sys.path if os.path.realpath(entry) != above])
    if spec is None or spec.loader is None:
        raise ModuleNotFoundError("No module named 'lightning'", name="lightning")
    library = sys.modules["lightning"] = module_from_spec(spec)
    spec.loader.exec_module(library)
