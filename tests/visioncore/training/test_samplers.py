from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import ConcatDataset

from tests.visioncore.training.support import old_trainer
from visioncore.training.samplers import ContrastWeightedSampler, FixedSubset, Undistributed

SIZES = st.lists(st.integers(1, 40), min_size=1, max_size=4)


def concat(sizes: list[int]) -> ConcatDataset[int]:
    return ConcatDataset([list(range(size)) for size in sizes])  # type: ignore[list-item]


def curriculum(
    sizes: list[int], scores: dict[str, list[float]] | None = None, **more: object
) -> ContrastWeightedSampler:
    position = {str(i): i for i in range(len(sizes))}
    return ContrastWeightedSampler(concat(sizes), scores or {}, position, **{"num_replicas": 1, "rank": 0, **more})  # type: ignore[arg-type]


@given(SIZES, st.integers(1, 5), st.booleans(), st.integers(0, 12), st.integers(0, 3))
def test_ranks_share_one_list(sizes: list[int], ranks: int, drop_last: bool, step: int, epoch: int) -> None:
    total = sum(sizes)
    if drop_last and total < ranks:
        return
    shares = []
    for rank in range(ranks):
        sampler = curriculum(sizes, num_replicas=ranks, rank=rank, drop_last=drop_last, warmup_steps=10)
        sampler.set_step(step)
        sampler.set_epoch(epoch)
        share = list(sampler)
        assert len(share) == len(sampler) and share == list(sampler)
        assert all(0 <= index < total for index in share)
        shares.append(share)
    if step >= 10:
        seen = Counter(index for share in shares for index in share)
        assert set(seen.values()) <= {1} if drop_last else set(range(total)) == set(seen)


def test_high_contrast_comes_more_often_and_less_so_later() -> None:
    scores = {"0": [0.1] * 500 + [2.0] * 500}
    share = []
    for step in (0, 99):
        sampler = curriculum([1000], scores, warmup_steps=100)
        sampler.set_step(step)
        share.append(np.mean(np.array(list(sampler)) >= 500))
    # weights min((0.5 + 0.5 step / 100) c, 1): 0.05 against 1, then 0.1 against 1
    assert share[0] == pytest.approx(1 / 1.05, abs=0.02) and share[1] == pytest.approx(1 / 1.1, abs=0.02)


def test_after_the_warmup_each_sample_comes_once() -> None:
    sampler = curriculum([30], {"0": [0.0] * 30}, warmup_steps=5)
    sampler.set_step(5)
    assert sorted(sampler) == list(range(30)) != list(sampler)


def test_a_sample_without_score_counts_as_one_and_surplus_scores_are_not_looked_at() -> None:
    sampler = curriculum([3, 4], {"0": [2.0], "1": [0.5] * 9})
    assert sampler.contrast.tolist() == [2.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.5]


def test_another_order_every_epoch_and_seed() -> None:
    orders = []
    for seed, epoch in ((0, 0), (0, 1), (5, 0)):
        sampler = curriculum([50], seed=seed)
        sampler.set_epoch(epoch)
        orders.append(tuple(sampler))
    assert len(set(orders)) == 3


def test_rank_out_of_range() -> None:
    with pytest.raises(ValueError, match="Invalid rank 2"):
        curriculum([4], num_replicas=2, rank=2)


def test_same_lists_as_the_old_class() -> None:
    sizes, scores = [13, 30, 7], {"0": [0.2] * 20, "2": list(np.linspace(0, 2, 5))}
    position = {str(i): i for i in range(3)}
    with old_trainer() as old:
        for ranks, drop_last, shuffle in (
            (1, True, True),
            (4, True, True),
            (4, False, True),
            (60, False, True),
            (3, False, False),
        ):
            for step in (0, 500, 1000):
                both = []
                for cls in (old.ContrastWeightedSampler, ContrastWeightedSampler):
                    sampler = cls(
                        concat(sizes), scores, position, ranks, ranks - 1, shuffle, 3, drop_last, warmup_steps=1000
                    )
                    sampler.set_step(step)
                    sampler.set_epoch(2)
                    both.append((list(sampler), len(sampler)))
                assert both[0] == both[1]


@given(
    st.lists(st.integers(0, 40), min_size=1, max_size=4),
    st.floats(0.01, 1),
    st.integers(1, 20),
    st.integers(1, 3),
    st.integers(0, 3),
)
def test_q16_the_subset_is_fixed_even_and_from_every_dataset(
    sizes: list[int], fraction: float, at_least: int, ranks: int, seed: int
) -> None:
    total = sum(sizes)
    if total < ranks:
        return
    data = concat(sizes)
    samplers = [FixedSubset(data, fraction, at_least, ranks, rank, seed) for rank in range(ranks)]
    shares = [list(sampler) for sampler in samplers]
    assert {len(share) for share in shares} == {len(sampler) for sampler in samplers} == {len(shares[0])}
    samplers[0].set_epoch(3)
    assert list(samplers[0]) == shares[0]
    chosen = [index for share in shares for index in share]
    assert len(set(chosen)) == len(chosen)
    wanted = min(max(math.ceil(fraction * total), at_least * ranks), total)
    assert wanted - ranks < len(chosen) <= wanted + len(sizes)
    if ranks == 1:
        starts = np.cumsum([0, *sizes])
        counts = np.histogram(chosen, starts)[0]
        assert ((counts >= 1) == (np.array(sizes) > 0)).all()
        assert all(abs(count - wanted * size / total) <= 1 for count, size in zip(counts, sizes, strict=True))


def test_q16_samples_are_spread_over_a_dataset() -> None:
    chosen = sorted(FixedSubset(concat([1000]), 0.05, 1, 1, 0))
    assert len(chosen) == 50 and set(np.diff(chosen)) == {20}


def test_fewer_samples_than_ranks() -> None:
    with pytest.raises(ValueError, match="1 validation samples cannot be shared by 2 ranks"):
        FixedSubset(concat([1]), 1.0, 1, 2, 0)


def test_q10_lightning_takes_it_for_an_ordinary_sampler() -> None:
    sampler = curriculum([8])
    wrapped = Undistributed(sampler)
    wrapped.set_epoch(1)
    assert list(wrapped) == list(sampler) and len(wrapped) == 8 and sampler.epoch == 1
    assert not isinstance(wrapped, torch.utils.data.distributed.DistributedSampler) and not hasattr(wrapped, "set_step")
