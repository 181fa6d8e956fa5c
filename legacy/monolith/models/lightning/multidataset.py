"""
Lightning module for a shared core with one readout per session.

The first multi-session version: a batch holds one batch of every session.
"""
import os

import lightning as pl
import torch
import torch.nn as nn

from ..losses import MaskedLoss, PoissonBPSAggregator


class MultiDatasetPLCore(pl.LightningModule):
    """
    Trains one network on several sessions.

    The arguments are those of PLCoreVisionModel, plus

    dataset_configs : list of dict
        one per session, in the order of the readouts; the network is
        model_class(model_config, dataset_configs)
    """
    def __init__(self, model_class=None, model_config=None, dataset_configs=None, model=None,
                 optimizer="AdamW", optim_kwargs=None, eval_modules=None,
                 viz_n_epochs=5, verbose=1, accumulate_grad_batches=1, dataset_info=None):
        super().__init__()

        if model is not None:
            self.model = model
            self.save_hyperparameters(ignore=["model"])
        elif model_class is not None and model_config is not None \
                and dataset_configs is not None:
            self.model = model_class(model_config, dataset_configs)
            self.save_hyperparameters()
        else:
            raise ValueError("give either model, or model_class, model_config and dataset_configs")

        self.optimizer       = optimizer
        self.optim_kwargs    = optim_kwargs or {"lr": 1e-3, "weight_decay": 1e-4}
        self.eval_modules    = eval_modules or []
        self.viz_n_epochs    = viz_n_epochs
        self.verbose         = verbose
        self.accumulate_grad_batches = accumulate_grad_batches
        self.dataset_info    = dataset_info
        self.model_config    = model_config
        self.dataset_configs = dataset_configs or []
        self.n_datasets      = len(self.dataset_configs) or len(self.model.readouts)

        self.log_input = isinstance(self.model.activation, nn.Identity)
        self.loss_fn = MaskedLoss(nn.PoissonNLLLoss(log_input=self.log_input,
                                                    full=False, reduction="none"))
        self.reg_terms = []        # not used yet
        self.train_bps_aggs = [PoissonBPSAggregator() for _ in range(self.n_datasets)]
        self.val_bps_aggs   = [PoissonBPSAggregator() for _ in range(self.n_datasets)]

    # ---------------------------------------------------------------- #
    def forward(self, batch, dataset_idx=0):
        """Adds rhat (B, N) to the batch of one session and returns it."""
        batch["rhat"] = self.model(batch["stim"], dataset_idx, batch.get("behavior"))
        return batch

    def _auxiliary_loss(self, batch):
        err = getattr(getattr(self.model, "modulator", None), "pred_err", None)
        if err is None:
            return None
        lam = (self.model_config or {}).get("lambda_pred", 0.1)
        aux = lam * err.pow(2).mean()
        self.log("aux_loss", aux.detach(), on_step=True, on_epoch=True, batch_size=len(batch))
        return aux

    # ---------------------------------------------------------------- #
    def training_step(self, batches, batch_idx):
        # a single-session loader gives the bare batch
        if "stim" in batches:
            batches = {"dataset_0": batches}

        total = 0.0
        for i, (name, batch) in enumerate(batches.items()):
            batch = self(batch, i)
            loss  = self.loss_fn(batch)
            total = total + loss
            self.train_bps_aggs[i](batch)
            self.log(f"train_loss_{name}", loss, on_step=False, on_epoch=True,
                     batch_size=len(batch))
        total = total / self.n_datasets

        aux = self._auxiliary_loss(batch)
        if aux is not None:
            total = total + aux

        self.log("train_loss_total", total, on_step=True, on_epoch=True, prog_bar=True,
                 batch_size=len(batches))
        return total

    def on_train_epoch_end(self):
        self._log_bps(self.train_bps_aggs, "train")

    # ---------------------------------------------------------------- #
    def validation_step(self, batches, batch_idx):
        total = 0.0
        for i, (name, batch) in enumerate(batches.items()):
            batch = self(batch, i)
            batch["rhat"] = torch.clamp(batch["rhat"], min=1e-4)
            loss  = self.loss_fn(batch)
            total = total + loss
            self.val_bps_aggs[i](batch)
            self.log(f"val_loss_{name}", loss, on_step=False, on_epoch=True,
                     batch_size=len(batch))
        total = total / self.n_datasets
        self.log("val_loss_total", total, on_step=False, on_epoch=True, prog_bar=True,
                 batch_size=len(batches))
        return total

    def on_validation_epoch_end(self):
        units = self._log_bps(self.val_bps_aggs, "val")
        if units is not None and self.viz_n_epochs \
                and self.current_epoch % self.viz_n_epochs == 0 \
                and not self.trainer.sanity_checking:
            self.log_state(units)

    # ---------------------------------------------------------------- #
    def _log_bps(self, aggs, tag):
        """Per session and over all the units; returns bits per spike of all units."""
        units, n_cids = [], 0
        for i, agg in enumerate(aggs):
            bps = agg.closure()
            agg.reset()
            if bps is None:
                continue
            self.log(f"{tag}_bps_dataset_{i}", bps.mean())
            units.append(bps.reshape(-1))
            n_cids += self._n_cids(i, bps)
        if not units:
            return None
        units = torch.cat(units)
        self.log(f"{tag}_bps_overall", units.sum() / n_cids, prog_bar=(tag == "val"))
        return units

    def _n_cids(self, i, bps):
        if i < len(self.dataset_configs) and "cids" in self.dataset_configs[i]:
            return len(self.dataset_configs[i]["cids"])
        return bps.numel()

    def log_state(self, bps):
        """Bits per spike of every unit as a stem plot: PNG next to the checkpoints, and wandb."""
        try:
            import matplotlib
            matplotlib.use("Agg")
            import matplotlib.pyplot as plt
        except ImportError:
            if self.verbose:
                print("no matplotlib, no plots")
            return

        fig, ax = plt.subplots(figsize=(12, 3))
        ax.stem(bps.cpu().numpy())
        ax.set_xlabel("unit, sessions in a row")
        ax.set_ylabel("bits/spike")

        cb = self.trainer.checkpoint_callback
        if cb is not None and cb.dirpath is not None:
            os.makedirs(cb.dirpath, exist_ok=True)
            fig.savefig(os.path.join(cb.dirpath, f"val_bps_units_{self.current_epoch}.png"))

        if type(self.logger).__name__ == "WandbLogger":
            import wandb
            self.logger.experiment.log({"val_bps_units": wandb.Image(fig)})
        plt.close(fig)

        for module in self.eval_modules:
            module.wandb_logs(self)

    # ---------------------------------------------------------------- #
    def configure_optimizers(self):
        if self.optimizer not in ("AdamW", "Adam", "SGD"):
            raise ValueError(f"unknown optimizer {self.optimizer}")
        return getattr(torch.optim, self.optimizer)(self.parameters(), **self.optim_kwargs)
