"""A run alone, and the two ranks of another one with torchrun's environment: `FOLDER PORT`. FOLDER has the configs, and gets a JSON of each.

They are forks of this process, as torch and Lightning take longer to import than all of them to train. The second session has three training samples and one for validation, the first has 23 for that.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
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


def run(out: Path, configs: str, epochs: int) -> None:
    torch.set_num_threads(1)
    multidataset_dm.prepare_session = uneven  # type: ignore[assignment]
    seen = support.Watch()
    ranks = int(os.environ.get("WORLD_SIZE", 1))
    trainer = support.trainer(
        epochs,
        callbacks=[seen],
        devices=ranks,
        strategy="ddp_find_unused_parameters_true" if ranks > 1 else "auto",
        limit_val_batches=1.0,
    )
    model = MultiDatasetModel(f"{configs}/model.yaml", f"{configs}/sessions", 1e-2, 1e-3, 30, seed=3)
    data = MultiDatasetDM(f"{configs}/sessions", 30, 4, 0, 3, val_fraction=1.0)
    (metrics,) = trainer.validate(model, data, verbose=False)
    if epochs:
        trainer.fit(model, datamodule=data)
    sums = [float(value.double().sum()) for value in model.state_dict().values()]
    out.write_text(json.dumps({"validated": metrics, "fitted": seen.metrics, "sums": sums}))


def forked(folder: str, name: str, epochs: int, **environment: str) -> int:
    """The process's id."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.environ.update(environment)
            run(Path(folder) / f"{name}.json", folder, epochs)
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(status)
    return child


def main(folder: str, port: str) -> int:
    """0 all ended well; the first that does not ends the others, which might wait for it."""
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    running = {forked(folder, "alone", 0)}
    for rank in "01":
        own = {"RANK": rank, "LOCAL_RANK": rank, "GROUP_RANK": "0", "TORCHELASTIC_RUN_ID": "test"}
        running.add(forked(folder, rank, 2, **shared, **own))
    while running:
        child, status = os.wait()
        running.discard(child)
        if status:
            for other in running:
                os.kill(other, signal.SIGKILL)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
