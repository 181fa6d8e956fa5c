"""The hash is the one that its docstring describes, and small changes are seen."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from regression.hashing import Hasher, digest, weights


def reference(array: np.ndarray) -> str:
    """As the docstring says, with Python's integers."""
    content = array.tobytes() + b"\0" * (-array.nbytes % 4)
    total = 0
    for i, word in enumerate(np.frombuffer(content, np.int32).tolist(), start=1):
        total += word * splitmix64(i)
    return f"{total % 2**64:016x}"


def splitmix64(i: int) -> int:
    z = i * 0x9E3779B97F4A7C15 % 2**64
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
    return z ^ (z >> 31)


def hashed(*tensors: torch.Tensor) -> list[str]:
    return [digest(value) for value in Hasher()(tensors).tolist()]


def test_weights_are_splitmix64() -> None:
    assert [value % 2**64 for value in weights(50).tolist()] == [splitmix64(i) for i in range(1, 51)]


@given(
    arrays.arrays(
        st.sampled_from([np.float32, np.float64, np.uint8, np.float16, np.int64, bool]), arrays.array_shapes(min_side=0)
    )
)
def test_as_described(array: np.ndarray) -> None:
    assert hashed(torch.from_numpy(array.copy())) == [reference(array)]


def test_many_at_once_are_each_by_itself() -> None:
    tensors = [torch.randn(3, 5), torch.zeros(0), torch.arange(7, dtype=torch.uint8), torch.randn(4).bfloat16()]
    assert hashed(*tensors) == [hashed(tensor)[0] for tensor in tensors]
    assert Hasher()([]).tolist() == []


def test_the_way_on_a_gpu_gives_the_same() -> None:
    tensors = [torch.randn(n) for n in (3, 1, 100)]
    hasher = Hasher()
    laid, ends = hasher._layout(torch.device("cpu"), (3, 1, 100))
    sums = torch.nn.functional.pad((torch.cat([t.view(torch.int32) for t in tensors]) * laid).cumsum(0), (1, 0))
    assert torch.equal(sums[ends].diff(), hasher(tensors))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_one_ulp_is_seen(dtype: torch.dtype) -> None:
    tensor = torch.randn(1000).to(dtype)
    other = tensor.clone()
    other[517] = torch.nextafter(other[517], other.new_tensor(9.0))
    assert hashed(tensor) != hashed(other)


def test_order_signs_and_zeros_are_seen() -> None:
    tensor = torch.tensor([1.0, 2.0, 0.0])
    seen = hashed(tensor, tensor.flip(0), -tensor, torch.tensor([-1.0, 2.0, -0.0]), torch.tensor([1.0, 2.0, -0.0]))
    assert len(set(seen)) == 5


def test_strides_do_not_matter() -> None:
    tensor = torch.randn(2, 3, 4, 5)
    assert hashed(tensor) == hashed(tensor.contiguous(memory_format=torch.channels_last))
    assert hashed(tensor.t() if tensor.ndim == 2 else tensor[:, ::2]) == hashed(tensor[:, ::2].contiguous())
