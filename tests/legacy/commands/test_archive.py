"""A folder of checkpoints: in parallel, resumable after a kill, in shards, and no file stops another."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.legacy.commands.support import ROOT, legacy, save


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    for name in ("a/last.ckpt", "a/epoch=1.ckpt", "b/last.ckpt", "weights.pt"):
        save(tmp_path / "runs" / name)
    (tmp_path / "runs" / "notes.txt").write_text("not a checkpoint")
    return tmp_path / "runs"


def manifest(folder: Path, name: str = "manifest.jsonl") -> dict[str, dict[str, Any]]:
    """The last line of each file."""
    lines = [json.loads(line) for line in (folder / name).read_text().splitlines()]
    return {line["source"]: line for line in lines}


def made(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("jobs", [1, 3])
def test_the_whole_folder(runs: Path, tmp_path: Path, jobs: int) -> None:
    done = legacy("translate", runs, tmp_path / "new", "--jobs", jobs, "--json")
    assert done.status == 0 and done.json["translated"] == done.json["files"] == 4 and done.json["failed"] == 0
    assert made(tmp_path / "new") == ["a/epoch=1.ckpt", "a/last.ckpt", "b/last.ckpt", "manifest.jsonl", "weights.pt"]
    lines = manifest(tmp_path / "new")
    assert set(lines) == {"a/epoch=1.ckpt", "a/last.ckpt", "b/last.ckpt", "weights.pt"}
    assert all(line["status"] == 0 and line["rules"] and len(line["sha256"]) == 64 for line in lines.values())
    assert legacy("verify", runs, tmp_path / "new", "--json").json["same"]


def test_text_for_people(runs: Path, tmp_path: Path) -> None:
    done = legacy("translate", runs, tmp_path / "new")
    assert "4 of 4 checkpoints translated" in done.out and "manifest.jsonl has a line for each" in done.out


def test_one_bad_file_never_stops_the_rest(runs: Path, tmp_path: Path) -> None:
    (runs / "a" / "bad.pth.tar").write_bytes(b"no checkpoint")
    save(runs / "b" / "evil.ckpt", extra=[print])
    done = legacy("translate", runs, tmp_path / "new", "--jobs", 2, "--json")
    assert done.status == 3 and done.json["translated"] == 4
    assert {line["source"]: line["status"] for line in done.json["failures"]} == {"a/bad.pth.tar": 2, "b/evil.ckpt": 3}
    assert "builtins.print" in done.err and "bad.pth.tar" in done.err
    lines = manifest(tmp_path / "new")
    assert lines["a/bad.pth.tar"]["status"] == 2 and "builtins.print" in lines["b/evil.ckpt"]["error"]
    assert not (tmp_path / "new" / "b" / "evil.ckpt").exists()
    (runs / "b" / "evil.ckpt").unlink()
    assert legacy("translate", runs, tmp_path / "new").status == 2  # it is tried again, and the others are not


def test_what_is_done_is_not_done_again(runs: Path, tmp_path: Path) -> None:
    legacy("translate", runs, tmp_path / "new")
    before = {path: path.stat().st_ino for path in (tmp_path / "new").rglob("*.ckpt")}
    assert legacy("translate", runs, tmp_path / "new", "--json").json["skipped"] == 4
    assert before == {path: path.stat().st_ino for path in before}


@pytest.mark.parametrize("change", ["source", "translation", "rules", "torn"])
def test_what_has_changed_is_done_again(runs: Path, tmp_path: Path, change: str) -> None:
    legacy("translate", runs, tmp_path / "new")
    more: list[object] = []
    if change == "source":
        save(runs / "b" / "last.ckpt", epoch=7)
    elif change == "translation":
        (tmp_path / "new" / "b" / "last.ckpt").unlink()
    elif change == "rules":
        (tmp_path / "rules.toml").write_text('[[rule]]\nname = "x"\nset_hyper_parameter = { name = "x", value = 1 }\n')
        more = ["--rules", tmp_path / "rules.toml"]
    else:
        path = tmp_path / "new" / "manifest.jsonl"
        path.write_bytes(path.read_bytes()[:-30])
    found = legacy("translate", runs, tmp_path / "new", "--json", *more).json
    assert found["translated"] == (4 if change == "rules" else 1) and found["failed"] == 0
    assert all(json.loads(line) for line in (tmp_path / "new" / "manifest.jsonl").read_text().splitlines()[-1:])


def test_killed_and_gone_on_with(tmp_path: Path) -> None:
    """SIGKILL in the middle: no file is half there, and the second run does what was left."""
    save(tmp_path / "runs" / "00.ckpt", padding=torch.zeros(2_000_000))
    for index in range(1, 30):
        shutil.copy(tmp_path / "runs" / "00.ckpt", tmp_path / "runs" / f"{index:02}.ckpt")
    command = [
        sys.executable,
        "-m",
        "legacy",
        "translate",
        str(tmp_path / "runs"),
        str(tmp_path / "new"),
        "--jobs",
        "2",
    ]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 30
    while not list((tmp_path / "new").glob("*.ckpt")) and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    here = list((tmp_path / "new").glob("*.ckpt"))
    assert 0 < len(here) < 30
    for path in here:
        torch.load(path, weights_only=True)
    done = legacy("translate", tmp_path / "runs", tmp_path / "new", "--jobs", "2", "--json")
    assert done.status == 0 and done.json["skipped"] + done.json["translated"] == 30
    left = [name for name in os.listdir(tmp_path / "new") if name.startswith(".")]
    assert not left and len(list((tmp_path / "new").glob("*.ckpt"))) == 30
    again = legacy("translate", tmp_path / "runs", tmp_path / "new", "--json").json
    assert again["skipped"] == 30


def test_a_process_that_is_killed_costs_its_own_file_only(runs: Path, tmp_path: Path) -> None:
    """As by a system out of memory."""
    code = f"""
import os, signal, sys
from legacy import archive, layout
from legacy.translate import Options
from pathlib import Path
def run(task):
    if task.name == "b/last.ckpt":
        os.kill(os.getpid(), signal.SIGKILL)
    return archive.run_task(task)
if __name__ == "__main__":
    from legacy.workers import each
    options = Options()
    tasks = [archive.Task(n, t, Path({str(runs)!r}) / n, Path({str(tmp_path / "new")!r}) / t, options)
             for n, t in layout.targets(layout.found(Path({str(runs)!r}), Path("none")).names).items()]
    print(sorted((task.name, line and line["status"]) for task, line in each(run, tasks, 2)))
"""
    (tmp_path / "killing.py").write_text(code)
    done = subprocess.run([sys.executable, tmp_path / "killing.py"], env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True)  # fmt: skip
    assert eval(done.stdout) == [("a/epoch=1.ckpt", 0), ("a/last.ckpt", 0), ("b/last.ckpt", None), ("weights.pt", 0)], (
        done.stderr
    )


def test_what_a_manifest_has_as_done_is_on_the_disk(runs: Path, tmp_path: Path) -> None:
    done = legacy("translate", runs, tmp_path / "new", "--no-sync")
    assert done.status == 2 and "--no-sync is for a single file" in done.err
    assert not (tmp_path / "new").exists()


def test_shards_share_the_work_and_know_of_each_other(runs: Path, tmp_path: Path) -> None:
    found = [legacy("translate", runs, tmp_path / "new", "--shard", f"{i}/3", "--json").json for i in (1, 2, 3)]
    assert sorted(each["files"] for each in found) == [1, 1, 2] and sum(each["translated"] for each in found) == 4
    assert len(made(tmp_path / "new")) == 4 + 3
    assert legacy("translate", runs, tmp_path / "new", "--json").json["skipped"] == 4


def test_a_dry_run_writes_nothing(runs: Path, tmp_path: Path) -> None:
    (runs / "a" / "bad.ckpt").write_bytes(b"no checkpoint")
    done = legacy("translate", runs, tmp_path / "new", "--dry-run", "--json")
    assert done.status == 2 and done.json["translated"] == 4 and done.json["manifest"] is None
    assert not (tmp_path / "new").exists()


def test_a_destination_within_the_source_is_left_out(runs: Path) -> None:
    for _ in range(2):
        assert legacy("translate", runs, runs / "new", "--json").json["files"] == 4


@pytest.mark.parametrize("target", ["runs", "file"])
def test_a_destination_that_cannot_be(runs: Path, tmp_path: Path, target: str) -> None:
    (tmp_path / "file").write_text("here already")
    done = legacy("translate", runs, tmp_path / target)
    assert done.status == 2 and (tmp_path / "file").read_text() == "here already"
    assert len(made(runs)) == 5


def test_folders_as_safetensors(runs: Path, tmp_path: Path) -> None:
    save(runs / "a" / "last.pt")
    assert legacy("translate", runs, tmp_path / "new", "--to", "safetensors").status == 0
    names = [name for name in made(tmp_path / "new") if name.endswith(".safetensors")]
    # two files that would have one name keep their own
    assert names == ["a/epoch=1.safetensors", "a/last.ckpt.safetensors", "a/last.pt.safetensors", "b/last.safetensors", "weights.safetensors"]  # fmt: skip
    assert legacy("verify", runs, tmp_path / "new").status == 0


def test_an_empty_folder(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    done = legacy("translate", tmp_path / "runs", tmp_path / "new", "--json")
    assert done.status == 0 and done.json["files"] == 0


def test_corrupt_tensors_are_found_in_folders_without_asking(runs: Path, tmp_path: Path) -> None:
    path = runs / "b" / "last.ckpt"
    data = bytearray(path.read_bytes())
    data[data.index(bytes(torch.arange(6.0).numpy()))] ^= 1
    path.write_bytes(data)
    done = legacy("translate", runs, tmp_path / "new", "--json")
    assert done.status == 2 and [line["source"] for line in done.json["failures"]] == ["b/last.ckpt"]
    assert legacy("translate", runs, tmp_path / "new", "--no-check").status == 0
