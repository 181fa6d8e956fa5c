"""Networks of one session."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from legacy.DataYatesV1.models.losses import PoissonBPSAggregator
from legacy.lightning.building import Builder, built
from legacy.lightning.common import Batch, Common, scores


class Core(Common):
    """`PLCoreVisionModel` but for the LightningModule behind it.

    A batch is a dict: `stim` (B, C, T, H, W), `robs` (B, N), perhaps `dfs` (B,), (B, 1) or (B, N) and `behavior` (B, K).
    Logs `train_loss`, `train_bps`, `val_loss`, `val_bps` (at least 0) and `aux_loss`.
    """

    def __init__(
        self,
        model_class: str | Builder | None = None,
        model_config: Mapping[str, Any] | None = None,
        model: nn.Module | None = None,
        optimizer: str = "AdamW",
        optim_kwargs: Mapping[str, Any] | None = None,
        eval_modules: Sequence[Any] | None = None,
        viz_n_epochs: int = 5,
        verbose: int = 1,
        accumulate_grad_batches: int = 1,
        cids: Sequence[int] | None = None,
        dataset_info: Mapping[str, Any] | None = None,
    ) -> None:
        """
        model: a network that is built already; or else `model_class(model_config)` is one
        optimizer: AdamW, Adam or SGD; optim_kwargs: by default lr 1e-3, weight_decay 1e-4
        eval_modules: objects with `wandb_logs(module)`, called every `viz_n_epochs` validations; not saved
        cids: the cells; accumulate_grad_batches, dataset_info: for the record
        """
        given = dict(locals())
        super().__init__()
        if model is None:
            if model_class is None or model_config is None:
                raise ValueError(
                    "model, or model_class and model_config, are expected: there is no network without them"
                )
            model = built(model_class, model_config)
        self.begin(model, given)
        self.cids = cids
        self.train_bps_agg, self.val_bps_agg = PoissonBPSAggregator(), PoissonBPSAggregator()

    def forward(self, batch: Batch) -> Batch:
        """Adds `rhat` (B, N), rates or log rates, and returns the batch. NaN in the stimulus become 0.

        A network that raises is told of on the terminal and gives rates of 1e-6, as it always was.
        """
        if torch.isnan(batch["stim"]).any():
            batch["stim"] = torch.nan_to_num(batch["stim"], nan=0.0)
        try:
            modulated = getattr(self.model, "modulator", None) is not None
            batch["rhat"] = self.model(batch["stim"], *([batch.get("behavior")] if modulated else []))
        except Exception as error:
            print(f"the network raised {type(error).__name__}: {error}")
            rates = torch.full_like(batch["robs"], 1e-6, dtype=torch.float32)
            batch["rhat"] = rates.requires_grad_(torch.is_grad_enabled())
        return batch

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The masked Poisson loss plus the auxiliary one. A NaN ends the training as Ctrl-C does, checkpoints and all."""
        batch = self(batch)
        loss: Tensor = self.loss_fn(batch)
        auxiliary = self.auxiliary_loss(batch)
        if auxiliary is not None:
            loss = loss + auxiliary
        if torch.isnan(loss):
            raise KeyboardInterrupt("the training loss is NaN")
        self.train_bps_agg(batch)
        self.log("train_loss", loss, on_step=True, on_epoch=True, prog_bar=True, batch_size=len(batch["robs"]))
        return loss

    def on_train_epoch_end(self) -> None:
        cells = scores(self.train_bps_agg)
        if cells is not None:
            self.log("train_bps", cells.mean(), prog_bar=True)

    def validation_step(self, batch: Batch, batch_idx: int) -> Tensor:
        batch = self(batch)
        loss: Tensor = self.loss_fn(batch)
        self.val_bps_agg(batch)
        self.log("val_loss", loss, on_step=False, on_epoch=True, prog_bar=True, batch_size=len(batch["robs"]))
        return loss

    def on_validation_epoch_end(self) -> None:
        cells = scores(self.val_bps_agg)
        if cells is not None:
            self.log("val_bps", cells.mean().clamp(min=0.0), prog_bar=True)
            self.show()
