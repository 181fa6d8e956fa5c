"""`inspect`: what a checkpoint holds, told to people and as JSON."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.legacy.commands.support import checkpoint, legacy, save


def test_json_has_what_the_contract_names(tmp_path: Path) -> None:
    done = legacy("inspect", save(tmp_path / "old.ckpt"), "--json")
    found = done.json
    assert done.status == 0 and not done.err
    assert found["kind"] == "PLCoreVisionModel" and found["format"] == "zip" and found["lightning_version"] == "2.1.0"
    assert found["tensors"] == 6 and found["bytes"] == 24 + 4 * 2 + 24 + 8
    assert set(found["globals"]) == {"allowed", "shimmed", "refused"} and not found["globals"]["refused"]
    assert found["hyper_parameters"]["optim_kwargs"] == {"lr": 1e-3}


def test_text_for_people(tmp_path: Path) -> None:
    out = legacy("inspect", save(tmp_path / "old.ckpt")).out
    assert "PLCoreVisionModel (zip, Lightning 2.1.0)" in out and "epoch 2, step 4" in out and "cids = [1, 2]" in out


def test_the_first_weights_by_name_count_wherever_they_are(tmp_path: Path) -> None:
    torch.save({"model": {"a": torch.ones(2)}, "optimizer": {"state": {}, "param_groups": []}}, tmp_path / "w.pt")
    assert "1 in the state dict, 1 optimiser\n" in legacy("inspect", tmp_path / "w.pt").out


@pytest.mark.parametrize(
    "content, sentence",
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "git lfs pull"),
        (b"\x1f\x8b\x08\0compressed", r"it begins with b'\x1f\x8b\x08\x00comp'"),
    ],
)
def test_what_is_no_checkpoint_is_called_so(tmp_path: Path, content: bytes, sentence: str) -> None:
    (tmp_path / "a.ckpt").write_bytes(content)
    done = legacy("inspect", tmp_path / "a.ckpt")
    assert done.status == 2 and sentence in done.err


def test_what_contains_itself_is_inspected(tmp_path: Path) -> None:
    endless: list[object] = []
    endless.append(endless)
    torch.save({"hyper_parameters": {"lr": 1, "endless": endless}}, tmp_path / "a.ckpt")
    done = legacy("inspect", tmp_path / "a.ckpt")
    assert done.status == 0 and "lr = 1" in done.out and "nested over 100 deep" in done.out


def test_refused_globals_are_listed_with_their_places(tmp_path: Path) -> None:
    path = save(tmp_path / "old.ckpt", extra={"deep": [print, len]})
    done = legacy("inspect", path)
    assert done.status == 3
    assert "builtins.print at checkpoint['extra']['deep'][0]" in done.out
    assert "builtins.len at checkpoint['extra']['deep'][1]" in done.out
    assert legacy("inspect", path, "--json").json["globals"]["refused"] == ["builtins.len", "builtins.print"]


@pytest.mark.parametrize("how, form", [({}, "zip"), ({"_use_new_zipfile_serialization": False}, "legacy-pickle")])
def test_state_dicts_in_either_format(tmp_path: Path, how: dict[str, bool], form: str) -> None:
    torch.save({"a": torch.ones(2), "b": torch.ones(3)}, tmp_path / "w.pt", **how)
    found = legacy("inspect", tmp_path / "w.pt", "--json").json
    assert (found["kind"], found["format"], found["tensors"], found["bytes"]) == ("state_dict", form, 2, 20)


def test_safetensors(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file({"a": torch.ones(2)}, tmp_path / "w.safetensors")
    found = legacy("inspect", tmp_path / "w.safetensors", "--json").json
    assert (found["kind"], found["format"], found["bytes"]) == ("state_dict", "safetensors", 8)


@pytest.mark.parametrize(
    "names, kind",
    [
        (["model_cfg", "cfg_dir", "lr", "wd", "max_ds"], "MultiDatasetModel"),
        (["model_class", "model_config", "optim_kwargs", "viz_n_epochs", "cids"], "PLCoreVisionModel"),
        (["model_class", "model_config", "optim_kwargs", "viz_n_epochs", "dataset_configs"], "MultiDatasetPLCore"),
        (["lr", "width"], "unknown"),
    ],
)
def test_the_kind_is_told_by_the_hyper_parameters(tmp_path: Path, names: list[str], kind: str) -> None:
    path = save(tmp_path / "old.ckpt", hyper_parameters=dict.fromkeys(names))
    assert legacy("inspect", path, "--json").json["kind"] == kind


def test_what_holds_itself_is_shown_once(tmp_path: Path) -> None:
    omegaconf = pytest.importorskip("omegaconf")
    given = omegaconf.OmegaConf.create({"lr": 0.1, "sizes": [1, {"deep": None}]})  # each node knows its parent
    torch.save({"state_dict": {}, "hyper_parameters": {"cfg": given}}, tmp_path / "a.ckpt")
    done = legacy("inspect", tmp_path / "a.ckpt", "--json")
    assert done.status == 0 and done.json["hyper_parameters"] == {"cfg": {"lr": 0.1, "sizes": [1, {"deep": None}]}}


@pytest.mark.parametrize("cut", [0, 100, 1000, -1])
def test_a_file_that_is_cut_off(tmp_path: Path, cut: int) -> None:
    path = save(tmp_path / "old.ckpt")
    path.write_bytes(path.read_bytes()[:cut])
    done = legacy("inspect", path, "--json")
    assert done.status == 2 and str(path) in done.err and done.json["status"] == 2


def test_strange_names_do_not_disturb_the_terminal(tmp_path: Path) -> None:
    torch.save(checkpoint(hyper_parameters={"a\ud800\n": "\udfff\x1b[31m"}), tmp_path / "old.ckpt")
    done = legacy("inspect", tmp_path / "old.ckpt", LC_ALL="C", PYTHONUTF8="0")
    assert done.status == 0 and "\x1b" not in done.out
