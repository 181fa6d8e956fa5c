"""Checkpoints: whole or not at all, and everything that goes on with a run is in them."""

from __future__ import annotations

import contextlib
import os
import random
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.plugins.io import TorchCheckpointIO

from visioncore.errors import SavingError
from visioncore.run.settings import Settings


class WholeFiles(TorchCheckpointIO):
    """Written beside its name, flushed to disk, and then renamed, so that under a name there is always a whole checkpoint."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Raises SavingError: the disk is full, the folder read-only."""
        target = Path(path)
        temporary = None
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
            with os.fdopen(handle, "wb") as file:
                torch.save(checkpoint, file)
                file.flush()
                os.fsync(file.fileno())
            umask = os.umask(0)
            os.umask(umask)
            os.chmod(temporary, 0o666 & ~umask)  # mkstemp's files are the owner's only
            os.replace(temporary, target)
        except (OSError, RuntimeError) as error:  # torch's zip writer has a RuntimeError for a full disk
            if temporary is not None:
                with contextlib.suppress(OSError):
                    os.unlink(temporary)
            raise SavingError(
                f"{target} cannot be written: {_reason(error)}; what was saved before is as it was"
            ) from error


class Generators(pl.Callback):
    """Keeps the states of the random generators, for networks with dropout: a resumed run draws what the killed one would have."""

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        state: Any = np.random.get_state(legacy=False)
        checkpoint["generators"] = {
            "torch": torch.get_rng_state(),
            "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
            "python": list(random.getstate()[1]),
            "numpy": {**state, "state": {"key": state["state"]["key"].tolist(), "pos": int(state["state"]["pos"])}},
        }

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        self._loaded = checkpoint.get("generators")

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        kept = self.__dict__.pop("_loaded", None)
        if kept is None:
            return
        torch.set_rng_state(kept["torch"].cpu())
        if len(kept["cuda"]) == torch.cuda.device_count() > 0:
            torch.cuda.set_rng_state_all([state.cpu() for state in kept["cuda"]])
        random.setstate((3, tuple(kept["python"]), None))
        state = kept["numpy"]
        np.random.set_state(
            {**state, "state": {**state["state"], "key": np.array(state["state"]["key"], dtype=np.uint32)}}
        )


def checkpoint_callback(settings: Settings) -> ModelCheckpoint:
    """The best three by `val_bps_overall`, and `last.ckpt`."""
    return ModelCheckpoint(
        dirpath=settings.folder,
        filename="{epoch:02d}-{val_bps_overall:.4f}",
        monitor="val_bps_overall",
        mode="max",
        save_top_k=3,
        save_last=True,
    )


def _reason(error: BaseException) -> str:
    return (
        os.strerror(error.errno) if isinstance(error, OSError) and error.errno else " ".join(str(error).split())[:200]
    )
