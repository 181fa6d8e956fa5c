"""Failures as sentences, with an exit status."""

from __future__ import annotations

import contextlib
import math
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass

from visioncore.errors import TrainingError
from visioncore.run.settings import Settings


@dataclass
class Outcome:
    status: int = 0


@contextlib.contextmanager
def told() -> Iterator[Outcome]:
    """What goes wrong inside is told on stderr: 2 for what the user gave (settings, configs, sessions), 1 for what came later.

    What is no input's fault keeps its traceback. VISIONCORE_TRACEBACK=1 gives every failure's. A run that is told to stop
    (SIGTERM, as `timeout` and clusters send) has failed: Lightning alone would leave with 0.
    """
    outcome = Outcome()
    try:
        yield outcome
    except SystemExit as stopped:
        if type(stopped).__name__ != "SIGTERMException":
            raise
        outcome.status = 1
        print("visioncore.train: stopped by SIGTERM; --resume auto goes on from the last whole epoch", file=sys.stderr)
    except Exception as error:
        ours = isinstance(error, TrainingError) or (isinstance(error, ValueError) and _raised_here(error))
        if not (ours or _is_lightnings(error)) or "VISIONCORE_TRACEBACK" in os.environ:
            raise
        outcome.status = 1 if isinstance(error, TrainingError) else 2
        print(f"visioncore.train: {error}", file=sys.stderr)


def learnt(bits: float | None, settings: Settings) -> float | None:
    """The run's score. Raises TrainingError where it is NaN, unless that is asked for: the old trainer's score may be (Q13)."""
    if bits is not None and math.isnan(bits) and not settings.quirks.pooled_bps:
        raise TrainingError(
            f"the network's rates are no numbers any more: a learning_rate below {settings.learning_rate:g} is expected, "
            f"or sessions without NaN; the best checkpoints in {settings.folder} are from before"
        )
    return bits


def _is_lightnings(error: Exception) -> bool:
    """Whether Lightning says that it was asked for what cannot be. Lightning takes seconds to load, and is not loaded to tell."""
    loaded = sys.modules.get("lightning_fabric.utilities.exceptions")
    return loaded is not None and isinstance(error, loaded.MisconfigurationException)


def _raised_here(error: BaseException) -> bool:
    """Whether one of our checks raised it: a ValueError out of a library is no sentence to a person."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and str(trace.tb_frame.f_globals.get("__name__", "")).startswith("visioncore")
