"""Files without zip: torch before 1.6, bare pickles, and what is neither."""

from __future__ import annotations

import collections
import os
import pickle
import tarfile
from pathlib import Path

import pytest
import torch
from torch import nn

from legacy.checkpoint import CheckpointError, Damaged, Refused, read, write_ckpt
from legacy.checkpoint.records import Ordered
from tests.legacy.checkpoint.support import same, saved, torch_bytes

OLD = {"_use_new_zipfile_serialization": False}
VALUE = {"w": torch.arange(10.0), "v": torch.arange(3), "text": "x"}


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_every_protocol(tmp_path: Path, protocol: int) -> None:
    for name, how in (("zip", {}), ("old", OLD)):
        checkpoint = saved(tmp_path / name, VALUE, pickle_protocol=protocol, **how)
        write_ckpt(checkpoint, checkpoint.root, tmp_path / "new", {})
        assert same(torch.load(tmp_path / "new", weights_only=True), VALUE)
        assert checkpoint.format == {"zip": "zip", "old": "legacy-pickle"}[name]


def test_a_whole_module_with_its_source(tmp_path: Path) -> None:
    checkpoint = saved(tmp_path / "a", {"net": nn.Linear(2, 2)}, **OLD)
    assert str(checkpoint.root["net"].function) == "torch.nn.modules.linear.Linear"
    assert list(checkpoint.globals.refused) == ["torch.nn.modules.linear.Linear"]


def test_a_pickle_longer_than_the_first_look(tmp_path: Path) -> None:
    value = {"text": ["é" * 1000 + str(n) for n in range(800)], "w": torch.ones(3)}
    assert same(saved(tmp_path / "a", value, **OLD).root["text"], value["text"])


@pytest.mark.parametrize("cut", [1, 5, 30, 200, -1, -9, -60])
def test_a_truncated_file_is_damaged(tmp_path: Path, cut: int) -> None:
    (tmp_path / "a").write_bytes(torch_bytes(VALUE, **OLD)[:cut])
    with pytest.raises(Damaged):
        read(tmp_path / "a")


def test_what_follows_the_last_storage_is_damage(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(torch_bytes(VALUE, **OLD) + torch_bytes(VALUE))
    with pytest.raises(Damaged, match="follow"):
        read(tmp_path / "a")


def test_a_storage_of_another_size_is_damaged(tmp_path: Path) -> None:
    data = torch_bytes({"v": torch.arange(3)}, **OLD)
    (tmp_path / "a").write_bytes(data[:-32] + (4).to_bytes(8, "little") + data[-24:])
    with pytest.raises(Damaged, match="has 4 elements where 3"):
        read(tmp_path / "a")


@pytest.mark.parametrize("protocol", range(6))
def test_a_bare_pickle(tmp_path: Path, protocol: int) -> None:
    value = {"lr": 0.1, "names": collections.OrderedDict(a=1)}
    (tmp_path / "a").write_bytes(pickle.dumps(value, protocol))
    checkpoint = read(tmp_path / "a")
    assert (checkpoint.format, checkpoint.root) == ("pickle", value)
    assert type(checkpoint.root["names"]) is Ordered
    write_ckpt(checkpoint, checkpoint.root, tmp_path / "b", {})
    assert torch.load(tmp_path / "b", weights_only=True) == value


def test_a_pickle_within_a_pickle_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(pickle.dumps({"w": torch.ones(2)}))
    assert list(read(tmp_path / "a").globals.refused) == ["torch.storage._load_from_bytes"]


def test_what_follows_a_bare_pickle_is_damage(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(pickle.dumps(1) + pickle.dumps(2))
    with pytest.raises(Damaged, match="follows the pickle"):
        read(tmp_path / "a")


def test_what_is_no_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    (tmp_path / "text").write_text("epoch,loss\n1,0.5\n")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for name in ("empty", "text", "folder", "pipe", "loop", "missing"):
        with pytest.raises(Damaged, match=str(tmp_path / name)):
            read(tmp_path / name)


def test_the_tar_format_is_refused_by_name(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a", "w", format=tarfile.PAX_FORMAT) as archive:
        archive.add(__file__, "storages")
    with pytest.raises(Refused, match="tar"):
        read(tmp_path / "a")


def test_the_exit_statuses() -> None:
    assert (CheckpointError.status, Damaged.status, Refused.status) == (2, 2, 3)
