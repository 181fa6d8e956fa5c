"""A written file is there whole or not at all, never over its source, and no larger in memory than its pickle."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch

from legacy.checkpoint import CheckpointError, Damaged, Refused, read, write_ckpt, write_safetensors
from legacy.checkpoint.pickles import run
from legacy.checkpoint.pickles.emit import Emitter
from legacy.checkpoint.pickles.machine import Machine
from legacy.checkpoint.records import Call, Global, Storage
from legacy.translate import Form, Options, translate
from tests.legacy.checkpoint.support import saved, unpickled

ROOT = Path(__file__).parents[3]
VALUE = {"w": torch.arange(1000.0)}


def alone(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Python on its own, without what this process has imported."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    # coverage would import what is asked for here
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env={**inherited, "PYTHONPATH": str(ROOT)})


def test_neither_torch_nor_numpy_is_needed() -> None:
    done = alone("import sys, legacy.checkpoint; print({'torch', 'numpy', 'pickle'} & set(sys.modules))")
    assert (done.stdout, done.stderr) == ("set()\n", "")


def test_the_package_has_the_names_lazily() -> None:
    done = alone(
        "import sys, legacy; assert 'legacy.checkpoint' not in sys.modules; print(legacy.read, dir(legacy)); legacy.nope"
    )
    assert "function read" in done.stdout
    assert "has no attribute 'nope'" in done.stderr


def test_times_are_kept_and_provenance_is_carried(tmp_path: Path) -> None:
    checkpoint = saved(tmp_path / "a", VALUE)
    os.utime(tmp_path / "a", ns=(1, 1_234_567_890_123_456_789))
    checkpoint = read(tmp_path / "a")
    written = write_ckpt(checkpoint, checkpoint.root, tmp_path / "b", {"sha256": "ab", "rules": ["x"]})
    assert (tmp_path / "b").stat().st_mtime_ns == 1_234_567_890_123_456_789
    assert written.nbytes == (tmp_path / "b").stat().st_size
    assert read(tmp_path / "b").provenance == {"sha256": "ab", "rules": ["x"]}
    assert checkpoint.provenance is None


def test_writing_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    checkpoint = saved(tmp_path / "a", {**VALUE, "names": {"b", "a", "c"}})
    write_ckpt(checkpoint, checkpoint.root, tmp_path / "b", {})
    again = read(tmp_path / "b")
    write_ckpt(again, again.root, tmp_path / "c", {})
    assert (tmp_path / "b").read_bytes() == (tmp_path / "c").read_bytes()


def test_only_the_storages_that_are_named_are_written(tmp_path: Path) -> None:
    checkpoint = saved(tmp_path / "a", {"keep": torch.ones(3), "drop": torch.ones(1000)})
    write_ckpt(checkpoint, {"kept": checkpoint.root["keep"]}, tmp_path / "b", {})
    assert torch.load(tmp_path / "b", weights_only=True)["kept"].tolist() == [1, 1, 1]
    with zipfile.ZipFile(tmp_path / "b") as archive:
        assert [name for name in archive.namelist() if "/data/" in name] == ["archive/data/0"]


@pytest.mark.parametrize("way", ["the name", "another path", "a symbolic link", "a hard link"])
def test_the_source_is_never_written_over(tmp_path: Path, way: str) -> None:
    checkpoint = saved(tmp_path / "a", VALUE)
    before = (tmp_path / "a").read_bytes()
    (tmp_path / "folder").mkdir()
    target = {"the name": tmp_path / "a", "another path": tmp_path / "folder" / ".." / "a"}.get(way, tmp_path / "link")
    if way == "a symbolic link":
        target.symlink_to(tmp_path / "a")
    elif way == "a hard link":
        target.hardlink_to(tmp_path / "a")
    for write in (write_ckpt, write_safetensors):
        with pytest.raises(CheckpointError, match="that is read"):
            write(checkpoint, checkpoint.root, target, {})
    assert (tmp_path / "a").read_bytes() == before


def test_a_source_that_changed_since_is_damaged(tmp_path: Path) -> None:
    checkpoint = saved(tmp_path / "a", VALUE)
    torch.save({"w": torch.zeros(1000)}, tmp_path / "a")
    os.utime(tmp_path / "a", ns=(1, 1))
    with pytest.raises(Damaged, match="was changed"):
        write_ckpt(checkpoint, checkpoint.root, tmp_path / "b", {})


def test_a_destination_that_cannot_be_written(tmp_path: Path) -> None:
    checkpoint = saved(tmp_path / "a", VALUE)
    (tmp_path / "folder").mkdir()
    for target in (tmp_path / "folder", tmp_path / "missing" / "b", Path("/dev/null")):
        with pytest.raises(CheckpointError, match=str(target)):
            write_ckpt(checkpoint, checkpoint.root, target, {})


def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint = saved(tmp_path / "a", VALUE)

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(CheckpointError, match="No space left"):
        write_ckpt(checkpoint, checkpoint.root, tmp_path / "b", {})
    assert [file.name for file in tmp_path.iterdir()] == ["a"]


def test_where_files_cannot_be_cloned_they_are_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "major", lambda device: 0)
    checkpoint = saved(tmp_path / "a", {"w": torch.arange(1_000_000)})
    results = []
    for name in ("b", "c"):
        write_ckpt(checkpoint, checkpoint.root, tmp_path / name, {})
        results.append((tmp_path / name).read_bytes())

        def refuse(*_: object) -> int:
            raise OSError(errno.EXDEV, "across devices")

        monkeypatch.setattr(os, "copy_file_range", refuse)
    monkeypatch.delattr(os, "copy_file_range")
    write_ckpt(checkpoint, checkpoint.root, tmp_path / "d", {})
    assert results[0] == results[1] == (tmp_path / "d").read_bytes()


@pytest.mark.parametrize("moment", ["replace", "fsync"])
def test_killed_before_the_name_is_given_there_is_no_file(tmp_path: Path, moment: str) -> None:
    torch.save(VALUE, tmp_path / "a")
    (tmp_path / "kept").write_text("what was there")
    done = alone(
        f"""
import os, signal, sys
from legacy.checkpoint import read, write_ckpt
os.{moment} = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
checkpoint = read(sys.argv[1])
write_ckpt(checkpoint, checkpoint.root, sys.argv[2], {{}})
""",
        tmp_path / "a",
        tmp_path / "kept",
    )
    assert done.returncode == -signal.SIGKILL
    assert (tmp_path / "kept").read_text() == "what was there"
    rest = [file.name for file in tmp_path.iterdir() if file.name not in ("a", "kept")]
    assert [name.endswith(".partial") for name in rest] == [True]


@pytest.mark.parametrize("form", ["ckpt", "safetensors"])
def test_only_where_it_is_to_be_synced_is_the_disk_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: Form
) -> None:
    torch.save({"state_dict": {"w": torch.ones(3)}}, tmp_path / "a")

    def refuse(_: int) -> None:
        raise OSError(errno.EIO, "the disk is waited for")

    monkeypatch.setattr(os, "fsync", refuse)
    monkeypatch.setattr(os, "fdatasync", refuse)
    with pytest.raises(CheckpointError, match="waited for"):
        translate(tmp_path / "a", tmp_path / "synced", Options(to=form))
    translate(tmp_path / "a", tmp_path / "left", Options(to=form, synced=False))
    monkeypatch.undo()
    translate(tmp_path / "a", tmp_path / "synced", Options(to=form))
    assert (tmp_path / "left").stat().st_size == (tmp_path / "synced").stat().st_size


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak is read from /proc")
def test_tensors_larger_than_the_memory_allowed(tmp_path: Path) -> None:
    with torch.serialization.skip_data():  # a hole of that size
        torch.save({"state_dict": {"w": torch.empty(50_000_000)}}, tmp_path / "a")
    done = alone(
        """
import os, re, sys
from legacy.checkpoint import read, write_ckpt, write_safetensors
from legacy.checkpoint.contents import digest
from legacy.checkpoint.tensors import tensors
checkpoint = read(sys.argv[1])
with checkpoint.source.open() as descriptor:
    for _, tensor in tensors(checkpoint.root):
        digest(checkpoint, descriptor, tensor)
for write in (write_ckpt, write_safetensors):
    write(checkpoint, checkpoint.root, sys.argv[2], {})
    assert os.path.getsize(sys.argv[2]) > 200_000_000
print(int(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1]) // 1024)
""",
        tmp_path / "a",
        tmp_path / "b",
    )
    (tmp_path / "b").unlink()
    assert done.stderr == ""
    assert int(done.stdout) < 60


# What cannot be written


@pytest.mark.parametrize(
    ("value", "word"),
    [
        (1 << 2040, "2,041 bits"),
        (object(), "a object"),
        ({"a": torch.ones(1)}, "a Tensor"),
        (Global("os\nc", "x"), "as a name"),
        (Global("dbm", "x"), "as a name"),
        (Global("", "x"), "as a name"),
    ],
)
def test_what_the_format_has_no_words_for(value: object, word: str) -> None:
    with pytest.raises(Refused, match=word):
        Emitter().emit(value)


def test_a_tuple_or_call_within_itself_is_refused() -> None:
    inner: list[object] = []
    inner.append((inner,))
    call = Call(Global("torch", "Size"), ())
    call.args = ([call],)
    for value in (inner[0], call):
        with pytest.raises(Refused, match="contains itself"):
            Emitter().emit(value)


def test_a_structure_of_another_file_is_turned_down(tmp_path: Path) -> None:
    checkpoint = saved(tmp_path / "a", VALUE)
    with pytest.raises(CheckpointError, match="has no storage '77'"):
        write_ckpt(checkpoint, [Storage("77", "float32", 1, "cpu")], tmp_path / "b", {})


def test_a_name_in_an_opcode_of_its_own_cannot_be_smuggled_in() -> None:
    value = unpickled(b"\x80\x04\x8c\x0ctorch\nSize\n.\x8c\x01x\x93.")
    with pytest.raises(Refused):
        Emitter(allow=[str(value)]).emit(value)


def test_depth_is_written_without_recursion() -> None:
    code = b"\x80\x02" + b"]" * 50_000 + b"a" * 49_999 + b"."
    emitted = Emitter().emit(unpickled(code))
    assert run(Machine(emitted)) is not None


def test_a_hundred_thousand_shared_lists_are_written_once_each() -> None:
    value: list[object] = []
    for _ in range(60):
        value = [value, value]
    assert len(Emitter().emit(value)) < 1000
