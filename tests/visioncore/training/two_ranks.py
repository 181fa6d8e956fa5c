"""A rank of a run on two, with torchrun's environment, or a run alone: `OUT.json CONFIGS EPOCHS`.

The second session has three training samples and one for validation, the first has 23 for that.
"""

from __future__ import annotations

import json
import os
import sys
import warnings
from pathlib import Path
from typing import Any

warnings.filterwarnings("ignore")

import torch  # noqa: E402

from tests.visioncore.training import support  # noqa: E402
from visioncore.training.lightning import MultiDatasetDM, MultiDatasetModel, multidataset_dm  # noqa: E402


def uneven(config: dict[str, Any], compat: Any = None) -> Any:
    prepared = support.prepare_session(config)
    prepared.val.frames = prepared.val.frames[:23]
    if prepared.name == list(support.NAMES)[1]:
        prepared.val.frames = prepared.val.frames[:1]
        prepared.train.frames = prepared.train.frames[:3]
    return prepared


def main(out: str, configs: str, epochs: int) -> None:
    torch.set_num_threads(1)
    multidataset_dm.prepare_session = uneven  # type: ignore[assignment]
    seen = support.Watch()
    ranks = int(os.environ.get("WORLD_SIZE", 1))
    run = support.trainer(
        epochs,
        callbacks=[seen],
        devices=ranks,
        strategy="ddp_find_unused_parameters_true" if ranks > 1 else "auto",
        limit_val_batches=1.0,
    )
    model = MultiDatasetModel(f"{configs}/model.yaml", f"{configs}/sessions", 1e-2, 1e-3, 30, seed=3)
    data = MultiDatasetDM(f"{configs}/sessions", 30, 4, 0, 3, val_fraction=1.0)
    (metrics,) = run.validate(model, data, verbose=False)
    if epochs:
        run.fit(model, datamodule=data)
    sums = [float(value.double().sum()) for value in model.state_dict().values()]
    Path(out).write_text(json.dumps({"validated": metrics, "fitted": seen.metrics, "sums": sums}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
