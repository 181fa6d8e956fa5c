#%% Load a model and look at it
import sys
from pathlib import Path
# the notebooks start anywhere
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).resolve().parent))

#%% imports (after the path!)
import torch
import numpy as np

from train_ddp_multidataset import MultiDatasetModel
from train_ddp_multidataset import cast_stim, group_collate  # same casting as in training

#%% settings
CHECKPOINT = Path("/mnt/ssd/YatesMarmoV1/checkpoints/multidataset_pretraining_120")
EXPERIMENT = "learned_res_small_ddp_bs256_ds30_lr1e-3_wd1e-4_corelrscale0.5_warmup5"
device = "cuda" if torch.cuda.is_available() else "cpu"


#%% model
def load(path):
    model = MultiDatasetModel.load_from_checkpoint(path, map_location=device)
    return model.to(device).eval()


#%% readout positions
def readout_positions(model):
    """(N, 2) per dataset, in units of the readout's grid."""
    return {name: model.model.readouts[i].mean.detach().cpu().numpy()
            for i, name in enumerate(model.names)}


#%% response to a full-field flash
@torch.no_grad()
def flash(model, ds_idx, n_lags=25, size=51):
    stim = torch.full((n_lags, 1, 1, n_lags, size, size), 127, dtype=torch.uint8)
    for t in range(n_lags):
        stim[t, :, :, t] = 255
    stim = cast_stim(stim.flatten(0, 1), True).to(device)
    return np.asarray(model(stim, ds_idx).float().cpu())


#%%
if __name__ == "__main__":
    best = sorted((CHECKPOINT / EXPERIMENT).glob("epoch=*.ckpt"))[-1]
    model = load(best)
    for name, pos in readout_positions(model).items():
        print(name, pos.shape, np.abs(pos).max())
    print(flash(model, 0).shape)
