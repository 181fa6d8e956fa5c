"""
Lightning module for models of one session.
"""
import os

import lightning as pl
import torch
import torch.nn as nn

from ..losses import MaskedLoss, PoissonBPSAggregator


class PLCoreVisionModel(pl.LightningModule):
    """
    Trains one network on one session.

    Parameters
    ----------
    model_class : callable, optional
        network class or build function, called as model_class(model_config)
    model_config : dict, optional
    model : nn.Module, optional
        a network that is built already; then the two above are only kept for the record
    optimizer : str
        AdamW, Adam or SGD
    optim_kwargs : dict, optional
        default lr 1e-3, weight_decay 1e-4
    eval_modules : list, optional
        objects with wandb_logs(pl_module), called every viz_n_epochs validations
    viz_n_epochs : int
    verbose : int
    accumulate_grad_batches : int
        for the record, the Trainer does it
    cids : list, optional
        the cells of the session
    dataset_info : dict, optional
    """
    def __init__(self, model_class=None, model_config=None, model=None,
                 optimizer="AdamW", optim_kwargs=None, eval_modules=None,
                 viz_n_epochs=5, verbose=1, accumulate_grad_batches=1,
                 cids=None, dataset_info=None):
        super().__init__()

        if model is not None:
            self.model = model
            self.save_hyperparameters(ignore=["model"])
        elif model_class is not None and model_config is not None:
            self.model = model_class(model_config)
            self.save_hyperparameters()
        else:
            raise ValueError("give either model, or model_class and model_config")

        self.optimizer    = optimizer
        self.optim_kwargs = optim_kwargs or {"lr": 1e-3, "weight_decay": 1e-4}
        self.eval_modules = eval_modules or []
        self.viz_n_epochs = viz_n_epochs
        self.verbose      = verbose
        self.accumulate_grad_batches = accumulate_grad_batches
        self.cids         = cids
        self.dataset_info = dataset_info
        self.model_config = model_config

        self.log_input = isinstance(self.model.activation, nn.Identity)
        self.loss_fn = MaskedLoss(nn.PoissonNLLLoss(log_input=self.log_input,
                                                    full=False, reduction="none"))
        self.train_bps_agg = PoissonBPSAggregator()
        self.val_bps_agg   = PoissonBPSAggregator()

    # ---------------------------------------------------------------- #
    def forward(self, batch):
        """Adds rhat (B, N) to the batch dict and returns it."""
        stim = batch["stim"]
        if torch.isnan(stim).any():
            print("nan in the stimulus, set to 0")
            stim = torch.nan_to_num(stim, nan=0.0)
            batch["stim"] = stim

        try:
            if getattr(self.model, "modulator", None) is not None:
                rhat = self.model(stim, batch.get("behavior"))
            else:
                rhat = self.model(stim)
        except Exception as e:
            print(f"error in the forward pass: {e}")
            rhat = torch.ones_like(batch["robs"], dtype=torch.float32) * 1e-6
            rhat.requires_grad_(torch.is_grad_enabled())

        batch["rhat"] = rhat
        return batch

    # ---------------------------------------------------------------- #
    def _auxiliary_loss(self, batch):
        err = getattr(getattr(self.model, "modulator", None), "pred_err", None)
        if err is None:
            return None
        lam = (self.model_config or {}).get("lambda_pred", 0.1)
        aux = lam * err.pow(2).mean()
        self.log("aux_loss", aux.detach(), on_step=True, on_epoch=True, batch_size=len(batch))
        return aux

    def training_step(self, batch, batch_idx):
        batch = self(batch)
        loss  = self.loss_fn(batch)

        aux = self._auxiliary_loss(batch)
        if aux is not None:
            loss = loss + aux

        if torch.isnan(loss):
            # stops the Trainer gracefully, checkpoints and all
            raise KeyboardInterrupt("nan in the training loss")

        self.train_bps_agg(batch)
        self.log("train_loss", loss, on_step=True, on_epoch=True, prog_bar=True,
                 batch_size=len(batch))
        return loss

    def on_train_epoch_end(self):
        bps = self.train_bps_agg.closure()
        if bps is not None:
            self.log("train_bps", bps.mean(), prog_bar=True)
        self.train_bps_agg.reset()

    # ---------------------------------------------------------------- #
    def validation_step(self, batch, batch_idx):
        batch = self(batch)
        loss  = self.loss_fn(batch)
        self.val_bps_agg(batch)
        self.log("val_loss", loss, on_step=False, on_epoch=True, prog_bar=True,
                 batch_size=len(batch))
        return loss

    def on_validation_epoch_end(self):
        bps = self.val_bps_agg.closure()
        if bps is not None:
            self.log("val_bps", max(0.0, bps.mean().item()), prog_bar=True)
            if self.viz_n_epochs and self.current_epoch % self.viz_n_epochs == 0 \
                    and not self.trainer.sanity_checking:
                self.log_state(bps)
        self.val_bps_agg.reset()

    # ---------------------------------------------------------------- #
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

        fig, ax = plt.subplots(figsize=(8, 3))
        ax.stem(bps.reshape(-1).cpu().numpy())
        ax.set_xlabel("unit")
        ax.set_ylabel("bits/spike")
        ax.set_title(f"epoch {self.current_epoch}")

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
