"""What Lightning says that is no news to whoever runs this command."""

from __future__ import annotations

import logging
import warnings

# about how this project is written, not about the run
WARNINGS = (
    r".*isinstance\(treespec, LeafSpec\).* is deprecated",
    r"The number of training batches .* is smaller than the logging interval",
    r".*does not have many workers which may be a bottleneck",  # gathering in the training process is the fast way
    r"Checkpoint directory .* exists and is not empty",  # a resumed run's is
    r"It is recommended to use .*sync_dist=True",  # rank 0 alone logs them
)
MESSAGES = ("Tip:", "GPU available:", "TPU available:", "`Trainer(")


def hush() -> None:
    """Leave these out, and all else as it is."""
    for pattern in WARNINGS:
        warnings.filterwarnings("ignore", message=pattern)
    for name in ("pytorch_lightning.utilities.rank_zero", "lightning_fabric.utilities.rank_zero"):
        logging.getLogger(name).addFilter(_is_news)


def _is_news(record: logging.LogRecord) -> bool:
    return not any(part in record.getMessage()[:30] for part in MESSAGES)
