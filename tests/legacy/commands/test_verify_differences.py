"""`verify` sees whatever torch would load otherwise, and nothing else."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from legacy.verify import Verdict, verify
from tests.legacy.commands.support import legacy

Make = Callable[[], Any]
ONES = torch.ones(3)


def compared(folder: Path, old: Any, new: Any) -> Verdict:
    for name, value in (("old.pt", old), ("new.pt", new)):
        torch.save(value, folder / name)
    return verify(folder / "old.pt", folder / "new.pt")


def hyper(value: Any) -> dict[str, Any]:
    return {"state_dict": {"w": ONES}, "hyper_parameters": {"a": value}}


def quantised(scale: float) -> torch.Tensor:
    return torch._make_per_tensor_quantized_tensor(torch.ones(3, dtype=torch.int8), scale, 0)


def packed(value: float) -> torch.Tensor:
    found: torch.Tensor = torch.quantize_per_channel(
        torch.full((2, 4), value), torch.ones(2), torch.zeros(2), 0, torch.quint4x2
    )
    return found


def with_attribute(value: int) -> torch.Tensor:
    made = ONES.clone()
    made.unit = value  # type: ignore[attr-defined]
    return made


@pytest.mark.parametrize(
    "old, new, told",
    [
        (lambda: quantised(0.5), lambda: quantised(0.25), "['w'].quantizer[1] is 0.5 in"),
        (lambda: packed(1.0), lambda: packed(2.0), "['w'] is tensor quint4x2"),
        (lambda: with_attribute(1), lambda: with_attribute(2), "['w'].attributes['unit'] is 1 in"),
        (lambda: torch.nn.Parameter(ONES), lambda: ONES.clone().requires_grad_(), "a parameter, with gradient"),
        (lambda: ONES, lambda: ONES.clone().requires_grad_(), "with gradient"),
        (ONES.untyped_storage, (2 * ONES).untyped_storage, "Storage"),
    ],
    ids=["scale", "packed", "attribute", "parameter", "gradient", "storage"],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:.*quantize:UserWarning")
def test_what_a_tensor_has_besides_its_values(tmp_path: Path, old: Make, new: Make, told: str) -> None:
    found = compared(tmp_path, {"w": old()}, {"w": new()})
    assert not found.same and told in " ".join(found.differences), found.differences
    assert compared(tmp_path, {"w": old()}, {"w": old()}).same


def test_one_weight_changed_under_its_own_name(tmp_path: Path) -> None:
    found = compared(
        tmp_path, {"w": ONES, "b": torch.zeros(2)}, {"w": torch.tensor([1, 1, 1.0000001]), "b": torch.zeros(2)}
    )
    assert not found.same and found.count == 3
    assert all("['w']" in told or "the values of 'w' are in" in told for told in found.differences)


def test_weights_that_are_no_longer_tied(tmp_path: Path) -> None:
    found = compared(tmp_path, {"a": ONES, "b": ONES}, {"a": ONES, "b": ONES.clone()})
    (told,) = found.differences
    assert "checkpoint['b'] is the same memory as checkpoint['a'] in" in told and "stands alone in" in told


def test_weights_of_one_memory_that_overlap_otherwise(tmp_path: Path) -> None:
    zeros = torch.zeros(4)
    found = compared(tmp_path, {"a": zeros[:2], "b": zeros[:2]}, {"a": zeros[:2], "b": zeros[2:]})
    assert "lies elsewhere in the memory of checkpoint['a']" in found.differences[0]


def test_the_order_of_weights_is_the_optimisers(tmp_path: Path) -> None:
    zeros = torch.zeros(2)
    found = compared(tmp_path, OrderedDict(a=ONES, b=zeros), OrderedDict(b=zeros, a=ONES))
    (told,) = found.differences
    assert "in another order: 'a' in" in told
    assert compared(tmp_path, hyper({"a": 1, "b": 2}), hyper({"b": 2, "a": 1})).same


@pytest.mark.parametrize(
    "old, new",
    [
        ({1, 2}, {1, 3}),
        ({1, 2}, {1, 2.0}),
        ({(1, 2): 3}, {(1, 2): 4}),
        ({(1, 2): 3}, {(1.0, 2): 3}),
        ({1: 3}, {True: 3}),
        ({"k" * 250 + "1": 3, "k" * 250 + "2": 4}, {"k" * 250 + "1": 4, "k" * 250 + "2": 3}),
        (torch.float32, "torch.float32"),
        (0.0, -0.0),
        (1, True),
        ([1], (1,)),
        ({}, []),
    ],
    ids=str,
)
def test_values_that_look_alike(tmp_path: Path, old: Any, new: Any) -> None:
    assert not compared(tmp_path, hyper(old), hyper(new)).same
    assert compared(tmp_path, hyper(old), hyper(old)).same


def test_numbers_too_long_to_be_written_out(tmp_path: Path) -> None:
    found = compared(tmp_path, hyper(2**20000), hyper(2**20000 + 1))
    assert "a number of 20,001 bits" in found.differences[0]


def test_a_set_has_no_order(tmp_path: Path) -> None:
    """Members whose hashes fall together stand in the order they came in."""
    one, two = set([8, 16]), set([16, 8])  # noqa: C405
    assert list(one) != list(two)
    assert compared(tmp_path, hyper(one), hyper(two)).same
    assert compared(tmp_path, hyper(frozenset(one)), hyper(frozenset(two))).same
    assert "{16} is in" in compared(tmp_path, hyper({8, 16}), hyper({8})).differences[0]


def test_a_bare_dict_with_a_few_tensors_as_safetensors(tmp_path: Path) -> None:
    torch.save({"w": ONES, "epoch": 3, "notes": [1, 2]}, tmp_path / "old.pt")
    assert legacy("translate", tmp_path / "old.pt", tmp_path / "new.safetensors", "--to", "safetensors").status == 0
    done = legacy("verify", tmp_path / "old.pt", tmp_path / "new.safetensors")
    assert done.status == 0 and "1 weight, hash" in done.out


def test_places_take_no_more_than_the_file(tmp_path: Path) -> None:
    value: Any = list(range(70_000, 100_000))
    for _ in range(300):
        value = {"k" * 190: value}
    torch.save(value, tmp_path / "deep.pt")
    assert legacy("verify", tmp_path / "deep.pt", tmp_path / "deep.pt", LEGACY_MEMORY_MB="250").status == 0
