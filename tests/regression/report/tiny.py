"""A training of a few seconds: random data, one layer, an option for the learning rate."""

import argparse

import lightning.pytorch as pl
import torch
from torch.utils.data import DataLoader, TensorDataset


class Tiny(pl.LightningModule):
    def __init__(self, lr):
        super().__init__()
        self.save_hyperparameters()
        self.layer, self.head = torch.nn.Linear(4, 8), torch.nn.Linear(8, 1)

    def loss(self, batch):
        x, y = batch
        return torch.nn.functional.mse_loss(self.head(torch.tanh(self.layer(x))), y)

    def training_step(self, batch, _):
        loss = self.loss(batch)
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch, _):
        self.log("val_loss", self.loss(batch))

    def configure_optimizers(self):
        groups = [{"params": self.layer.parameters()}, {"params": self.head.parameters(), "lr": self.hparams.lr / 2}]
        optimizer = torch.optim.AdamW(groups, lr=self.hparams.lr)
        return [optimizer], [torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.8)]


parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, default=0.01)
parser.add_argument("--epochs", type=int, default=3)
options = parser.parse_args()
x = torch.randn(32, 4)
data = TensorDataset(x, x.sum(1, keepdim=True))
trainer = pl.Trainer(max_epochs=options.epochs, accelerator="cpu", logger=False, enable_progress_bar=False)
trainer.fit(Tiny(options.lr), DataLoader(data, 8, shuffle=True), DataLoader(data, 16))
