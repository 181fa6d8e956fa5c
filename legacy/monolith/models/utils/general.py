"""Small things that are needed in several places."""
import lightning as pl
import numpy as np
import torch


def ensure_tensor(x, dtype=torch.float32, device=None):
    """A tensor from whatever it is (list, array, tensor)."""
    if not torch.is_tensor(x):
        x = torch.as_tensor(np.asarray(x))
    return x.to(dtype=dtype, device=device)


def get_module_device(module):
    """Where a network lives; the CPU if it has no parameters."""
    if isinstance(module, pl.LightningModule):
        return module.device
    for p in module.parameters():
        return p.device
    return torch.device("cpu")


def model_size(module):
    """(parameters, trainable parameters)"""
    n     = sum(p.numel() for p in module.parameters())
    n_opt = sum(p.numel() for p in module.parameters() if p.requires_grad)
    return n, n_opt
