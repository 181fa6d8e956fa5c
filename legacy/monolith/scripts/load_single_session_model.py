#!/usr/bin/env python3
"""
Load a single-session model and print what it is.

    python scripts/load_single_session_model.py path/to/epoch=12-val_bps=0.31.ckpt
"""
import argparse
from pathlib import Path

import torch

from DataYatesV1.models.lightning import PLCoreVisionModel
from models.checkpoint import load_model_from_checkpoint


def describe(path):
    model = load_model_from_checkpoint(path, map_location="cpu")
    assert isinstance(model, PLCoreVisionModel), type(model)
    n = sum(p.numel() for p in model.parameters())
    print(f"{Path(path).name}: {type(model.model).__name__}, {n:,d} parameters, "
          f"{len(model.cids or [])} cells, optimizer {model.optimizer}")
    for key, value in sorted((model.dataset_info or {}).items()):
        print(f"    {key}: {value}")
    return model


if __name__ == "__main__":
    p = argparse.ArgumentParser()
    p.add_argument("checkpoints", nargs="+")
    args = p.parse_args()
    torch.set_grad_enabled(False)
    for path in args.checkpoints:
        describe(path)
