"""A Lightning script that knows nothing of being recorded; `--fault` makes it go wrong in one way."""

import argparse
import os
import signal
import sys

import torch

parser = argparse.ArgumentParser()
parser.add_argument("--lightning", default="pytorch_lightning")
parser.add_argument("--lr", type=float, default=0.1)
parser.add_argument("--width", type=int, default=8)
parser.add_argument("--fault", default="")
parser.add_argument("--accumulate", type=int, default=1)
parser.add_argument("--save", action="store_true")
told = parser.parse_args()
fault = told.fault

if told.lightning == "pytorch_lightning":
    import pytorch_lightning as pl
else:
    import lightning.pytorch as pl

if fault == "raises":
    raise RuntimeError("no such recording")
if fault == "never fits":
    sys.exit(0)


def in_the_middle(what):
    if what == "killed":
        os.kill(os.getpid(), signal.SIGTERM)
    elif what == "raises":
        raise RuntimeError("no such batch")
    else:
        sys.exit(int(what))


class Net(pl.LightningModule):
    def __init__(self, lr, width):
        super().__init__()
        self.save_hyperparameters()
        self.body = torch.nn.Sequential(torch.nn.Linear(4, width), torch.nn.Tanh(), torch.nn.Dropout(0.1))
        self.head = torch.nn.Linear(width, 1)

    def training_step(self, batch, batch_idx):
        x, y = batch
        features = self.body(x)
        if fault == "detach":
            features = features.detach()
        loss = ((self.head(features) - y) ** 2).mean()
        if fault == "loss":
            loss = loss * (1 + 1e-6)
        if fault == "draws":
            torch.rand(1)
        if fault != "logs nothing":
            self.log("loss" if fault == "key" else "train_loss", loss, on_epoch=fault == "on epoch")
        return loss

    def validation_step(self, batch, batch_idx):
        x, y = batch
        if fault != "logs nothing":
            self.log("val_loss", ((self.head(self.body(x)) - y) ** 2).mean() * (2 if fault == "metric" else 1))

    def on_before_batch_transfer(self, batch, dataloader_idx):
        if fault == "swapped in the second epoch" and self.trainer.global_step == 10:
            batch[0][[2, 5]] = batch[0][[5, 2]]
        return batch

    def on_before_optimizer_step(self, optimizer):
        if fault == "gradient":
            self.head.weight.grad.data.mul_(1.5)

    def on_train_batch_start(self, batch, batch_idx):
        if fault.startswith("in the middle") and self.trainer.global_step == 5:
            in_the_middle(fault.removeprefix("in the middle "))

    def on_train_batch_end(self, outputs, batch, batch_idx):
        if fault == "after the step":
            self.head.bias.data.add_(1e-3)

    def on_save_checkpoint(self, checkpoint):
        if fault == "checkpoint":
            del checkpoint["state_dict"]["head.bias"]

    def configure_optimizers(self):
        optimizer = torch.optim.Adam(self.parameters(), lr=self.hparams.lr * (1 + 1e-6 * (fault == "rate")))
        schedule = torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.4 if fault == "schedule" else 0.5)
        return [optimizer], [schedule]


generator = torch.Generator().manual_seed(1)
x = torch.randn(64, 4, generator=generator)
y = x.sum(1, keepdim=True)
if fault == "swapped":
    x[[3, 9]] = x[[9, 3]]
net = Net(told.lr, told.width)
if fault == "ulp":
    with torch.no_grad():
        net.body[0].weight[3, 2] = torch.nextafter(net.body[0].weight[3, 2], torch.tensor(9.0))
if fault == "eval":
    net.body[2].p = 0.0
data = torch.utils.data.TensorDataset(x, y)
trainer = pl.Trainer(
    max_epochs=2,
    accelerator="gpu",
    devices=4,
    logger=False,
    accumulate_grad_batches=told.accumulate,
    enable_progress_bar=False,
    enable_checkpointing=told.save,
    enable_model_summary=False,
)
loaders = torch.utils.data.DataLoader(data, 8, shuffle=fault != "order"), torch.utils.data.DataLoader(data, 8)
trainer.fit(net, *loaders)
if fault == "fits twice":
    trainer.fit(net, *loaders)
if fault == "exits":
    os._exit(0)
