"""What a perfect model would reach, and what it would have learnt."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile
from zlib import error as ZlibError

import numpy as np
from numpy.typing import NDArray

from visioncore.data.errors import DataError
from visioncore.data.synthetic.session import SyntheticSession

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Truth:
    """rates (T, N) by stimulus type; centres (N, 2) in pixels from the image's centre; kernels (N, lags); filters (N, 2, H, W)."""

    rates: dict[str, Array]
    centres: Array
    kernels: Array
    filters: Array


def save_truth(session: SyntheticSession, path: Path) -> None:
    """Next to the session's recordings, as `truth.npz`."""
    rates = {f"rates_{kind}": values for kind, values in session.rates.items()}
    cells = session.cells
    np.savez_compressed(path, centres=cells.centres, kernels=cells.kernels, filters=cells.filters, **rates)  # type: ignore[arg-type]


def load_truth(path: Path) -> Truth:
    """Raises FileNotFoundError; DataError: damaged, or another file of that name."""
    try:
        with np.load(path) as file:
            rates = {name.removeprefix("rates_"): file[name] for name in file.files if name.startswith("rates_")}
            return Truth(rates, file["centres"], file["kernels"], file["filters"])
    except FileNotFoundError:
        raise
    except KeyError as error:
        raise DataError(f"{path}: arrays centres, kernels and filters are expected; {error}") from error
    except (OSError, ValueError, TypeError, EOFError, BadZipFile, ZlibError) as error:
        raise DataError(f"{path} is damaged or no .npz file: {error}") from error
