"""With every compat flag on, the numbers are the old trainer's, bit for bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.visioncore.training.support import (
    NAMES,
    Watch,
    model_config,
    old_trainer,
    prepare_session,
    trainer,
    write_configs,
)
from visioncore.training.callbacks import CurriculumCallback
from visioncore.training.lightning import MultiDatasetDM, MultiDatasetModel, multidataset_dm
from visioncore.training.lightning.multidataset_model import KEPT_BEFORE

pytestmark = pytest.mark.filterwarnings("ignore")


def run_old(
    paths: tuple[str, str], epochs: int, options: dict[str, Any], curriculum: bool, more: dict[str, Any], prepared: Any
) -> Watch:
    seen = Watch()
    with old_trainer(prepared) as old:
        torch.manual_seed(7)
        data = old.MultiDatasetDM(paths[1], 30, 8, 0, 5, enable_curriculum=curriculum)
        kept = {name: value for name, value in options.items() if name in KEPT_BEFORE}
        module = old.MultiDatasetModel(*paths, 1e-2, 1e-3, 30, **kept)
        for name, value in options.items():
            module.hparams[name] = value
        callbacks = [seen, old.CurriculumCallback()] if curriculum else [seen]
        trainer(epochs, callbacks=callbacks, **more).fit(module, datamodule=data)
    return seen


def run_new(
    paths: tuple[str, str], epochs: int, options: dict[str, Any], curriculum: bool, more: dict[str, Any]
) -> Watch:
    seen = Watch()
    torch.manual_seed(7)
    data = MultiDatasetDM(paths[1], 30, 8, 0, 5, enable_curriculum=curriculum, compat="all", seed=99)
    module = MultiDatasetModel(*paths, 1e-2, 1e-3, 30, compat="all", seed=99, **options)
    callbacks = [seen, CurriculumCallback()] if curriculum else [seen]
    trainer(epochs, callbacks=callbacks, **more).fit(module, datamodule=data)
    return seen


CASES: dict[str, dict[str, Any]] = {
    "plain": {},
    "warmup": {"options": {"lr_scheduler": "cosine_warmup", "warmup_epochs": 1, "core_lr_scale": 0.5}},
    "cosine": {"options": {"lr_scheduler": "cosine"}},
    "predictive": {"modulator": "pc", "options": {"lr_scheduler": "step"}},
    "log rates": {"model": {"output_activation": "none"}},
    "bf16": {"trainer": {"precision": "bf16-mixed"}},
    "accumulated": {"trainer": {"accumulate_grad_batches": 2}},
    "dropout": {"dropout": 0.3},
    "process group": {"ddp": True},
    "masks of each cell": {"mask": "per cell"},
    "NaN under a mask": {"mask": "per cell", "nan": True},
    "frozen": {"frozen": True},
    "curriculum": {"ddp": True, "curriculum": True},
}


@pytest.mark.parametrize("name", CASES)
def test_same_bits(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    case = CASES[name]
    config = model_config(case.get("modulator", "concat"), **case.get("model", {}))
    if "dropout" in case:
        config["convnet"]["params"]["block_config"]["dropout"] = case["dropout"]
    paths = write_configs(tmp_path, config)

    def prepared(config: dict[str, Any], compat: Any = None) -> Any:
        # setting up the data seeds torch, as the old trainer's did
        if compat is not None and compat.unseeded:
            torch.manual_seed(config.get("seed", 1002))
        return masked(prepare_session(config), case)

    monkeypatch.setattr(multidataset_dm, "prepare_session", prepared)
    options = dict(case.get("options", {}))
    if case.get("frozen"):
        donor = MultiDatasetModel(*paths, 1e-2, 1e-3, 30, seed=5)
        torch.save({"state_dict": donor.state_dict()}, tmp_path / "donor.ckpt")
        options |= {"pretrained_checkpoint": str(tmp_path / "donor.ckpt"), "freeze_vision": True}
    more = dict(case.get("trainer", {}))
    if case.get("ddp"):
        more["strategy"] = "ddp_find_unused_parameters_true"
    arguments = (paths, 2, options, case.get("curriculum", False), more)
    old, new = run_old(*arguments, prepared), run_new(*arguments)
    assert len(old.losses) == 6
    assert torch.equal(torch.stack(old.losses), torch.stack(new.losses))
    assert old.rates == new.rates
    for ours, theirs in zip(new.parameters, old.parameters, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))
    assert new.metrics == old.metrics
    assert {f"val_bps/{session}" for session in NAMES} | {"val_bps_overall", "val_loss"} <= set(new.metrics[-1])


def masked(made: Any, case: dict[str, Any]) -> Any:
    """With a mask of each cell, and perhaps a NaN under it in some of the first session's samples."""
    if case.get("mask"):
        for part in (made.train, made.val):
            robs = part.rest["robs"]
            part.rest["dfs"] = (torch.rand(robs.shape, generator=torch.Generator().manual_seed(1)) > 0.2).float()
            if case.get("nan") and made.name == next(iter(NAMES)):
                part.rest["dfs"][20], robs[20] = 0, float("nan")
    return made
