"""What the two modules share."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from legacy.DataYatesV1.models.losses import MaskedLoss, PoissonBPSAggregator
from legacy.lightning.building import named, recorded

if TYPE_CHECKING:
    from pytorch_lightning import LightningModule as Base
else:
    Base = object  # the LightningModule of one namespace or the other comes behind it

OPTIMIZERS = ("AdamW", "Adam", "SGD")
Batch = dict[str, Any]


class Common(Base):
    """Loss, scores, optimiser, and hyper-parameters that load with `weights_only=True`."""

    model: nn.Module
    optim_kwargs: dict[str, Any]

    def begin(self, network: nn.Module, given: Mapping[str, Any]) -> None:
        """Keeps the network and the arguments of `__init__`. Raises ValueError for an optimiser that is not known."""
        if given["optimizer"] not in OPTIMIZERS:
            raise ValueError(f"optimizer {given['optimizer']!r} is unknown: {', '.join(OPTIMIZERS)} are expected")
        self.model = network
        self.optimizer = given["optimizer"]
        self.optim_kwargs = dict(given["optim_kwargs"] or {"lr": 1e-3, "weight_decay": 1e-4})
        self.eval_modules = list(given["eval_modules"] or [])
        self.viz_n_epochs, self.verbose = given["viz_n_epochs"], given["verbose"]
        self.accumulate_grad_batches = given["accumulate_grad_batches"]
        self.model_config, self.dataset_info = given["model_config"], given["dataset_info"]
        self.log_input = isinstance(getattr(network, "activation", None), nn.Identity)
        self.loss_fn = MaskedLoss(nn.PoissonNLLLoss(log_input=self.log_input, full=False, reduction="none"))
        kept = {name: value for name, value in given.items() if name not in ("self", "model", "__class__")}
        kept["model_class"] = named(given["model_class"])
        kept["model_config"] = recorded(given["model_config"], network)
        kept["eval_modules"] = None if given["eval_modules"] is None else []  # live objects: not for a checkpoint
        self.save_hyperparameters(copy.deepcopy(kept))

    def auxiliary_loss(self, batch: Batch) -> Tensor | None:
        """`lambda_pred` · mean squared prediction error of a predictive-coding modulator; None for other networks."""
        error = getattr(getattr(self.model, "modulator", None), "pred_err", None)
        if error is None:
            return None
        auxiliary: Tensor = (self.model_config or {}).get("lambda_pred", 0.1) * error.pow(2).mean()
        self.log("aux_loss", auxiliary.detach(), on_step=True, on_epoch=True, batch_size=len(batch["robs"]))
        return auxiliary

    def show(self) -> None:
        """Every `viz_n_epochs` validations: what the evaluation modules draw."""
        if self.viz_n_epochs and self.current_epoch % self.viz_n_epochs == 0 and not self.trainer.sanity_checking:
            for module in self.eval_modules:
                module.wandb_logs(self)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        made: torch.optim.Optimizer = getattr(torch.optim, self.optimizer)(self.parameters(), **self.optim_kwargs)
        return made


def scores(aggregator: PoissonBPSAggregator) -> Tensor | None:
    """(cells,) bits per spike of an epoch, cells without a valid sample left out; None where nothing is left. Begins anew."""
    bps = aggregator.closure()
    aggregator.reset()
    if bps is None:
        return None
    cells = bps.reshape(-1)
    cells = cells[~torch.isnan(cells)]
    return cells if len(cells) else None
