#%%
"""Build every config of a folder and push one fake batch through it."""
import sys
from pathlib import Path

import torch

from DataYatesV1.models import build_model
from DataYatesV1.models.config_loader import load_config
from DataYatesV1.models.lightning import PLCoreVisionModel

#%%
CONFIG_DIR = Path(sys.argv[1] if len(sys.argv) > 1 else "configs")
N_UNITS    = [5, 7]
dataset_configs = [{"cids": list(range(n)), "session": f"Fake_{n}"} for n in N_UNITS]


#%%
def test_config(path):
    config = load_config(path)
    if config.get("model_type") == "v1multi":
        model = build_model(config, dataset_configs)
        for i, n in enumerate(N_UNITS):
            out = model(torch.randn(2, 1, 25, 51, 51), i, torch.randn(2, 42))
            assert out.shape == (2, n), out.shape
    else:
        pl_model = PLCoreVisionModel(model_class=build_model, model_config=config)
        batch = pl_model({"stim": torch.randn(2, 1, 25, 51, 51),
                          "robs": torch.zeros(2, N_UNITS[0])})
        assert batch["rhat"].shape[0] == 2
        model = pl_model.model
    return sum(p.numel() for p in model.parameters())


#%%
for path in sorted(CONFIG_DIR.glob("*.yaml")):
    try:
        print(f"{path.stem:<32s} {test_config(path):>12,d} parameters")
    except Exception as e:
        print(f"{path.stem:<32s} {type(e).__name__}: {e}")
