from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from pytorch_lightning.loggers import CSVLogger

from tests.visioncore.training.support import model_config, prepare_session, trainer, write_configs
from visioncore.models import ConfigError
from visioncore.training.lightning import MultiDatasetDM, MultiDatasetModel, multidataset_dm

OPTIONS: dict[str, Any] = {"core_lr_scale": 0.5, "lr_scheduler": "cosine_warmup", "warmup_epochs": 2, "seed": 4}


def saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compat: Any = None, **more: Any
) -> tuple[Path, MultiDatasetModel]:
    monkeypatch.setattr(multidataset_dm, "prepare_session", prepare_session)
    paths = write_configs(tmp_path, recorded=datetime.date(2022, 2, 16))
    model = MultiDatasetModel(*paths, 1e-2, 1e-3, 30, compat=compat, **{**OPTIONS, **more})
    run = trainer(1, steps=1)
    run.fit(model, datamodule=MultiDatasetDM(Path(paths[1]), 30, 8, 0, 3, compat=compat))
    run.save_checkpoint(tmp_path / "a.ckpt")
    return tmp_path / "a.ckpt", model


def test_q18_all_hyper_parameters_and_the_configs_come_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, model = saved(tmp_path, monkeypatch, "prox_per_group")
    checkpoint = torch.load(path, weights_only=True)
    kept = checkpoint["hyper_parameters"]
    assert {name: kept[name] for name in OPTIONS} == OPTIONS and kept["compat"] == ["prox_per_group"]
    assert kept["model_config"] == model_config() and kept["dataset_configs"][0]["recorded"] == "2022-02-16"
    for file in tmp_path.rglob("*.yaml"):
        file.unlink()
    again = MultiDatasetModel.load_from_checkpoint(path)
    assert again.hparams == model.hparams and again.compat == model.compat and again.core_lr == 5e-3
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in model.state_dict().items())


def test_what_a_checkpoint_says_of_its_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, model = saved(tmp_path, monkeypatch)
    kept = torch.load(path, weights_only=True)["visioncore"]
    assert kept["configs"]["model"] == model.model_config and len(kept["configs"]["datasets"]) == 2
    assert set(kept["versions"]) == {"python", "torch", "pytorch-lightning", "visioncore"}
    assert kept["git_commit"] is None or len(kept["git_commit"]) == 40
    assert kept["pretrained"] == []


def test_q18_the_old_checkpoints_lose_what_main_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, _ = saved(tmp_path, monkeypatch, "hyper_parameters_lost")
    checkpoint = torch.load(path, weights_only=True)
    assert len(checkpoint["hyper_parameters"]) == 8 and "visioncore" not in checkpoint
    again = MultiDatasetModel.load_from_checkpoint(path)
    assert again.lr_scheduler_kind == "none" and again.core_lr == 1e-2


def test_keys_are_the_networks_behind_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, model = saved(tmp_path, monkeypatch)
    assert set(torch.load(path, weights_only=True)["state_dict"]) == {
        f"model.{key}" for key in model.model.state_dict()
    }


def test_a_compiled_network_keeps_its_keys(tmp_path: Path) -> None:
    paths = write_configs(tmp_path)
    plain, compiled = (MultiDatasetModel(*paths, 1e-2, 1e-3, 30, compile_model=flag) for flag in (False, True))
    assert plain.state_dict().keys() == compiled.state_dict().keys()
    assert compiled.model._compiled_call_impl is not None


def test_a_checkpoint_of_a_compiled_network_loads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, model = saved(tmp_path, monkeypatch)
    checkpoint = torch.load(path, weights_only=True)
    state = checkpoint["state_dict"]
    checkpoint["state_dict"] = {key.replace("model.", "model._orig_mod.", 1): value for key, value in state.items()}
    torch.save(checkpoint, path)
    again = MultiDatasetModel.load_from_checkpoint(path)
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in model.state_dict().items())


def test_frozen_stays_frozen_without_the_pretrained_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, _ = saved(tmp_path, monkeypatch)
    donor = first.rename(tmp_path / "donor.ckpt")
    path, model = saved(tmp_path, monkeypatch, pretrained_checkpoint=donor, freeze_vision=True)
    frozen = {name for name, parameter in model.named_parameters() if not parameter.requires_grad}
    donor.unlink()
    with pytest.warns(UserWarning, match=r"donor\.ckpt is gone"):
        again = MultiDatasetModel.load_from_checkpoint(path)
    assert frozen and {name for name, parameter in again.named_parameters() if not parameter.requires_grad} == frozen


def test_a_run_is_resumed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, model = saved(tmp_path, monkeypatch)
    again = MultiDatasetModel.load_from_checkpoint(path)
    run = trainer(3, steps=1)
    run.fit(again, datamodule=MultiDatasetDM(model.hparams["cfg_dir"], 30, 8, 0, 3), ckpt_path=path)
    assert run.global_step == 3 and run.current_epoch == 3


def test_the_logger_sees_them_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multidataset_dm, "prepare_session", prepare_session)
    paths = write_configs(tmp_path)
    run = trainer(1, steps=1, logger=CSVLogger(tmp_path, "csv"))
    run.fit(MultiDatasetModel(*paths, 1e-2, 1e-3, 30, **OPTIONS), datamodule=MultiDatasetDM(paths[1], 30, 8, 0, 3))
    (file,) = tmp_path.rglob("hparams.yaml")
    logged = yaml.safe_load(file.read_text())
    assert {name: logged[name] for name in OPTIONS} == OPTIONS and logged["model_config"] == model_config()


def test_q19_the_seed_decides_the_weights(tmp_path: Path) -> None:
    paths = write_configs(tmp_path)

    def weights(seed: int | None, compat: Any = None, state: int = 0) -> torch.Tensor:
        torch.manual_seed(state)
        return MultiDatasetModel(*paths, 1e-2, 1e-3, 30, compat=compat, seed=seed).model.get_parameter(
            "readouts.0.features.weight"
        )

    assert torch.equal(weights(1), weights(1, state=5)) and not torch.equal(weights(1), weights(2))
    assert not torch.equal(weights(1, "unseeded"), weights(1, "unseeded", state=5))
    assert torch.equal(weights(None, state=5), weights(1, "unseeded", state=5))


def test_one_session_models_are_refused(tmp_path: Path) -> None:
    paths = write_configs(tmp_path, model_config(model_type="v1"))
    (Path(paths[1]) / "Logan_2020-01-10.yaml").unlink()
    with pytest.raises(ConfigError, match="model_type v1multi is expected, 'v1' found"):
        MultiDatasetModel(*paths, 1e-2, 1e-3, 30)


def test_no_dataset(tmp_path: Path) -> None:
    paths = write_configs(tmp_path)
    with pytest.raises(ConfigError, match="there is no dataset YAML to take"):
        MultiDatasetModel(*paths, 1e-2, 1e-3, 0)
    with pytest.raises(ConfigError, match="is no folder"):
        MultiDatasetModel(paths[0], tmp_path / "none", 1e-2, 1e-3, 30)
