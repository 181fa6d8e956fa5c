"""The manifest: what it notices, and what happens to it when the disk is full, a run is killed or two of them meet."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from legacy.manifest import Manifest
from legacy.translate import Options
from tests.legacy.commands.support import ROOT, Done, legacy, save

LIMITED = """
import resource, sys
from legacy.cli import main
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2)
sys.exit(main(sys.argv[2:]))
"""


def without_room(most: int, *arguments: object) -> Done:
    """The command where no file may grow over `most` bytes: the line that would is cut off, as on a full disk."""
    command = [sys.executable, "-c", LIMITED, str(most), *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900)
    assert "Traceback" not in done.stderr, done.stderr
    return Done(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    for index in range(12):
        save(tmp_path / "runs" / f"{index}.ckpt")
    return tmp_path / "runs"


def test_a_disk_that_fills_up_under_the_manifest_stops_nothing(runs: Path, tmp_path: Path) -> None:
    new = tmp_path / "new"
    done = without_room(4096, "translate", runs, new, "--json")
    assert done.status == 2 and done.json["translated"] == 12 and len(list(new.glob("*.ckpt"))) == 12
    lines = (new / "manifest.jsonl").read_text().splitlines()
    assert [json.loads(line)["status"] for line in lines] == [0] * len(lines)  # none is cut off
    assert done.json["unrecorded"] == 12 - len(lines) > 0
    assert f"{new / 'manifest.jsonl'} could not be written: File too large" in done.err and "make room" in done.err
    again = legacy("translate", runs, new, "--json")
    assert again.status == 0 and again.json["skipped"] == len(lines) and again.json["unrecorded"] == 0
    assert legacy("translate", runs, new, "--json").json["skipped"] == 12


@pytest.mark.parametrize("cut", [1, 30])
def test_a_line_cut_off_in_the_middle_spoils_no_other(runs: Path, tmp_path: Path, cut: int) -> None:
    """Neither those before it nor the next one, which begins anew."""
    path = tmp_path / "new" / "manifest.jsonl"
    legacy("translate", runs, tmp_path / "new")
    path.write_bytes(path.read_bytes()[:-cut])
    save(runs / "more.ckpt")
    assert legacy("translate", runs, tmp_path / "new", "--json").json["skipped"] == (12 if cut == 1 else 11)
    assert legacy("translate", runs, tmp_path / "new", "--json").json["skipped"] == 13


def test_two_runs_never_write_one_manifest(tmp_path: Path) -> None:
    runs, new = tmp_path / "runs", tmp_path / "new"
    for name in ("a", "b"):
        save(runs / f"{name}.ckpt")
    with Manifest(new, Options(), (1, 2)).opened():
        done = legacy("translate", runs, new, "--shard", "1/2")
        assert done.status == 2 and "manifest-1-of-2.jsonl is being written by another run" in done.err
        assert legacy("translate", runs, new, "--shard", "2/2").status == 0
    assert legacy("translate", runs, new, "--shard", "1/2").status == 0


@pytest.mark.parametrize("change", ["gone", "cut off"])
def test_the_json_beside_safetensors_is_looked_at_too(tmp_path: Path, change: str) -> None:
    save(tmp_path / "runs" / "a.ckpt")
    command = ("translate", tmp_path / "runs", tmp_path / "new", "--to", "safetensors", "--json")
    legacy(*command)
    assert legacy(*command).json["skipped"] == 1
    configuration = tmp_path / "new" / "a.json"
    whole = configuration.stat().st_size
    if change == "gone":
        configuration.unlink()
    else:
        os.truncate(configuration, whole // 2)
    assert legacy(*command).json["translated"] == 1 and json.loads(configuration.read_text())


def test_a_translation_that_another_took_the_place_of_is_made_again(tmp_path: Path) -> None:
    """The same name, the same size: a.safetensors was a.ckpt's before there was an a.pt, and is now b's no more than a's."""
    runs, new = tmp_path / "runs", tmp_path / "new"
    command = ("translate", runs, new, "--to", "safetensors", "--json")
    save(runs / "a.ckpt")
    legacy(*command)
    (runs / "a.ckpt").rename(tmp_path / "a.ckpt")
    save(runs / "a.pt")
    assert legacy(*command).json["translated"] == 1
    (runs / "a.pt").unlink()
    (tmp_path / "a.ckpt").rename(runs / "a.ckpt")
    assert legacy(*command).json["translated"] == 1


def test_what_a_killed_run_had_begun_is_taken_away(tmp_path: Path) -> None:
    save(tmp_path / "runs" / "a.ckpt")
    (tmp_path / "new").mkdir()
    for name in ("a.safetensors", "a.json"):
        (tmp_path / "new" / f".{name}.0123abcd.partial").write_text("")
    legacy("translate", tmp_path / "runs", tmp_path / "new", "--to", "safetensors")
    assert sorted(os.listdir(tmp_path / "new")) == ["a.json", "a.safetensors", "manifest.jsonl"]
