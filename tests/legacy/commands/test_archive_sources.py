"""Nothing is written over a checkpoint that is read, by whatever name it is found, and no two translations share one."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from legacy.checkpoint import CheckpointError, read, write_ckpt, write_safetensors
from legacy.checkpoint.files import identity
from legacy.layout import targets
from tests.legacy.commands.support import legacy, save


def state(folder: Path) -> dict[str, str]:
    """Every file, by its hash."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def refused(source: Path, destination: Path, *more: str) -> str:
    """What is said; nothing is written, and a dry run says the same."""
    root = Path(os.path.commonpath([source, destination]))
    before = state(root)
    done = legacy("translate", source, destination, *more)
    assert done.status == 2 and state(root) == before, done.err
    assert legacy("translate", source, destination, "--dry-run", *more).err == done.err
    return done.err


def test_a_destination_above_the_source_is_never_written_into_it(tmp_path: Path) -> None:
    save(tmp_path / "runs" / "x.ckpt", epoch=1)
    save(tmp_path / "runs" / "runs" / "x.ckpt", epoch=2)
    assert "is among the files that are read" in refused(tmp_path / "runs", tmp_path)
    (tmp_path / "runs" / "x.ckpt").rename(tmp_path / "runs" / "y.ckpt")  # a new file there is a new source
    assert f"{tmp_path / 'runs'} would be written to, and is a folder that is read" in refused(
        tmp_path / "runs", tmp_path
    )


def test_every_shard_refuses_what_one_would_write_over(tmp_path: Path) -> None:
    save(tmp_path / "runs" / "a.ckpt")
    save(tmp_path / "runs" / "runs" / "a.ckpt")
    for shard in ("1/2", "2/2"):
        refused(tmp_path / "runs", tmp_path, "--shard", shard)


@pytest.mark.parametrize("link", ["folder", "file", "hard"])
def test_links_in_the_destination_lead_to_no_source(tmp_path: Path, link: str) -> None:
    runs, new = tmp_path / "runs", tmp_path / "new"
    save(runs / "a" / "x.ckpt")
    save(runs / "b" / "x.ckpt")
    new.mkdir()
    if link == "folder":
        (new / "a").symlink_to(runs / "b")
    else:
        (new / "a").mkdir()
        (new / "a" / "x.ckpt").symlink_to(runs / "b" / "x.ckpt") if link == "file" else os.link(
            runs / "b" / "x.ckpt", new / "a" / "x.ckpt"
        )
    assert "read" in refused(runs, new)


def test_folders_behind_links_are_walked_and_links_that_lead_up_are_not(tmp_path: Path) -> None:
    save(tmp_path / "scratch" / "run 2" / "x.ckpt")
    save(tmp_path / "runs" / "run 1" / "x.ckpt")
    (tmp_path / "runs" / "run 2").symlink_to(tmp_path / "scratch" / "run 2")
    (tmp_path / "runs" / "run 1" / "all").symlink_to(tmp_path / "runs")
    (tmp_path / "scratch" / "run 2" / "back").symlink_to(tmp_path / "runs" / "run 1")
    (tmp_path / "runs" / "gone").symlink_to(tmp_path / "nowhere")
    done = legacy("translate", tmp_path / "runs", tmp_path / "new", "--json")
    assert done.status == 0, done.err
    made = sorted(str(path.relative_to(tmp_path / "new")) for path in (tmp_path / "new").rglob("*.ckpt"))
    assert made == ["run 1/x.ckpt", "run 2/back/x.ckpt", "run 2/x.ckpt"]


def test_a_source_that_is_a_link_is_not_written_over_where_it_leads(tmp_path: Path) -> None:
    save(tmp_path / "data" / "x.ckpt", epoch=1)
    save(tmp_path / "runs" / "x.ckpt", epoch=2)
    (tmp_path / "runs" / "best.ckpt").symlink_to(tmp_path / "data" / "x.ckpt")
    assert "data/x.ckpt would be written, and is among the files that are read" in refused(
        tmp_path / "runs", tmp_path / "data"
    )


@pytest.mark.parametrize("name", ["manifest.jsonl", "y.json"])
def test_what_else_is_written_is_no_source_either(tmp_path: Path, name: str) -> None:
    source = save(tmp_path / "runs" / "x.ckpt")
    save(tmp_path / "runs" / "y.ckpt")
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / name).symlink_to(source)
    assert f"{name} would be written, and is among the files that are read" in refused(
        tmp_path / "runs", tmp_path / "new", "--to", "safetensors"
    )


def test_a_folder_of_sources_within_the_source_is_no_destination(tmp_path: Path) -> None:
    save(tmp_path / "runs" / "last.ckpt", epoch=1)
    save(tmp_path / "runs" / "a" / "last.ckpt", epoch=2)
    assert "has checkpoints of its own" in refused(tmp_path / "runs", tmp_path / "runs" / "a")


def test_a_source_that_comes_into_the_way_later_is_not_replaced(tmp_path: Path) -> None:
    """The folders were looked at before; what is found at the moment of writing counts."""
    one, other = read(save(tmp_path / "one.ckpt")), save(tmp_path / "other.ckpt")
    spared = {found for found in (identity(other), identity(tmp_path)) if found}
    (tmp_path / "new").mkdir()

    def arrives(emitter: object) -> dict[str, str]:
        os.link(other, tmp_path / "new" / "x.ckpt")
        return {}

    with pytest.raises(CheckpointError, match="among the checkpoints that are read"):
        write_ckpt(one, one.root, tmp_path / "new" / "x.ckpt", arrives, spared=spared)
    with pytest.raises(CheckpointError, match="among the checkpoints that are read"):
        write_safetensors(one, one.root, tmp_path / "y.safetensors", {}, spared=spared)
    assert sorted(os.listdir(tmp_path)) == ["new", "one.ckpt", "other.ckpt"]
    assert os.listdir(tmp_path / "new") == ["x.ckpt"] and os.path.samefile(other, tmp_path / "new" / "x.ckpt")


@pytest.mark.parametrize(
    "to, names, made",
    [
        ("safetensors", ["a.ckpt"], ["a.safetensors"]),
        ("safetensors", ["a.ckpt", "a.pt"], ["a.ckpt.safetensors", "a.pt.safetensors"]),
        ("safetensors", ["a.ckpt", "a.pt", "a.pt.ckpt"], ["a.ckpt.safetensors", "a.pt.2.safetensors", "a.pt.safetensors"]),
        ("ckpt", ["a.ckpt", "a.ckpt.ckpt", "a.safetensors"], ["a.ckpt.2.ckpt", "a.ckpt.ckpt", "a.safetensors.ckpt"]),
        ("ckpt", ["A.ckpt", "a.ckpt"], ["A.ckpt", "a.ckpt.ckpt"]),  # one name where a disk does not tell case apart
        ("ckpt", ["d.ckpt/a.pt", "d.safetensors"], ["d.ckpt/a.pt", "d.safetensors.ckpt"]),  # d.ckpt is a folder
        ("ckpt", ["A.SAFETENSORS"], ["A.ckpt"]),
    ],
)  # fmt: skip
def test_every_translation_has_a_name_of_its_own(to: str, names: list[str], made: list[str]) -> None:
    assert list(targets(names, to).values()) == made  # type: ignore[arg-type]
    assert targets(reversed(names), to) == dict(zip(names, made, strict=True))  # type: ignore[arg-type]


def test_no_translation_replaces_another(tmp_path: Path) -> None:
    for epoch, name in enumerate(("same.ckpt", "same.pt", "same.pt.ckpt")):
        save(tmp_path / "runs" / name, epoch=epoch)
    for shard in ("2/2", "1/2"):
        assert (
            legacy("translate", tmp_path / "runs", tmp_path / "new", "--to", "safetensors", "--shard", shard).status
            == 0
        )
    assert len(list((tmp_path / "new").glob("*.safetensors"))) == len(list((tmp_path / "new").glob("*.json"))) == 3
    assert legacy("verify", tmp_path / "runs", tmp_path / "new").status == 0
    again = legacy("translate", tmp_path / "runs", tmp_path / "new", "--to", "safetensors", "--json").json
    assert again["skipped"] == 3
