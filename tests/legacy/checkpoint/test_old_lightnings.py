"""Real files of five Lightnings since 1.1 (`fixtures/make.py` made them): today's trains on to what each would have trained on to."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader

import legacy
from legacy.checkpoint import read
from legacy.commands.inspect import describe
from legacy.translate import Options, translate
from legacy.verify import verify
from tests.legacy.checkpoint.fixtures.network import EPOCHS, batches, build_model, optimizers

FIXTURES = Path(__file__).with_name("fixtures")
FILES = sorted(FIXTURES.glob("*.ckpt"))
BUILDER = "tests.legacy.checkpoint.fixtures.network:build_model"


@pytest.fixture(params=FILES, ids=lambda path: path.stem)
def old(request: pytest.FixtureRequest) -> Path:
    path: Path = request.param
    return path


@pytest.fixture
def new(old: Path, tmp_path: Path) -> Path:
    translate(old, tmp_path / "new.ckpt", Options(check=True))
    return tmp_path / "new.ckpt"


def version(path: Path) -> str:
    return path.stem.split("-")[1]


def truth(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FIXTURES / f"lightning-{version(path)}.json").read_text())
    return found


def test_there_are_two_of_each_version() -> None:
    assert {version(path) for path in FILES} == {"1.1.8", "1.4.9", "1.5.10", "1.6.5", "1.9.5"} and len(FILES) == 10
    assert all(path.stat().st_size < 30_000 for path in FILES)


def test_inspect(old: Path) -> None:
    found = describe(read(old))
    assert (found["kind"], found["lightning_version"]) == ("PLCoreVisionModel", version(old))
    shimmed = set(found["globals"]["shimmed"])
    assert "models.build.build_model" in shimmed and not found["globals"]["refused"]
    assert ("__main__.Mine" in shimmed) == (version(old) < "1.5")  # callbacks were keyed by their classes


def test_plain_torch_loads_it(old: Path, new: Path) -> None:
    loaded = torch.load(new, weights_only=True)
    assert loaded["legacy_pytorch-lightning_version"] == version(old)
    assert loaded["pytorch-lightning_version"] == "2.0.0"
    assert all(type(key) is str for key in loaded["callbacks"])
    assert loaded["callbacks"]["Mine"] == {"seen": 1}
    assert loaded["global_step"] == EPOCHS * len(batches())


def test_rates_and_optimizer_state_are_what_the_old_one_said(new: Path, old: Path) -> None:
    module: Any = legacy.load_model(new, BUILDER)
    found = module.model(batches()[0]["stim"])
    torch.testing.assert_close(found, torch.tensor(truth(old)["rates"]), rtol=1e-6, atol=0)
    (state,) = torch.load(new, weights_only=True)["optimizer_states"]
    (group,) = state["param_groups"]
    for identity, name in zip(group["params"], group["param_names"], strict=True):
        assert state["state"][identity]["exp_avg"].tolist() == truth(old)["exp_avg"][name]
    assert len(group["params"]) == len(truth(old)["exp_avg"])


class Losses(pl.Callback):
    def __init__(self) -> None:
        self.seen: list[float] = []

    def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.seen.append(outputs["loss"].item())


def test_it_trains_on_to_the_same_losses(old: Path, new: Path, tmp_path: Path) -> None:
    module: Any = legacy.load_model(new, build_model).train()
    module.configure_optimizers = lambda: optimizers(module)
    losses, best = Losses(), pl.callbacks.ModelCheckpoint(dirpath=tmp_path, monitor="val_loss")
    patience = pl.callbacks.EarlyStopping(monitor="val_loss", patience=9)
    trainer = pl.Trainer(
        max_epochs=EPOCHS + 1,
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        callbacks=[losses, best, patience],
    )
    loader = DataLoader(batches(), batch_size=None)
    trainer.fit(module, loader, loader, ckpt_path=new, weights_only=True)
    assert losses.seen == pytest.approx(
        truth(old)["losses"], rel=1e-6
    )  # bit for bit only on the machine that made them
    steps = (EPOCHS + 1) * len(batches())
    assert trainer.global_step == steps and trainer.current_epoch == EPOCHS + 1
    assert trainer.fit_loop.epoch_loop.batch_progress.total.completed == steps
    assert trainer.lr_scheduler_configs[0].scheduler.last_epoch == EPOCHS + 1
    assert math.isclose(trainer.optimizers[0].param_groups[0]["lr"], 0.05 * 0.5 ** (EPOCHS + 1))
    assert best.best_model_score is not None


def test_callback_states_come_back(new: Path, old: Path, tmp_path: Path) -> None:
    states = torch.load(new, weights_only=True)["callbacks"]
    key = pl.callbacks.ModelCheckpoint(dirpath=tmp_path, monitor="val_loss").state_key
    assert "best_model_score" in states[key], list(states)
    # 1.1 saved while ModelCheckpoint still had the best score of the epoch before: nothing tells that both watched the same
    known = old.name != "lightning-1.1.8-epoch-end.ckpt"
    stopping = pl.callbacks.EarlyStopping(monitor="val_loss").state_key if known else "EarlyStopping"
    assert states[stopping]["best_score"] is not None, list(states)


def test_verify_and_a_second_translation(old: Path, new: Path, tmp_path: Path) -> None:
    assert verify(old, new).same
    again = translate(new, tmp_path / "again.ckpt", Options())
    assert again.rules == [] and verify(new, tmp_path / "again.ckpt").same


def test_lightnings_own_migration_has_nothing_left_to_do(new: Path) -> None:
    from pytorch_lightning.utilities.migration.utils import _get_version, _should_upgrade, migrate_checkpoint

    loaded = torch.load(new, weights_only=True)
    assert _get_version(loaded) == "2.0.0" and not _should_upgrade(loaded, "2.0.0")
    _, done = migrate_checkpoint(loaded)
    assert done == {}
