"""What is written comes back: every covariate, bit for bit, and the metadata."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests.visioncore.data.formats.support import FORMATS, NATIVE, recording, same
from visioncore.data.errors import DataError
from visioncore.data.formats import SUFFIXES, find_recording, read_recording, write_recording
from visioncore.data.recording import Recording
from visioncore.data.synthetic.session import make_session

DTYPES = (torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)
FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def test_every_format_is_tested() -> None:
    assert set(FORMATS) == set(SUFFIXES)


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_recording(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"gaborium{suffix}"
    write_recording(recording(), path)
    assert same(read_recording(path), recording())
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", FORMATS)
def test_every_type_of_number(tmp_path: Path, suffix: str) -> None:
    extremes = {str(dtype)[6:]: torch.tensor([0, 1] * 20).to(dtype) for dtype in DTYPES}
    for dtype in DTYPES[1:]:
        extremes[str(dtype)[6:]][3:5] = torch.tensor([torch.iinfo(dtype).min, torch.iinfo(dtype).max], dtype=dtype)
    odd = torch.tensor([torch.nan, torch.inf, -torch.inf, -0.0, 1e-5, 3.1] + [0.1] * 34)
    floats = {str(dtype)[6:]: odd.to(dtype) for dtype in FLOATS}
    made = recording(**extremes, **floats)
    write_recording(made, tmp_path / f"a{suffix}")
    assert same(read_recording(tmp_path / f"a{suffix}"), made)


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.float64, torch.float16, torch.bfloat16])
def test_every_type_of_stimulus_and_of_counts(tmp_path: Path, suffix: str, dtype: torch.dtype) -> None:
    made = recording()
    made = recording(stim=made["stim"].to(dtype), robs=made["robs"].to(dtype), t_bins=torch.arange(40.0).to(dtype))
    write_recording(made, tmp_path / f"a{suffix}")
    assert same(read_recording(tmp_path / f"a{suffix}"), made)


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize(
    "covariates",
    [
        {"eyepos": torch.randn(40)},
        {"eyepos": torch.randn(40, 1)},
        {"eyepos": torch.randn(40, 4)},
        {"trial_inds": torch.tensor([0.0, 0.5] * 20)},
        {"trial_inds": torch.full((40,), torch.nan)},
        {"trial_inds": torch.zeros(40, 1)},
        {"stim": torch.zeros(40, 1, 6, 5, dtype=torch.uint8)},
        {"ori": torch.zeros(40, 0)},
        {"with space": torch.ones(40), "größe": torch.ones(40, 2, 3, 4), "a-b+c": torch.ones(40)},
        {"stim": torch.zeros(5, 6, 40, dtype=torch.uint8).permute(2, 1, 0)},
        {"robs": torch.zeros(40, 300)},
        {"robs": torch.ones(40, 1, requires_grad=True)},
    ],
    ids=lambda value: f"{next(iter(value))}{tuple(next(iter(value.values())).shape)}",
)
def test_odd_shapes(tmp_path: Path, suffix: str, covariates: dict[str, Tensor]) -> None:
    made = recording(**covariates)
    write_recording(made, tmp_path / f"a{suffix}")
    read = read_recording(tmp_path / f"a{suffix}")
    assert same(read, Recording({name: value.detach() for name, value in made.covariates.items()}, made.metadata))


@pytest.mark.parametrize("suffix", FORMATS)
def test_one_frame(tmp_path: Path, suffix: str) -> None:
    made = recording(frames=1)
    write_recording(made, tmp_path / f"a{suffix}")
    assert same(read_recording(tmp_path / f"a{suffix}"), made)


@pytest.mark.parametrize("suffix", FORMATS)
def test_more_than_one_chunk(tmp_path: Path, suffix: str) -> None:
    draw = torch.Generator().manual_seed(0)
    made = recording(frames=1500, stim=torch.randint(0, 256, (1500, 40, 40), generator=draw, dtype=torch.uint8))
    write_recording(made, tmp_path / f"a{suffix}")
    assert same(read_recording(tmp_path / f"a{suffix}"), made)


@pytest.mark.parametrize("suffix", FORMATS)
def test_much_metadata(tmp_path: Path, suffix: str) -> None:
    """HDF5 keeps no attribute over 64 kB."""
    made = recording(metadata={"log": "x" * 200_000, "empty": {}})
    write_recording(made, tmp_path / f"a{suffix}")
    assert same(read_recording(tmp_path / f"a{suffix}"), made)


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_synthetic_session(tmp_path: Path, suffix: str) -> None:
    session = make_session(1, frames=500, size=7)
    for kind, made in session.recordings.items():
        path = tmp_path / "datasets" / f"{kind}{suffix}"
        write_recording(made, path)
        assert same(read_recording(path), made)
        assert find_recording(tmp_path, kind) == path


def test_the_formats_are_looked_for_in_order(tmp_path: Path) -> None:
    assert find_recording(tmp_path, "gaborium") is None
    for suffix in (".zarr", ".h5", ".dset"):
        write_recording(recording(), tmp_path / "datasets" / f"gaborium{suffix}")
        assert find_recording(tmp_path, "gaborium") == tmp_path / "datasets" / f"gaborium{suffix}"


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
@given(metadata=st.dictionaries(st.text(max_size=5), values, max_size=4), suffix=st.sampled_from(NATIVE))
def test_any_json_is_metadata(metadata: dict[str, object], suffix: str) -> None:
    made = recording(frames=3, metadata=metadata)
    folder = Path(tempfile.mkdtemp())
    try:
        write_recording(made, folder / f"a{suffix}")
        assert same(read_recording(folder / f"a{suffix}"), made)
    finally:
        shutil.rmtree(folder)


@pytest.mark.parametrize("suffix", FORMATS[1:])
@pytest.mark.parametrize(
    "value", [{1, 2}, torch.zeros(1), {3: "x"}, [b"x"], object()], ids=lambda value: type(value).__name__
)
def test_other_metadata_is_refused(tmp_path: Path, suffix: str, value: object) -> None:
    path = tmp_path / f"a{suffix}"
    with pytest.raises(DataError, match=r"metadata\['key'\].*\.dset") as error:
        write_recording(recording(metadata={"key": value}), path)
    assert str(path) in str(error.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", FORMATS[1:])
@pytest.mark.parametrize("name", ["a/b", "..", "", "a:b", "zarr.json", " a", "a\0"])
def test_names_that_are_paths_are_refused(tmp_path: Path, suffix: str, name: str) -> None:
    with pytest.raises(DataError, match="covariate's name"):
        write_recording(recording(**{name: torch.zeros(40)}), tmp_path / f"a{suffix}")


@pytest.mark.parametrize("suffix", FORMATS[1:])
def test_tuples_come_back_as_lists(tmp_path: Path, suffix: str) -> None:
    write_recording(recording(metadata={"shape": (51, 51)}), tmp_path / f"a{suffix}")
    assert read_recording(tmp_path / f"a{suffix}").metadata == {"shape": [51, 51]}


@pytest.mark.parametrize("suffix", FORMATS[1:])
def test_sparse_tensors_are_refused(tmp_path: Path, suffix: str) -> None:
    with pytest.raises(DataError, match="sparse"):
        write_recording(recording(ori=torch.eye(40).to_sparse()), tmp_path / f"a{suffix}")
