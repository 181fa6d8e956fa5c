"""Networks of several sessions: a shared core, one readout a session."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from legacy.DataYatesV1.models.losses import PoissonBPSAggregator
from legacy.lightning.building import Builder, built
from legacy.lightning.common import Batch, Common, scores


class MultiDataset(Common):
    """`MultiDatasetPLCore` but for the LightningModule behind it.

    A batch is a dict from session name to a batch as `PLCoreVisionModel` takes it, in the order of the readouts. Logs `train_loss_{name}`,
    `train_loss_total`, `train_bps_dataset_{i}`, `train_bps_overall`, the same with `val_`, and `aux_loss`.
    """

    def __init__(
        self,
        model_class: str | Builder | None = None,
        model_config: Mapping[str, Any] | None = None,
        dataset_configs: Sequence[Mapping[str, Any]] | None = None,
        model: nn.Module | None = None,
        optimizer: str = "AdamW",
        optim_kwargs: Mapping[str, Any] | None = None,
        eval_modules: Sequence[Any] | None = None,
        viz_n_epochs: int = 5,
        verbose: int = 1,
        accumulate_grad_batches: int = 1,
        dataset_info: Mapping[str, Any] | None = None,
    ) -> None:
        """As `PLCoreVisionModel`; the network is `model_class(model_config, dataset_configs)`."""
        given = dict(locals())
        super().__init__()
        if model is None:
            if model_class is None or model_config is None or dataset_configs is None:
                raise ValueError("model, or model_class, model_config and dataset_configs, are expected")
            model = built(model_class, model_config, dataset_configs)
        self.begin(model, given)
        self.dataset_configs = list(dataset_configs or [])
        readouts: Any = getattr(model, "readouts", ())
        self.n_datasets = len(self.dataset_configs) or len(readouts)
        self.train_bps_aggs = [PoissonBPSAggregator() for _ in range(self.n_datasets)]
        self.val_bps_aggs = [PoissonBPSAggregator() for _ in range(self.n_datasets)]

    def forward(self, batch: Batch, dataset_idx: int = 0) -> Batch:
        """Adds `rhat` (B, N) to the batch of one session and returns it."""
        batch["rhat"] = self.model(batch["stim"], dataset_idx, batch.get("behavior"))
        return batch

    def training_step(self, batches: dict[str, Any], batch_idx: int) -> Tensor:
        """Mean of the sessions' losses, plus the auxiliary loss of the last one."""
        total, batch = self._total(batches, "train", self.train_bps_aggs)
        auxiliary = self.auxiliary_loss(batch)
        if auxiliary is not None:
            total = total + auxiliary
        self.log("train_loss_total", total, on_step=True, on_epoch=True, prog_bar=True, batch_size=len(batch["robs"]))
        return total

    def validation_step(self, batches: dict[str, Any], batch_idx: int) -> Tensor:
        total, batch = self._total(batches, "val", self.val_bps_aggs)
        self.log("val_loss_total", total, on_step=False, on_epoch=True, prog_bar=True, batch_size=len(batch["robs"]))
        return total

    def on_train_epoch_end(self) -> None:
        self._log_scores(self.train_bps_aggs, "train")

    def on_validation_epoch_end(self) -> None:
        if self._log_scores(self.val_bps_aggs, "val"):
            self.show()

    def _total(
        self, batches: dict[str, Any], tag: str, aggregators: list[PoissonBPSAggregator]
    ) -> tuple[Tensor, Batch]:
        """The sessions' losses summed over their number, and the last session's batch."""
        if "stim" in batches:  # the loader of a single session gives its batch bare
            batches = {"dataset_0": batches}
        total: Tensor | float = 0.0
        batch: Batch = {}
        for index, (name, each) in enumerate(batches.items()):
            batch = self(each, index)
            if tag == "val":
                batch["rhat"] = torch.clamp(batch["rhat"], min=1e-4)
            loss = self.loss_fn(batch)
            total = total + loss
            aggregators[index](batch)
            self.log(f"{tag}_loss_{name}", loss, on_step=False, on_epoch=True, batch_size=len(batch["robs"]))
        if not isinstance(total, Tensor):
            raise ValueError("a batch with no session in it: a dict from session names to batches is expected")
        return total / self.n_datasets, batch

    def _log_scores(self, aggregators: list[PoissonBPSAggregator], tag: str) -> bool:
        every: list[Tensor] = []
        for index, aggregator in enumerate(aggregators):
            cells = scores(aggregator)
            if cells is not None:
                self.log(f"{tag}_bps_dataset_{index}", cells.mean())
                every.append(cells)
        if every:
            self.log(f"{tag}_bps_overall", torch.cat(every).mean(), prog_bar=tag == "val")
        return bool(every)
