"""What a recording does not know: NaN and infinity where nothing counts, as in a blink, and nowhere else."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import torch
from torch import Tensor

from visioncore.data.errors import DataError
from visioncore.data.recording import Recording

MEND = "mask such frames (as the filter valid_nlags does by dpi_valid), mend the recording, or leave its type out"


def bridged(recording: Recording, names: Collection[str], counts: Tensor) -> Recording:
    """Covariates `names` with a straight line through each gap: an op may look at other frames, or at all of them, and one NaN
    would be everywhere.

    counts: (T,) the frames that some sample is of. Raises DataError where one of these is in a gap. What is finite stays as it is.
    """
    mended = {}
    for name in names:
        value = recording.covariates.get(name)
        if value is None or not value.is_floating_point() or torch.isfinite(value).all():
            continue
        gap = ~torch.isfinite(value).reshape(len(value), -1)
        _refuse(name, gap.any(1) & counts, "where samples are taken", MEND)
        columns = value.reshape(len(value), -1).clone()
        for column, missing in zip(columns.T, gap.T.numpy(), strict=True):
            if missing.all():
                raise DataError(
                    f"{name} has a column without one finite value; mend the recording, or leave its type out"
                )
            known = np.flatnonzero(~missing)
            line = np.interp(np.flatnonzero(missing), known, column.double().numpy()[known])
            column[torch.from_numpy(missing)] = torch.from_numpy(line).to(column)
        mended[name] = columns.reshape(value.shape)
    return Recording({**recording.covariates, **mended}, recording.metadata)


def check_numbers(covariates: dict[str, Tensor], names: Collection[str], cids: Sequence[int]) -> None:
    """Raises DataError: spikes that are no counts where `dfs` counts them, or covariates that their ops have made infinite."""
    robs, counted = covariates["robs"], covariates["dfs"] > 0
    if "dfs" not in names:
        counted = counted.any(1, keepdim=True)  # samples without a mask: every cell counts in them
    bad = ~(torch.isfinite(robs) & (robs >= 0)) & counted
    if bad.any():
        frame, cell = (int(at) for at in bad.nonzero()[0])
        found = float(robs[frame, cell])
        raise DataError(
            f"robs is 0 spikes or more where dfs is above 0; {found:g} found for cell {cids[cell]}, first in frame {frame} "
            f"({int(bad.any(1).sum())} in all); mask what was not recorded, or leave the cell out of cids"
        )
    for name in set(names) - {"robs"}:
        value = covariates[name]
        # a stimulus may be gigabytes, and a mask of it another
        if value.is_floating_point() and value.numel() and not torch.stack(value.aminmax()).isfinite().all():
            wrong = ~torch.isfinite(value).reshape(len(value), -1).all(1)
            _refuse(name, wrong, "once its ops are done", "look at their arguments")


def _refuse(name: str, frames: Tensor, when: str, mend: str) -> None:
    if frames.any():
        first = int(frames.nonzero()[0])
        raise DataError(f"{name} is not finite {when}, first in frame {first} ({int(frames.sum())} in all); {mend}")
