"""`translate` of one file: written whole, with where it came from, and nothing let through that nobody allowed."""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from pathlib import Path

import pytest
import torch

from tests.legacy.commands.support import checkpoint, legacy, save


@pytest.fixture
def old(tmp_path: Path) -> Path:
    return save(tmp_path / "old.ckpt")


def provenance(path: Path) -> dict[str, object]:
    with zipfile.ZipFile(path) as archive:
        found: dict[str, object] = json.loads(archive.read("archive/provenance.json"))
    return found


def test_plain_torch_loads_what_is_written(old: Path, tmp_path: Path) -> None:
    done = legacy("translate", old, tmp_path / "new.ckpt")
    assert done.status == 0 and "wrapper-prefixes (2)" in done.out
    loaded = torch.load(tmp_path / "new.ckpt", weights_only=True)
    assert list(loaded["state_dict"]) == ["model.readout.weight", "model.readout.bias"]
    assert (
        loaded["state_dict"]["model.readout.bias"].data_ptr() == loaded["state_dict"]["model.readout.weight"].data_ptr()
    )
    assert loaded["optimizer_states"][0]["param_groups"][0]["param_names"] == list(loaded["state_dict"])


def test_records_are_aligned_and_checked(old: Path, tmp_path: Path) -> None:
    legacy("translate", old, tmp_path / "new.ckpt")
    with zipfile.ZipFile(tmp_path / "new.ckpt") as archive:
        assert archive.testzip() is None
        for entry in archive.infolist():
            archive.fp.seek(entry.header_offset + 26)  # type: ignore[union-attr]
            name, extra = (int.from_bytes(archive.fp.read(2), "little") for _ in range(2))  # type: ignore[union-attr]
            assert (entry.header_offset + 30 + name + extra) % 64 == 0
            assert "/data/" not in entry.filename or entry.CRC


def test_where_it_came_from(old: Path, tmp_path: Path) -> None:
    os.utime(old, ns=(10**18, 10**18))
    legacy("translate", old, tmp_path / "new.ckpt")
    found = provenance(tmp_path / "new.ckpt")
    source = found["source"]
    assert isinstance(source, dict) and source["sha256"] == hashlib.sha256(old.read_bytes()).hexdigest()
    assert source["name"] == "old.ckpt" and found["version"] and str(found["time"]).startswith("20")
    assert [rule["name"] for rule in found["rules"]] == ["wrapper-prefixes", "optimizer-by-name"]  # type: ignore[attr-defined]
    assert (tmp_path / "new.ckpt").stat().st_mtime_ns == 10**18
    assert legacy("inspect", tmp_path / "new.ckpt", "--json").json["provenance"] == found


def test_without_the_hash(old: Path, tmp_path: Path) -> None:
    done = legacy("translate", old, tmp_path / "new.ckpt", "--no-sha256")
    source = provenance(tmp_path / "new.ckpt")["source"]
    assert isinstance(source, dict) and source["sha256"] is None and source["bytes"] == old.stat().st_size
    assert done.status == 0 and "SHA-256" not in done.out and " bytes in " in done.out


def test_json(old: Path, tmp_path: Path) -> None:
    found = legacy("translate", old, tmp_path / "new.ckpt", "--json").json
    assert (
        found["kind"] == "PLCoreVisionModel"
        and found["written"]
        and found["bytes"] == (tmp_path / "new.ckpt").stat().st_size
    )


def test_twice_changes_nothing(old: Path, tmp_path: Path) -> None:
    legacy("translate", old, tmp_path / "one.ckpt")
    found = legacy("translate", tmp_path / "one.ckpt", tmp_path / "two.ckpt", "--json").json
    assert found["rules"] == [] and found["replaced"] == {}
    with zipfile.ZipFile(tmp_path / "one.ckpt") as one, zipfile.ZipFile(tmp_path / "two.ckpt") as two:
        names = [name for name in one.namelist() if not name.endswith("provenance.json")]
        assert all(one.read(name) == two.read(name) for name in names) and one.namelist() == two.namelist()
    first = provenance(tmp_path / "two.ckpt")["previous"]
    assert first == provenance(tmp_path / "one.ckpt")


def test_a_dry_run_writes_nothing(old: Path, tmp_path: Path) -> None:
    done = legacy("translate", old, tmp_path / "new.ckpt", "--dry-run")
    assert done.status == 0 and "would be translated" in done.out and os.listdir(tmp_path) == ["old.ckpt"]


@pytest.mark.parametrize("more", [[], ["--dry-run"]])
def test_the_source_is_never_written_over(old: Path, tmp_path: Path, more: list[str]) -> None:
    before = old.read_bytes()
    (tmp_path / "link.ckpt").symlink_to(old)
    os.link(old, tmp_path / "hard.ckpt")
    for target in (old, tmp_path / "link.ckpt", tmp_path / "hard.ckpt", tmp_path):
        assert legacy("translate", old, target, *more).status == 2
    assert old.read_bytes() == before


def test_into_a_folder(old: Path, tmp_path: Path) -> None:
    (tmp_path / "made").mkdir()
    assert legacy("translate", old, tmp_path / "made").status == 0
    assert legacy("translate", old, tmp_path / "made", "--to", "safetensors").status == 0
    assert sorted(os.listdir(tmp_path / "made")) == ["old.ckpt", "old.json", "old.safetensors"]


def test_safetensors(old: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file

    done = legacy("translate", old, tmp_path / "new.safetensors", "--to", "safetensors")
    assert done.status == 0 and "without their values: optimizer_states (4)" in done.out
    loaded = load_file(tmp_path / "new.safetensors")
    assert torch.equal(loaded["model.readout.weight"], torch.arange(6.0).reshape(2, 3)) and len(loaded) == 2
    beside = json.loads((tmp_path / "new.json").read_text())
    assert beside["checkpoint"]["hyper_parameters"]["cids"] == [1, 2] and beside["provenance"]["source"]["sha256"]


def test_what_cannot_be_safetensors_is_said_with_the_files_name(tmp_path: Path) -> None:
    torch.save(torch.ones(2), tmp_path / "bare.pt")
    done = legacy("translate", tmp_path / "bare.pt", tmp_path / "new.safetensors")
    assert done.status == 3 and f"{tmp_path}/bare.pt: it is a tensor, without a state dict" in done.err


def test_what_nobody_allowed(tmp_path: Path) -> None:
    path = save(tmp_path / "old.ckpt", extra=[print])
    done = legacy("translate", path, tmp_path / "new.ckpt", "--json")
    assert done.status == 3 and "builtins.print at checkpoint['extra'][0]" in done.err and done.json["status"] == 3
    assert os.listdir(tmp_path) == ["old.ckpt"]
    assert legacy("translate", path, tmp_path / "new.ckpt", "--dry-run").status == 3


def test_allowed_names_stay_as_records(tmp_path: Path) -> None:
    path = save(tmp_path / "old.ckpt", extra=[print])
    done = legacy("translate", path, tmp_path / "new.ckpt", "--allow", "builtins.print")
    assert done.status == 0 and "for the names that were allowed: builtins.print" in done.out
    assert provenance(tmp_path / "new.ckpt")["warnings"]
    assert torch.load(tmp_path / "new.ckpt", weights_only=False)["extra"] == [print]
    assert legacy("inspect", tmp_path / "new.ckpt").status == 3  # it is as it was
    assert legacy("translate", path, tmp_path / "two.ckpt", "--allow", "builtins.len").status == 3


def test_a_damaged_tensor_is_seen_where_it_is_looked_for(old: Path, tmp_path: Path) -> None:
    data = bytearray(old.read_bytes())
    data[data.index(bytes(torch.arange(6.0).numpy()))] ^= 1
    old.write_bytes(data)
    done = legacy("translate", old, tmp_path / "new.ckpt", "--check")
    assert done.status == 2 and "corrupt" in done.err
    assert not (tmp_path / "new.ckpt").exists()


def test_a_destination_that_cannot_be(old: Path, tmp_path: Path) -> None:
    done = legacy("translate", old, tmp_path / "no" / "such" / "new.ckpt")
    assert done.status == 2 and "cannot be written" in done.err


def test_a_full_disk_leaves_nothing(old: Path) -> None:
    done = legacy("translate", old, "/dev/full")
    assert done.status == 2 and "not a file" in done.err


RULES = """
[[rule]]
name = "readout became readouts.0"
rename = { from = "model.readout.", to = "model.readouts.0." }
"""


def test_a_users_rules(old: Path, tmp_path: Path) -> None:
    (tmp_path / "rules.toml").write_text(RULES)
    done = legacy("translate", old, tmp_path / "new.ckpt", "--rules", tmp_path / "rules.toml")
    assert done.status == 0 and "readout became readouts.0 (2)" in done.out
    assert list(torch.load(tmp_path / "new.ckpt")["state_dict"]) == ["model.readouts.0.weight", "model.readouts.0.bias"]
    # the rules are in the provenance, so verifying needs no file
    assert legacy("verify", old, tmp_path / "new.ckpt").status == 0


def test_a_rules_file_that_is_none(old: Path, tmp_path: Path) -> None:
    (tmp_path / "rules.toml").write_text('[[rule]]\nname = "x"\nrenam = { from = "a", to = "b" }\n')
    done = legacy("translate", old, tmp_path / "new.ckpt", "--rules", tmp_path / "rules.toml")
    assert done.status == 2 and "'rename' is meant?" in done.err


def test_an_option_for_folders(old: Path, tmp_path: Path) -> None:
    done = legacy("translate", old, tmp_path / "new.ckpt", "--shard", "1/2")
    assert done.status == 2 and "--shard is for folders" in done.err


def test_big_endian_files(tmp_path: Path) -> None:
    import io

    buffer = io.BytesIO()
    torch.save(checkpoint(), buffer)
    with zipfile.ZipFile(buffer) as archive, zipfile.ZipFile(tmp_path / "old.ckpt", "w") as made:
        for name in archive.namelist():
            data = archive.read(name)
            if name.endswith("byteorder"):
                data = b"big"
            elif "/data/" in name:
                data = bytes(
                    torch.frombuffer(bytearray(data), dtype=torch.uint8).reshape(-1, 4).flip(1).flatten().tolist()
                )
            made.writestr(name, data)
    assert legacy("translate", tmp_path / "old.ckpt", tmp_path / "new.ckpt").status == 0
    state = torch.load(tmp_path / "new.ckpt", weights_only=True)["state_dict"]
    assert torch.equal(state["model.readout.bias"], torch.tensor([0.0, 1.0]))
    assert legacy("verify", tmp_path / "old.ckpt", tmp_path / "new.ckpt").status == 0


@pytest.mark.parametrize("folder", [False, True])
def test_a_name_of_two_lines_forges_none(tmp_path: Path, folder: bool) -> None:
    (tmp_path / "runs").mkdir()
    evil = tmp_path / "runs" / "a.ckpt"
    evil.write_bytes(b"\x80\x04]\x8c\x01x\x8c\x0ff\nall is well\x1b[\x93a.")
    done = legacy("translate", evil.parent if folder else evil, tmp_path / "new")
    assert done.status == 3 and "x.f\\nall is well\\x1b[" in done.err and "\x1b" not in done.err
