"""A machine without wandb trains all the same: what a script tells its tracker is heard by the recorder, and goes nowhere else."""

from __future__ import annotations

import importlib
from importlib.util import find_spec
from typing import Any

from regression.launch import lightnings


def stand_in_for_wandb() -> bool:
    """Where wandb is not installed, Lightning's WandbLogger becomes one that keeps nothing. Whether it did."""
    if find_spec("wandb") is not None:
        return False
    for package in lightnings():
        loggers: Any = importlib.import_module(f"{package.__name__}.loggers")
        dummy = importlib.import_module(f"{package.__name__}.loggers.logger").DummyLogger
        loggers.WandbLogger = _deaf(dummy)
    return True


def _deaf(dummy: Any) -> Any:
    class WandbLogger(dummy):  # type: ignore[misc]
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__()

    return WandbLogger
