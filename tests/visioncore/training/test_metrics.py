from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from tests.visioncore.training.support import MONOLITH, load
from visioncore.training.metrics import PoissonBPSAggregator, StoredBPSAggregator, bits_per_spike


def example(seed: int = 0, samples: int = 60) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    rhat = torch.rand(samples, 4, generator=generator) + 0.1
    robs = torch.poisson(rhat, generator=generator)
    return robs, rhat, (torch.rand(samples, 4, generator=generator) > 0.3).float()


def by_hand(robs: Tensor, rhat: Tensor, dfs: Tensor) -> list[float]:
    out = []
    for cell in range(robs.shape[1]):
        valid = dfs[:, cell if dfs.shape[1] > 1 else 0].numpy() > 0
        y, r = robs[valid, cell].double().numpy(), rhat[valid, cell].double().numpy()
        model = np.mean(y * np.log(r + 1e-9) - r)
        null = np.mean(y * np.log(y.mean() + 1e-9) - y.mean())
        out.append((model - null) / (y.mean() + 1e-9) / math.log(2))
    return out


def aggregated(*batches: tuple[Tensor, Tensor, Tensor | None]) -> PoissonBPSAggregator:
    aggregator = PoissonBPSAggregator(4)
    for batch in batches:
        aggregator.update(*batch)
    return aggregator


def test_formula() -> None:
    robs, rhat, dfs = example()
    assert aggregated((robs, rhat, dfs)).closure().tolist() == pytest.approx(by_hand(robs, rhat, dfs))


def test_q13_a_one_column_mask_gives_each_cell_its_number() -> None:
    robs, rhat, dfs = example()
    column = dfs[:, :1]
    bps = aggregated((robs, rhat, column)).closure()
    assert bps.tolist() == pytest.approx(by_hand(robs, rhat, column))
    assert torch.equal(bps, aggregated((robs, rhat, column[:, 0])).closure())
    stored = StoredBPSAggregator()
    stored.update(robs, rhat, column)
    pooled = stored.closure()
    assert pooled is not None and pooled.ndim == 0


def test_q13_a_silent_cell_has_no_number() -> None:
    robs, rhat, dfs = example()
    robs[:, 2] = 0
    assert aggregated((robs, rhat, dfs)).closure().isnan().tolist() == [False, False, True, False]
    stored = StoredBPSAggregator()
    stored.update(robs, rhat, dfs)
    old = stored.closure()
    assert old is not None and old[2] < -1e7


def test_a_cell_without_samples_has_no_number() -> None:
    robs, rhat, dfs = example()
    dfs[:, 1] = 0
    assert aggregated((robs, rhat, dfs)).closure().isnan().tolist() == [False, True, False, False]


def test_nothing_seen() -> None:
    assert PoissonBPSAggregator(4).closure().isnan().all() and StoredBPSAggregator().closure() is None


def test_what_is_hidden_may_be_nan() -> None:
    robs, rhat, dfs = example()
    hidden = torch.where(dfs > 0, robs, math.nan)
    assert torch.equal(aggregated((hidden, rhat, dfs)).closure(), aggregated((robs, rhat, dfs)).closure())


def test_an_invalid_batch_counts_for_nothing() -> None:
    robs, rhat, dfs = example()
    aggregator = aggregated((robs, rhat, dfs))
    before = aggregator.sums.clone()
    aggregator.update(robs, rhat * math.nan, dfs, torch.tensor(False))
    assert torch.equal(aggregator.sums, before)


@given(st.lists(st.integers(1, 9), min_size=1, max_size=5))
def test_sums_of_parts_are_the_sums_of_the_whole(sizes: list[int]) -> None:
    robs, rhat, dfs = example(samples=sum(sizes))
    whole = aggregated((robs, rhat, dfs)).sums
    parts = zip(robs.split(sizes), rhat.split(sizes), dfs.split(sizes), strict=True)
    pooled = torch.stack([aggregated(part).sums for part in parts]).sum(0)
    assert torch.allclose(pooled, whole)
    assert torch.allclose(bits_per_spike(pooled), bits_per_spike(whole), equal_nan=True)


def test_the_true_rates_are_better_than_the_mean() -> None:
    robs, rhat, dfs = example(samples=4000)
    bps = aggregated((robs, rhat, dfs)).closure()
    assert (bps > 0).all() and (bps > aggregated((robs, rhat.flip(0), dfs)).closure()).all()


def test_reset() -> None:
    aggregator = aggregated(example())
    aggregator.reset("cpu")
    assert not aggregator.sums.any()


@pytest.mark.parametrize("mask", ["none", "shared", "per cell", "flat"])
def test_same_bits_as_the_old_class(mask: str) -> None:
    old = load("old_poisson", MONOLITH / "models" / "losses" / "poisson.py").PoissonBPSAggregator()
    new, sums = StoredBPSAggregator(), PoissonBPSAggregator(4)
    for seed in range(3):
        robs, rhat, dfs = example(seed)
        chosen = {"none": None, "shared": dfs[:, :1], "per cell": dfs, "flat": dfs[:, 0]}[mask]
        old({"robs": robs, "rhat": rhat} | ({} if chosen is None else {"dfs": chosen}))
        new.update(robs, rhat, chosen)
        sums.update(robs, rhat, chosen)
    bps = new.closure()
    assert bps is not None and torch.equal(bps, old.closure())
    if mask in ("none", "per cell"):
        assert sums.closure().tolist() == pytest.approx(bps.tolist(), abs=1e-5)
