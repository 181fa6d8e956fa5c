"""The counts that Lightning 2.x keeps of a run, after a number of whole epochs."""

from __future__ import annotations

from typing import Any


def progress(current: int, total: int | None = None, *, wide: bool = False) -> dict[str, dict[str, int]]:
    """One tracker: how many were ready and completed, and with `wide` started and processed, since the epoch's start and ever."""
    names = ("ready", "completed", "started", "processed") if wide else ("ready", "completed")
    return {
        "total": dict.fromkeys(names, current if total is None else total),
        "current": dict.fromkeys(names, current),
    }


def finished_epochs(epochs: int, steps: int, *, scheduled: bool) -> dict[str, Any]:
    """The fit loop's state after `epochs` epochs with `steps` steps in all, as 2.x saves it once training has ended."""
    last = steps // epochs if epochs else 0
    per_epoch = min(epochs, 1) if scheduled else 0
    return {
        "state_dict": {},
        "epoch_loop.state_dict": {"_batches_that_stepped": steps},
        "epoch_loop.batch_progress": {**progress(last, steps, wide=True), "is_last_batch": epochs > 0},
        "epoch_loop.scheduler_progress": progress(per_epoch, epochs if scheduled else 0),
        "epoch_loop.automatic_optimization.state_dict": {},
        "epoch_loop.automatic_optimization.optim_progress": {
            "optimizer": {
                "step": progress(last, steps),
                "zero_grad": {
                    scope: {"ready": count, "completed": count, "started": count}
                    for scope, count in (("total", steps), ("current", last))
                },
            }
        },
        "epoch_loop.manual_optimization.state_dict": {},
        "epoch_loop.manual_optimization.optim_step_progress": progress(last, steps),
        "epoch_loop.val_loop.state_dict": {},
        "epoch_loop.val_loop.batch_progress": {**progress(0, wide=True), "is_last_batch": False},
        "epoch_progress": progress(epochs, wide=True),
    }
