#%% eval stack for the multi-dataset models
# Run cell by cell, or import load_model from the other scripts of this folder.
import argparse
import re
from pathlib import Path

import numpy as np
import torch

from train_ddp_multidataset import MultiDatasetModel

# longest first, the first one that occurs in the folder's name wins
MODEL_TYPES = ["modulator_only_convgru", "learned_res_small_gru", "learned_res_small",
               "dense_concat"]


#%% which checkpoint
def model_type_of(name):
    for t in MODEL_TYPES:
        if t in name:
            return t
    return "unknown"


def score_of(ckpt):
    """(key, value) from a checkpoint's file name, None for last.ckpt and broken runs."""
    if "last" in ckpt.name or "nan" in ckpt.name:
        return None
    for key, sign in (("val_bps_overall", 1), ("val_loss_total", -1), ("val_loss", -1)):
        m = re.search(rf"{key}=(-?\d+\.\d+)", ckpt.name)
        if m:
            return key, sign * float(m.group(1))
    return None


def find_best(checkpoint_dir, model_type):
    """The best checkpoint of all the experiments of a type."""
    scored = []
    for f in Path(checkpoint_dir).glob("*/*.ckpt"):
        s = score_of(f)
        if s is not None and model_type_of(f.parent.name) == model_type:
            scored.append((s[1], f))
    if not scored:
        raise FileNotFoundError(f"no {model_type} in {checkpoint_dir}")
    return max(scored)[1]


#%% load
def load_model(model_type=None, checkpoint_dir=None, checkpoint_path=None, device="cpu"):
    """MultiDatasetModel in eval mode, and what its checkpoint knows about the epoch."""
    if checkpoint_path is None:
        checkpoint_path = find_best(checkpoint_dir, model_type)
    info  = torch.load(checkpoint_path, map_location="cpu", weights_only=False)
    model = MultiDatasetModel.load_from_checkpoint(checkpoint_path, map_location=device,
                                                   strict=False)
    model.eval()
    return model, {"path": str(checkpoint_path), "epoch": info["epoch"],
                   "hparams": dict(info["hyper_parameters"])}


@torch.no_grad()
def eval_dataset(model, loader, ds_idx):
    """Mean rate per cell over a loader of one dataset."""
    rates = [model(b["stim"], ds_idx, b.get("behavior")).float() for b in loader]
    return np.concatenate([r.cpu().numpy() for r in rates]).mean(0)


#%%
if __name__ == "__main__":
    p = argparse.ArgumentParser()
    p.add_argument("--checkpoint_path", required=True)
    args = p.parse_args()
    model, info = load_model(checkpoint_path=args.checkpoint_path)
    print(info["path"], "epoch", info["epoch"])
    for i, name in enumerate(model.names):
        print(f"{i:3d} {name}")
