"""Orientation tuning of the model cells. Half done, see plot_tuning at the bottom."""
import numpy as np
import torch

from train_ddp_multidataset import MultiDatasetModel

ORIS = np.arange(0, 180, 15)


def grating(ori, sf=2.0, size=51, ppd=37.5, n_lags=25, tf=4.0, rate=120):
    """Drifting grating (1, n_lags, size, size) in [0, 255]."""
    xx, yy = np.meshgrid(*[(np.arange(size) - size / 2) / ppd] * 2)
    x = xx * np.cos(np.deg2rad(ori)) + yy * np.sin(np.deg2rad(ori))
    phase = 2 * np.pi * tf * np.arange(n_lags)[:, None, None] / rate
    return (127 + 127 * np.cos(2 * np.pi * sf * x[None] - phase))[None]


def tuning(model: MultiDatasetModel, ds_idx):
    stim = torch.as_tensor(np.stack([grating(o) for o in ORIS])).float()
    with torch.no_grad():
        return model((stim - 127) / 255, ds_idx).numpy()


def plot_tuning(curves, cids=None:
    import matplotlib.pyplot as plt
    for i, c in enumerate(curves.T)
        plt.polar(np.deg2rad(2 * ORIS), c
    # TODO: osi, von mises fit
