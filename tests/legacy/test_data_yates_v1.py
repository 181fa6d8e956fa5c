"""What the old tree imports of the lab's private package."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from visioncore.data.synthetic import SyntheticStudy, write_sessions
from visioncore.models import load_dataset_configs

LEGACY = Path(__file__).parents[2] / "legacy"


@pytest.fixture(scope="module", autouse=True)
def on_the_path() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(LEGACY))
        yield
    for name in [name for name in sys.modules if name.split(".")[0] == "DataYatesV1"]:
        del sys.modules[name]


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> SyntheticStudy:
    folder = tmp_path_factory.mktemp("study")
    return write_sessions(folder, 1, size=9, lags=4, frames=600, n_units=3, types=("backimage", "gaborium"))


@pytest.fixture(scope="module")
def config(study: SyntheticStudy) -> dict[str, Any]:
    return load_dataset_configs(sorted(study.configs_path.iterdir()))[0]


def test_pixelnorm_is_taken_out_of_a_copy(config: dict[str, Any]) -> None:
    from DataYatesV1.utils.data.loading import remove_pixel_norm

    left, removed = remove_pixel_norm(config)
    assert removed and left["transforms"]["stim"]["ops"] == [{"unsqueeze": 1}]
    assert {"pixelnorm": {}} in config["transforms"]["stim"]["ops"] and remove_pixel_norm(left) == (left, False)


def test_samples_are_float32_and_not_normalised(config: dict[str, Any]) -> None:
    from DataYatesV1.utils.data import prepare_data
    from DataYatesV1.utils.data.loading import remove_pixel_norm

    train, val, prepared = prepare_data(remove_pixel_norm(config)[0], strict=False)
    sample = train[0]
    assert sample["stim"].shape == (1, 4, 9, 9) and sample["stim"].dtype == torch.float32 and sample["stim"].max() > 1
    assert train.dsets[0]["stim"].dim() == 4 and prepared["behavior_dim"] == sample["behavior"].numel() == 6
    assert len(train) > len(val) > 0


def test_preparing_seeds_every_generator(config: dict[str, Any]) -> None:
    from DataYatesV1.utils.data import prepare_data

    drawn = []
    for seed in (1, 2):
        for seeding in (random.seed, np.random.seed, torch.manual_seed):
            seeding(seed)
        prepare_data(config)
        drawn.append((random.random(), np.random.rand(), torch.rand(1).item()))
    assert drawn[0] == drawn[1]


def test_an_error_is_not_hidden(config: dict[str, Any]) -> None:
    from DataYatesV1.utils.data import prepare_data

    with pytest.raises(ValueError, match="no recording"):
        prepare_data({**config, "types": ["gratings"]}, strict=False)


def test_networks_are_the_old_ones(study: SyntheticStudy, config: dict[str, Any]) -> None:
    from DataYatesV1.models import build_model, load_config

    network = build_model(load_config(study.models["small"]), [config])
    assert network.compat.lag_order and network.compat.adapter_blur  # type: ignore[union-attr]


@pytest.mark.parametrize("columns", [None, 1, 3])
def test_masked_loss(columns: int | None) -> None:
    from DataYatesV1.models.losses import MaskedLoss

    rng = np.random.default_rng(0)
    rhat, robs = rng.random((6, 3)), rng.integers(0, 3, (6, 3)).astype(float)
    mask = np.ones((6, 3)) if columns is None else (rng.random((6, columns)) > 0.4).astype(float)
    full = np.broadcast_to(mask, (6, 3))
    expected = ((rhat - robs * np.log(rhat + 1e-8)) * full).sum() / full.sum()
    batch = {"rhat": torch.tensor(rhat), "robs": torch.tensor(robs)}
    if columns is not None:
        batch["dfs"] = torch.tensor(mask)
    loss = MaskedLoss(nn.PoissonNLLLoss(log_input=False, reduction="none"))(batch)
    assert float(loss) == pytest.approx(expected)


def test_bits_per_spike_of_an_epoch() -> None:
    from DataYatesV1.models.losses import PoissonBPSAggregator

    aggregator = PoissonBPSAggregator()
    assert aggregator.closure() is None
    robs, rhat = torch.tensor([[0.0, 1.0], [2.0, 1.0]]), torch.full((2, 2), 1.0)
    for half in range(2):
        aggregator({"robs": robs[half : half + 1], "rhat": rhat[half : half + 1]})
    assert aggregator.closure().tolist() == pytest.approx([0, 0], abs=1e-5)
    aggregator.reset()
    assert aggregator.closure() is None


def test_it_answers_outside_this_repository(tmp_path: Path) -> None:
    code = "import DataYatesV1.models, DataYatesV1.utils.data.loading; print(DataYatesV1.models.build_model.__module__)"
    path = f"{LEGACY}:{LEGACY.parent}"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env={"PYTHONPATH": path}, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "DataYatesV1.models"


def test_the_older_lightning_modules_have_their_old_home() -> None:
    from DataYatesV1.models.lightning import MultiDatasetPLCore, PLCoreVisionModel

    import legacy.lightning

    assert PLCoreVisionModel is legacy.lightning.PLCoreVisionModel
    assert MultiDatasetPLCore is legacy.lightning.MultiDatasetPLCore
