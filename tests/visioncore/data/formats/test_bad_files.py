"""Of a file that is no recording, or no longer one, a sentence: which file, and what is wrong with it."""

from __future__ import annotations

import json
import shutil
import warnings
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.visioncore.data.formats.support import FORMATS, NATIVE, recording, same
from visioncore.data.errors import DataError
from visioncore.data.formats import read_recording, write_recording

OTHERS = {".h5": ".zarr", ".zarr": ".h5", ".nwb": ".dset", ".dset": ".nwb"}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A good file of each format."""
    folder = tmp_path_factory.mktemp("written")
    for suffix in FORMATS:
        write_recording(recording(frames=12), folder / f"good{suffix}")
    return {suffix: folder / f"good{suffix}" for suffix in FORMATS}


def refused(path: Path, told: str | None = None) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(DataError, match=told) as error:
            read_recording(path)
    sentence = str(error.value)
    assert sentence.startswith(str(path)) and "\n" not in sentence and sentence.count(str(path)) <= 2


@pytest.mark.parametrize("suffix", FORMATS)
def test_missing(tmp_path: Path, suffix: str) -> None:
    refused(tmp_path / f"a{suffix}", "no such recording")


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("content", [b"", b"\0", b"hello\n", b"\x89HDF\r\n\x1a\n", b"PK\3\4", b"\x80\x02."], ids=repr)
def test_a_file_of_something_else(tmp_path: Path, suffix: str, content: bytes) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_bytes(content)
    refused(path)


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_folder_of_nothing(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    path.mkdir()
    refused(path)


@pytest.mark.parametrize("suffix", FORMATS)
def test_another_format_under_this_name(tmp_path: Path, suffix: str, written: dict[str, Path]) -> None:
    path, other = tmp_path / f"a{suffix}", written[OTHERS[suffix]]
    shutil.copytree(other, path) if other.is_dir() else shutil.copy(other, path)
    refused(path)


def test_hdf5_and_nwb_are_told_apart(tmp_path: Path, written: dict[str, Path]) -> None:
    shutil.copy(written[".h5"], tmp_path / "a.nwb")
    refused(tmp_path / "a.nwb")
    shutil.copy(written[".nwb"], tmp_path / "a.h5")
    refused(tmp_path / "a.h5", "no attribute `format_version`")


def test_an_unknown_suffix(tmp_path: Path) -> None:
    (tmp_path / "a.mat").touch()
    with pytest.raises(DataError, match=r"a\.mat: the suffix .* is one of \.dset, \.h5, \.zarr, \.nwb"):
        read_recording(tmp_path / "a.mat")
    with pytest.raises(DataError, match=r"a\.mat: the suffix"):
        write_recording(recording(), tmp_path / "a.mat")


@pytest.mark.parametrize("suffix", FORMATS)
@settings(max_examples=30, deadline=None, derandomize=True)
@given(data=st.data())
def test_damage_is_seen_or_does_no_harm(suffix: str, written: dict[str, Path], data: st.DataObject) -> None:
    path = written[suffix].with_name(f"damaged{suffix}")
    if suffix == ".zarr":
        shutil.rmtree(path, ignore_errors=True)
        shutil.copytree(written[suffix], path)
        part = data.draw(st.sampled_from(sorted(each for each in path.rglob("*") if each.is_file())))
    else:
        part = shutil.copy(written[suffix], path)
    content = bytearray(part.read_bytes())
    if data.draw(st.booleans(), label="truncate"):
        content = content[: data.draw(st.integers(0, len(content) - 1))]
    else:
        for place in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=4)):
            content[place] ^= data.draw(st.integers(1, 255))
    part.write_bytes(content)
    try:
        read = read_recording(path)
    except DataError as error:
        assert str(error).startswith(str(path)) and "\n" not in str(error)
    else:
        assert same(read, recording(frames=12))


def test_a_lost_chunk_of_zarr_is_not_read_as_zeros(tmp_path: Path) -> None:
    write_recording(recording(), tmp_path / "a.zarr")
    chunk = next(each for each in (tmp_path / "a.zarr/covariates/robs/c").rglob("*") if each.is_file())
    chunk.unlink()
    refused(tmp_path / "a.zarr", "not what was written")


@pytest.mark.parametrize(
    ("covariates", "told"),
    [
        ({"robs": torch.zeros(40, 0)}, r"robs is \(T, units\)"),
        ({"stim": torch.full((40, 6, 5), torch.nan)}, "not finite, first in frame 0"),
    ],
)
@pytest.mark.parametrize("suffix", FORMATS)
def test_nothing_to_train_on(tmp_path: Path, suffix: str, covariates: dict[str, Any], told: str) -> None:
    write_recording(recording(**covariates), tmp_path / f"a{suffix}")
    refused(tmp_path / f"a{suffix}", told)


@pytest.mark.parametrize("suffix", FORMATS)
def test_no_frames(tmp_path: Path, suffix: str) -> None:
    write_recording(recording(frames=0), tmp_path / f"a{suffix}")
    refused(tmp_path / f"a{suffix}", r"stim is \(T, H, W\), none of them 0; \(0, 6, 5\) found")


def edit(path: Path, change: str) -> None:
    """Another program's hand in a native file."""
    if path.suffix == ".h5":
        file: Any = h5py.File(path, "r+")
    else:
        file = zarr.open_group(path, mode="r+")
        del file.attrs["checksum"]
    match change:
        case "version":
            file.attrs["format_version"] = 7
        case "no version":
            del file.attrs["format_version"]
        case "no group":
            del file["covariates"]
        case "metadata":
            if path.suffix == ".h5":
                del file["metadata"]
                file["metadata"] = "[1]"
            else:
                file.attrs["metadata"] = "[1]"
        case "no stimulus":
            del file["covariates"]["stim"]
        case "length":
            del file["covariates"]["robs"]
            file["covariates"].create_array("robs", data=np.ones((3, 2))) if path.suffix == ".zarr" else None
            file["covariates"].create_dataset("robs", data=np.ones((3, 2))) if path.suffix == ".h5" else None
        case "type":
            file["covariates"]["robs"].attrs["dtype"] = "float1"
        case "new":
            made = np.arange(40, dtype=">i4")
            file["covariates"].create_array("mine", data=made) if path.suffix == ".zarr" else None
            file["covariates"].create_dataset("mine", data=made) if path.suffix == ".h5" else None
    if path.suffix == ".h5":
        file.close()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("version", "format_version is 7, 1 is expected"),
        ("no version", "no attribute `format_version`"),
        ("no group", "no group `covariates`"),
        ("metadata", "metadata is a dict, list found"),
        ("no stimulus", "no covariate 'stim'"),
        ("length", "same number of frames; found .*robs 3"),
        ("type", "unknown type of numbers, 'float1'"),
    ],
)
@pytest.mark.parametrize("suffix", NATIVE)
def test_edited_by_hand_into_what_is_none(tmp_path: Path, suffix: str, change: str, told: str) -> None:
    write_recording(recording(), tmp_path / f"a{suffix}")
    edit(tmp_path / f"a{suffix}", change)
    refused(tmp_path / f"a{suffix}", told)


@pytest.mark.parametrize("suffix", NATIVE)
def test_edited_by_hand_is_read(tmp_path: Path, suffix: str) -> None:
    """A covariate of an analysis is welcome, in any byte order."""
    write_recording(recording(), tmp_path / f"a{suffix}")
    edit(tmp_path / f"a{suffix}", "new")
    assert same(read_recording(tmp_path / f"a{suffix}"), recording(mine=torch.arange(40, dtype=torch.int32)))


def test_an_edited_zarr_says_how_to_read_it(tmp_path: Path) -> None:
    write_recording(recording(), tmp_path / "a.zarr")
    zarr.open_group(tmp_path / "a.zarr", mode="r+")["covariates/robs"][0] = 9
    refused(tmp_path / "a.zarr", "edited.*delete the attribute `checksum`")


def test_text_is_no_covariate(tmp_path: Path) -> None:
    write_recording(recording(), tmp_path / "a.h5")
    with h5py.File(tmp_path / "a.h5", "r+") as file:
        file["covariates"]["notes"] = ["x"] * 40
    refused(tmp_path / "a.h5", "numbers are expected")


def test_a_group_is_no_covariate(tmp_path: Path) -> None:
    write_recording(recording(), tmp_path / "a.h5")
    with h5py.File(tmp_path / "a.h5", "r+") as file:
        file["covariates"].create_group("more")
    refused(tmp_path / "a.h5", "'more' is no dataset")


def test_a_native_file_by_hand(tmp_path: Path) -> None:
    """What another program has to write, and no more."""
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.attrs["format_version"] = 1
        file["covariates/stim"] = np.zeros((5, 3, 3), np.uint8)
        file["covariates/robs"] = np.ones((5, 2))
    read = read_recording(tmp_path / "a.h5")
    assert read.metadata == {} and read["robs"].dtype == torch.float64 and read["stim"].dtype == torch.uint8
    group = zarr.open_group(tmp_path / "a.zarr", mode="w", attributes={"format_version": 1})
    group.create_array("covariates/stim", data=np.zeros((5, 3, 3), np.uint8))
    group.create_array("covariates/robs", data=np.ones((5, 2)))
    assert same(read_recording(tmp_path / "a.zarr"), read)


def test_units_are_told_to_other_programs(tmp_path: Path) -> None:
    write_recording(recording(), tmp_path / "a.h5")
    write_recording(recording(), tmp_path / "a.zarr")
    with h5py.File(tmp_path / "a.h5") as file:
        assert {n: d.attrs.get("unit") for n, d in file["covariates"].items()} == {
            "stim": "grey level",
            "robs": "spikes per bin",
            "eyepos": "degrees",
            "t_bins": "seconds",
            "dpi_valid": None,
            "trial_inds": None,
        }
        assert file["covariates/stim"].chunks[1:] == (6, 5)
    described = json.loads((tmp_path / "a.zarr/covariates/eyepos/zarr.json").read_text())
    assert described["attributes"] == {"dtype": "float32", "unit": "degrees"}


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ({"covariates": {"stim": torch.zeros(3, 2, 2), "robs": torch.zeros(2, 1)}}, "stim 3, robs 2"),
        ({"covariates": {"stim": [1, 2]}}, "tensors by name, is expected"),
        ([1], "a dict with 'covariates'"),
        ({"covariates": {"stim": torch.zeros(3, 2, 2)}, "metadata": [1]}, "metadata is a dict, list found"),
    ],
)
def test_a_dset_of_something_else(tmp_path: Path, content: object, told: str) -> None:
    torch.save(content, tmp_path / "a.dset")
    refused(tmp_path / "a.dset", told)


def test_a_dset_that_would_run_code(tmp_path: Path) -> None:
    class Malice:
        def __reduce__(self) -> Any:
            return (Path.touch, (tmp_path / "ran",))

    torch.save({"covariates": {}, "metadata": Malice()}, tmp_path / "a.dset")
    refused(tmp_path / "a.dset", "more than tensors and plain values")
    assert not (tmp_path / "ran").exists()


def test_a_dset_from_before_torch_1_6(tmp_path: Path) -> None:
    made = recording()
    content = {"covariates": made.covariates, "metadata": made.metadata}
    torch.save(content, tmp_path / "a.dset", _use_new_zipfile_serialization=False)
    assert same(read_recording(tmp_path / "a.dset"), made)
