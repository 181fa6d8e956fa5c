"""
Synthetic sessions.

The dataset YAML may have a block `synthetic`:
    frames, size, behavior   how much (120, 7, 3)
    mask                     "shared" (T, 1), "per_cell" (T, N) or "none"
    dead_cell                index of a cell without any valid sample (per_cell)
    nan_target               True: one NaN count in each session, under a zero mask
"""

import random

import numpy as np
import torch


class Recording:
    """One stimulus type of a session, all covariates in memory."""

    def __init__(self, covariates):
        self.covariates = covariates

    def __getitem__(self, key):
        return self.covariates[key]


class Samples:
    """Frames of one recording with their lags: stim (C, L, H, W), robs (N,), dfs, behavior (K,)."""

    def __init__(self, recording, frames, lags):
        self.dsets = [recording]
        self.frames = frames
        self.lags = torch.as_tensor(lags)

    def __len__(self):
        return len(self.frames)

    def __getitem__(self, i):
        c, t = self.dsets[0].covariates, self.frames[i]
        return {
            "stim": c["stim"][t - self.lags].permute(1, 0, 2, 3),  # lag 0 = now comes first
            **{k: c[k][t] for k in ("robs", "dfs", "behavior") if k in c},
        }


def prepare_data(config, strict=True):
    """(train samples, validation samples, config)"""
    print("preparing", config["session"], "with a great many words")
    seed = config.get("seed", 1002)
    random.seed(seed), np.random.seed(seed), torch.manual_seed(seed)

    opt = {"frames": 120, "size": 7, "behavior": 3, "mask": "shared", **config.get("synthetic", {})}
    lags = config["keys_lags"]["stim"]
    n = len(config["cids"])
    t, size = opt["frames"], opt["size"]
    g = torch.Generator().manual_seed(sum(map(ord, config["session"])))

    stim = torch.randint(0, 256, (t, 1, size, size), generator=g, dtype=torch.uint8).float()
    ops = [op for tr in config.get("transforms", {}).values() if tr.get("source") == "stim" for op in tr["ops"]]
    if any("pixelnorm" in op for op in ops):
        stim = (stim - 127) / 255
    cov = {"stim": stim, "robs": torch.poisson(torch.full((t, n), 0.5), generator=g)}
    if opt["behavior"]:
        cov["behavior"] = torch.randn(t, opt["behavior"], generator=g)
    if opt["mask"] == "shared":
        cov["dfs"] = torch.ones(t, 1)
    elif opt["mask"] == "per_cell":
        cov["dfs"] = (torch.rand(t, n, generator=g) > 0.1).float()
        if opt.get("dead_cell") is not None:
            cov["dfs"][:, opt["dead_cell"]] = 0
    if opt.get("nan_target"):
        cov["robs"][len(lags) + 2 :: 5, 0] = float("nan")
        cov["dfs"][len(lags) + 2 :: 5] = 0

    frames = torch.arange(len(lags), t).tolist()
    cut = int(len(frames) * config.get("train_val_split", 0.8))
    recording = Recording(cov)
    return Samples(recording, frames[:cut], lags), Samples(recording, frames[cut:], lags), config
