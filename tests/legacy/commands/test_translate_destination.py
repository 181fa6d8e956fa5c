"""`translate` of one file: what its destination's name means, and what is never written over."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.legacy.commands.support import legacy, save


@pytest.fixture
def old(tmp_path: Path) -> Path:
    return save(tmp_path / "old.ckpt")


@pytest.mark.parametrize("name", ["new.safetensors", "new.SafeTensors"])
def test_a_name_in_safetensors_means_that_form(old: Path, tmp_path: Path, name: str) -> None:
    assert legacy("translate", old, tmp_path / name).status == 0
    assert legacy("inspect", tmp_path / name, "--json").json["format"] == "safetensors"
    assert (tmp_path / "new.json").exists()


def test_a_zip_is_not_called_safetensors(old: Path, tmp_path: Path) -> None:
    done = legacy("translate", old, tmp_path / "new.safetensors", "--to", "ckpt")
    assert done.status == 2 and "Leave out --to, or call it .ckpt" in done.err and os.listdir(tmp_path) == ["old.ckpt"]


def test_a_folder_of_such_a_name_means_nothing(old: Path, tmp_path: Path) -> None:
    (tmp_path / "all.safetensors").mkdir()
    assert legacy("translate", old, tmp_path / "all.safetensors").status == 0
    assert os.listdir(tmp_path / "all.safetensors") == ["old.ckpt"]


@pytest.mark.parametrize("more", [[], ["--dry-run"]])
def test_json_that_was_not_written_here_is_not_written_over(old: Path, tmp_path: Path, more: list[str]) -> None:
    (tmp_path / "new.json").write_text('{"model_type": "v1"}')
    done = legacy("translate", old, tmp_path / "new.safetensors", *more)
    assert done.status == 2 and "new.json is there and was not written with a checkpoint" in done.err
    assert (tmp_path / "new.json").read_text() == '{"model_type": "v1"}'
    assert sorted(os.listdir(tmp_path)) == ["new.json", "old.ckpt"]


def test_json_that_was_written_here_is_made_again(old: Path, tmp_path: Path) -> None:
    for epoch in (1, 2):
        save(old, epoch=epoch)
        assert legacy("translate", old, tmp_path / "new.safetensors").status == 0
        assert json.loads((tmp_path / "new.json").read_text())["checkpoint"]["epoch"] == epoch


def test_json_of_ones_own_in_an_archive_costs_its_own_file_only(tmp_path: Path) -> None:
    for name in ("a", "b"):
        save(tmp_path / "runs" / f"{name}.ckpt")
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "a.json").write_text("{}")
    done = legacy("translate", tmp_path / "runs", tmp_path / "new", "--to", "safetensors", "--json")
    assert done.status == 2 and done.json["translated"] == 1 and "a.json is there" in done.json["failures"][0]["error"]
    assert (tmp_path / "new" / "a.json").read_text() == "{}" and (tmp_path / "new" / "b.json").exists()


@pytest.mark.parametrize("more", [[], ["--dry-run"]])
@pytest.mark.parametrize("way", ["the name", "a symbolic link", "a hard link"])
def test_the_json_is_never_written_over_the_source(tmp_path: Path, way: str, more: list[str]) -> None:
    old = save(tmp_path / ("new.json" if way == "the name" else "old.ckpt"))
    before = old.read_bytes()
    if way == "a symbolic link":
        (tmp_path / "new.json").symlink_to(old)
    elif way == "a hard link":
        os.link(old, tmp_path / "new.json")
    done = legacy("translate", old, tmp_path / "new.safetensors", *more)
    assert done.status == 2 and "new.json is the checkpoint that is read" in done.err
    assert old.read_bytes() == before and not (tmp_path / "new.safetensors").exists()


def test_a_destination_below_a_file(old: Path, tmp_path: Path) -> None:
    done = legacy("translate", old, old / "new.ckpt")
    assert done.status == 2 and "new.ckpt cannot be written: Not a directory" in done.err
