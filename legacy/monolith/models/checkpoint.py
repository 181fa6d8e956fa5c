"""
Find, load and save checkpoints of the Lightning modules in models.lightning.
"""
import json
import time
import warnings
from pathlib import Path

import lightning as pl
import torch

from .lightning import PLCoreVisionModel


def find_best_checkpoint(checkpoint_dir, metric="val_loss", mode="min"):
    """
    The best checkpoint of a folder.

    Looks for a `metrics` dict in every file (save_model_with_metadata writes one); if there
    is none, takes the newest file.

    Returns a Path, or None if there is no checkpoint.
    """
    files = sorted(Path(checkpoint_dir).glob("*.ckpt"))
    if not files:
        return None

    best, best_val = None, None
    for f in files:
        try:
            ckpt = torch.load(f, map_location="cpu", weights_only=False)
        except Exception as e:
            warnings.warn(f"could not read {f}: {e}")
            continue
        val = (ckpt.get("metrics") or {}).get(metric)
        if val is None:
            continue
        better = best_val is None or (val < best_val if mode == "min" else val > best_val)
        if better:
            best, best_val = f, val

    if best is None:
        best = max(files, key=lambda f: f.stat().st_mtime)
    return best


def load_model_from_checkpoint(checkpoint_path, config=None, strict=True, map_location=None):
    """
    Load a PLCoreVisionModel.

    Parameters
    ----------
    checkpoint_path : str or Path
    config : dict, optional
        model config, if the one in the checkpoint is not wanted
    strict : bool
        as in load_state_dict
    map_location : optional
        as in torch.load

    Returns
    -------
    PLCoreVisionModel, in eval mode
    """
    checkpoint = torch.load(checkpoint_path, map_location=map_location, weights_only=False)

    hparams = dict(checkpoint.get("hyper_parameters", {}))
    if config is not None:
        hparams["model_config"] = config
    if hparams.get("model_config") is None:
        raise ValueError(f"{checkpoint_path}: no model_config in the hyper-parameters, give config=")

    # saved around a ready network: build it the usual way
    if hparams.get("model_class") is None:
        from .build import build_model
        hparams["model_class"] = build_model
    hparams.pop("model", None)

    model = PLCoreVisionModel(**hparams)
    model.load_state_dict(checkpoint["state_dict"], strict=strict)
    model.eval()
    return model


def save_model_with_metadata(model, path, metrics=None, metadata=None):
    """
    Save a Lightning module so that find_best_checkpoint and ModelRegistry can judge it.

    A json with the same name next to it holds metrics and metadata in readable form.
    """
    if not isinstance(model, pl.LightningModule):
        raise TypeError(f"expected a LightningModule, got {type(model).__name__}")

    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    metadata = dict(metadata or {}, saved=time.strftime("%Y-%m-%d %H:%M:%S"))
    torch.save(
        {
            "state_dict": model.state_dict(),
            "hyper_parameters": dict(model.hparams),
            "metrics": dict(metrics or {}),
            "metadata": metadata,
            "pytorch-lightning_version": pl.__version__,
        },
        path,
    )
    with open(path.with_suffix(".json"), "w") as f:
        json.dump({"metrics": metrics or {}, "metadata": metadata}, f, indent=2, default=str)
    return path


@torch.no_grad()
def test_model_consistency(model, checkpoint_path, batch, atol=1e-6):
    """True if the model gives the same rates after a round trip through the checkpoint."""
    model.eval()
    other = load_model_from_checkpoint(checkpoint_path, map_location=model.device)
    a = model(dict(batch))["rhat"]
    b = other(dict(batch))["rhat"]
    same = torch.allclose(a, b, atol=atol)
    if not same:
        print(f"rates differ by up to {(a - b).abs().max().item():g}")
    return same


# pytest takes it for a test
test_model_consistency.__test__ = False
