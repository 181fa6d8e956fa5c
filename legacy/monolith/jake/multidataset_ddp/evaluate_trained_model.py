"""
Evaluate a trained model on the validation set of every session.

    python jake/multidataset_ddp/evaluate_trained_model.py CKPT --batches 100

See README_evaluation.md.
"""
import argparse

import torch

from jake.multidataset_ddp.train_ddp_multidataset import MultiDatasetDDPModule
from jake.multidataset_ddp.train_ddp_multidataset import MultiDatasetDM


def evaluate(ckpt, batches, batch_size=64):
    model = MultiDatasetDDPModule.load_from_checkpoint(ckpt, map_location="cpu").eval()
    dm = MultiDatasetDM(model.hparams.cfg_dir, model.hparams.max_ds, batch_size, 0, batches)
    dm.setup()

    model.on_validation_epoch_start()
    with torch.no_grad():
        for i, batch_list in enumerate(dm.val_dataloader()):
            if i == batches:
                break
            for b in batch_list:
                idx  = int(b["dataset_idx"][0])
                rhat = model(b["stim"], idx, b.get("behavior"))
                model.bps_aggs[idx]({"robs": b["robs"], "rhat": rhat, "dfs": b["dfs"]})

    for name, agg in zip(model.names, model.bps_aggs):
        bps = agg.closure()
        print(f"{name:<24s} {'no data' if bps is None else f'{bps.nanmean():.4f}'}")


if __name__ == "__main__":
    p = argparse.ArgumentParser()
    p.add_argument("checkpoint")
    p.add_argument("--batches", type=int, default=100)
    args = p.parse_args()
    evaluate(args.checkpoint, args.batches)
