"""A write is whole or it is nothing, and what was there before outlives one that fails."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from tests.visioncore.data.formats.support import FORMATS, recording, same
from visioncore.data import formats
from visioncore.data.errors import DataError
from visioncore.data.formats import read_recording, write_recording

NEW = {"metadata": {"name": "new"}}


@contextmanager
def full_disk(limit: int) -> Iterator[None]:
    """No file of this process grows over `limit` bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.parametrize("suffix", FORMATS)
def test_the_new_takes_the_place_of_the_old(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    write_recording(recording(ori=torch.zeros(40)), path)
    write_recording(recording(**NEW), path)
    assert same(read_recording(path), recording(**NEW))
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("limit", [0, 3000])
def test_the_previous_file_survives_a_full_disk(tmp_path: Path, suffix: str, limit: int) -> None:
    path = tmp_path / f"a{suffix}"
    write_recording(recording(), path)
    noise = torch.randint(0, 256, (40, 50, 50), dtype=torch.uint8)
    with pytest.raises(OSError), full_disk(limit):
        write_recording(recording(stim=noise), path)
    assert same(read_recording(path), recording())
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("suffix", FORMATS)
def test_nothing_is_left_of_what_failed(tmp_path: Path, suffix: str) -> None:
    with pytest.raises(OSError), full_disk(1000):
        write_recording(recording(), tmp_path / f"a{suffix}")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("failing", ["sync", "_put"])
def test_the_previous_file_survives_a_disk_that_fails_late(
    tmp_path: Path, suffix: str, failing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / f"a{suffix}"
    write_recording(recording(), path)

    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(formats, failing, fail)
    with pytest.raises(OSError, match="No space left"):
        write_recording(recording(**NEW), path)
    assert same(read_recording(path), recording())
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_cannot_be_put_in_place_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.zarr"
    write_recording(recording(), path)
    replace, calls = os.replace, []

    def second_fails(source: Path, target: Path) -> None:
        calls.append(target)
        if len(calls) == 2:
            raise OSError(5, "Input/output error")
        replace(source, target)

    monkeypatch.setattr(os, "replace", second_fails)
    with pytest.raises(OSError, match="Input/output"):
        write_recording(recording(**NEW), path)
    assert same(read_recording(path), recording())
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("suffix", FORMATS)
def test_on_the_disk_before_it_has_the_name(tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[str] = []
    written = tmp_path / f"a{suffix}"
    fsync, replace = os.fsync, os.replace

    def synced(descriptor: int) -> None:
        events.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        fsync(descriptor)

    def renamed(source: Path, target: Path) -> None:
        if target == written:  # zarr renames its parts, too
            events.append("rename")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", renamed)
    write_recording(recording(), written)
    before, after = events[: events.index("rename")], events[events.index("rename") + 1 :]
    assert after == [str(tmp_path)]
    assert len(before) == len([written, *written.rglob("*")])


def test_a_folder_under_the_name_of_a_file_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "a.h5").mkdir()
    (tmp_path / "a.h5" / "precious").touch()
    with pytest.raises(OSError):
        write_recording(recording(), tmp_path / "a.h5")
    assert [each.name for each in tmp_path.rglob("*")] == ["a.h5", "precious"]


def test_folders_on_the_way_are_made(tmp_path: Path) -> None:
    write_recording(recording(), tmp_path / "x" / "datasets" / "a.h5")
    assert read_recording(tmp_path / "x" / "datasets" / "a.h5").frames == 40


@pytest.mark.parametrize("suffix", FORMATS)
def test_the_recording_itself_is_left_alone(tmp_path: Path, suffix: str) -> None:
    made = recording()
    write_recording(made, tmp_path / f"a{suffix}")
    assert same(made, recording())
    read = read_recording(tmp_path / f"a{suffix}")
    read["robs"].add_(1)  # what was read can be written to
    assert same(read_recording(tmp_path / f"a{suffix}"), recording())


def test_packages_are_loaded_when_needed_and_the_extra_is_named_where_they_are_missing(tmp_path: Path) -> None:
    """In a process of its own: they are loaded in this one."""
    program = """
import sys
from pathlib import Path
from visioncore.data.errors import DataError
from visioncore.data.formats import read_recording
packages = {".h5": "h5py", ".zarr": "zarr", ".nwb": "pynwb"}
print(sorted(set(packages.values()) & set(sys.modules)))
for suffix, package in packages.items():
    sys.modules[package] = None
    path = Path(sys.argv[1], "a" + suffix)
    path.touch()
    try:
        read_recording(path)
    except DataError as error:
        print(error)
    if package == "h5py":
        del sys.modules[package]
"""
    ran = subprocess.run([sys.executable, "-c", program, tmp_path], capture_output=True, text=True, check=True)
    expected = [
        f"{tmp_path}/a{suffix}: this format needs {package}, which is not installed: pip install 'visioncore-migration[data]'"
        for suffix, package in ((".h5", "h5py"), (".zarr", "zarr"), (".nwb", "pynwb"))
    ]
    assert ran.stdout.splitlines() == ["[]", *expected]


def test_a_refusal_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a\.nwb: NWB needs stim, robs and t_bins"):
        made = recording()
        covariates = {name: value for name, value in made.covariates.items() if name != "t_bins"}
        write_recording(type(made)(covariates), tmp_path / "a.nwb")
