"""Samples and batches against the old way to them, sample by sample."""

from __future__ import annotations

import gc
import pickle
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import Sampler

from visioncore.data.batches import MixedDataset, keep_groups, normalise
from visioncore.data.buffers import Slabs
from visioncore.data.dataset import AS_RECORDED, CONTRAST, Frames, SessionDataset
from visioncore.data.loader import ThreadedLoader
from visioncore.training.lightning.views import Float32View, group_collate, tagged

LAGS = (0, 1, 2, 5)


def session(
    seed: int = 0, units: int = 3, frames: int = 40, stim: torch.dtype = torch.uint8, pixelnorm: bool = True
) -> SessionDataset:
    generator = torch.Generator().manual_seed(seed)
    stimulus = torch.randint(0, 256, (frames, 2, 4, 3), generator=generator, dtype=torch.uint8).to(stim)
    covariates = {
        "stim": stimulus,
        "robs": torch.rand(frames, units, generator=generator),
        "dfs": torch.ones(frames, 1),
        "behavior": torch.rand(frames, 5, generator=generator),
    }
    lags = {"stim": LAGS, "robs": 0, "dfs": 0, "behavior": 2}
    chosen = torch.randperm(frames - 5, generator=generator)[: frames // 2] + 5
    return SessionDataset(Frames(f"session {seed}", covariates, lags, pixelnorm), chosen.sort().values)


def by_hand(part: SessionDataset, i: int) -> dict[str, torch.Tensor]:
    frame, covariates = int(part.frames[i]), part.session.covariates
    stim = torch.zeros(2, len(LAGS), 4, 3)
    for at, lag in enumerate(LAGS):
        stim[:, at] = covariates["stim"][frame - lag].float()
    if part.session.pixelnorm:
        stim = (stim - 127) / 255
    now = {"robs": covariates["robs"][frame], "dfs": covariates["dfs"][frame]}
    return {"stim": stim, **now, "behavior": covariates["behavior"][frame - 2]}


KINDS = [(torch.uint8, True), (torch.uint8, False), (torch.float32, True), (torch.float32, False)]


@pytest.mark.parametrize(("stim", "pixelnorm"), KINDS)
def test_a_sample_is_its_frame_and_history(stim: torch.dtype, pixelnorm: bool) -> None:
    part = session(stim=stim, pixelnorm=pixelnorm)
    for i in range(len(part)):
        sample, expected = part[i], by_hand(part, i)
        assert sample.keys() == expected.keys() and all(torch.equal(sample[key], expected[key]) for key in sample)


def test_a_sample_beyond_the_end() -> None:
    part = session()
    assert torch.equal(part[-1]["robs"], part[len(part) - 1]["robs"])
    for dataset in (part, MixedDataset([part])):
        with pytest.raises(IndexError):
            dataset[len(dataset)]


def test_the_table_has_the_old_paths_bits() -> None:
    every = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(CONTRAST, (every.float() - 127) / 255) and torch.equal(AS_RECORDED, every.float())
    assert not torch.equal(CONTRAST, (every.float() - 127) * (1 / 255)), "a reciprocal would not do"


def test_bytes_stay_bytes_until_they_are_normalised() -> None:
    part = session()
    group = {**part.gather(torch.tensor([3, 1])), "dataset_idx": torch.tensor([0, 0])}
    assert group["stim"].dtype == torch.uint8 and group["stim"].shape == (2, 2, len(LAGS), 4, 3)
    assert torch.equal(normalise(group, [part.stim_table])["stim"], CONTRAST[group["stim"].long()])
    other = torch.linspace(0, 1, 256)
    assert torch.equal(normalise(group, [other])["stim"], other[group["stim"].long()]), "any table"
    assert session(stim=torch.float32).stim_table is None


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_batches_are_those_of_the_old_loader(data: st.DataObject) -> None:
    kinds = data.draw(st.lists(st.sampled_from(KINDS), min_size=1, max_size=3))
    parts = [session(seed, seed + 1, 20 + 7 * seed, *kind) for seed, kind in enumerate(kinds)]
    mixed, old = MixedDataset(parts), tagged(Float32View(part, norm_removed=False) for part in parts)
    assert len(mixed) == len(old) and mixed.cumulative_sizes == old.cumulative_sizes
    indices = data.draw(st.lists(st.integers(0, len(mixed) - 1), min_size=1, max_size=30))
    tables, slabs = [part.stim_table for part in parts], Slabs()
    ours = [normalise(group, tables, slabs) for group in keep_groups(mixed.__getitems__(indices))]
    for group, expected in zip(ours, group_collate([old[i] for i in indices]), strict=True):
        assert group.keys() == expected.keys()
        assert all(torch.equal(group[key], expected[key]) for key in group), group.keys()
    assert torch.equal(mixed[indices[0]]["stim"], old[indices[0]]["stim"])


def test_memory_is_used_again_when_nobody_holds_it() -> None:
    slabs = Slabs()
    first = slabs.take((100, 10), torch.float32)
    address = first.data_ptr()
    view = first[3:5]
    del first
    assert slabs.take((100, 10), torch.float32).data_ptr() != address, "a view is still there"
    del view
    assert address in {slabs.take((100, 10), torch.float32).data_ptr() for _ in range(2)}


def test_memory_that_autograd_keeps_is_not_given_out() -> None:
    slabs = Slabs()
    weight = torch.ones(8, requires_grad=True)
    x = slabs.take((8,), torch.float32).fill_(2.0)
    loss = (weight * x).sum()
    del x
    for _ in range(10):
        slabs.take((8,), torch.float32).fill_(9.0)
    loss.backward()
    assert weight.grad is not None and weight.grad.tolist() == [2.0] * 8


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 60), st.booleans(), st.integers(0, 9)), max_size=40))
def test_no_two_live_tensors_share_memory(steps: list[tuple[int, bool, int]]) -> None:
    slabs, held = Slabs(keep=3), []
    for number, (size, keeps, drop) in enumerate(steps):
        made = slabs.take((size,), torch.int64).fill_(number)
        if keeps:
            held.append((number, made[: max(1, size // 2)]))
        del made
        if held and drop < 4:
            del held[drop % len(held)]
        assert all((tensor == number).all() for number, tensor in held)


def test_slabs_travel_without_their_memory() -> None:
    slabs = Slabs(keep=2)
    slabs.take((1000,), torch.uint8)
    copy = pickle.loads(pickle.dumps(slabs))
    assert copy.keep == 2 and len(pickle.dumps(slabs)) < 200
    assert len(pickle.loads(pickle.dumps(MixedDataset([session()])))) == len(session())


class Shuffled(Sampler[int]):
    def __init__(self, size: int) -> None:
        self.size, self.epoch = size, 0

    def __len__(self) -> int:
        return self.size

    def __iter__(self) -> Iterator[int]:
        return iter(torch.randperm(self.size, generator=torch.Generator().manual_seed(self.epoch)).tolist())


def loader(workers: int, dataset: Any = None, batch: int = 7) -> ThreadedLoader:
    dataset = MixedDataset([session(0), session(1, 2)]) if dataset is None else dataset
    sampler = Shuffled(len(dataset))
    return ThreadedLoader(
        dataset, batch_size=batch, sampler=sampler, num_workers=workers, collate_fn=keep_groups, drop_last=True
    )


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_workers_serve_the_same_batches_in_the_same_order(workers: int) -> None:
    alone, helped = loader(0), loader(workers)
    for epoch in range(2):
        alone.sampler.epoch = helped.sampler.epoch = epoch  # type: ignore[attr-defined]
        # held all at once: no batch may be overwritten by a later one
        for ours, theirs in zip(list(helped), list(alone), strict=True):
            for a, b in zip(ours, theirs, strict=True):
                assert all(torch.equal(a[key], b[key]) for key in a)
    assert len(helped) == len(list(helped)) == 5


class Broken(MixedDataset):
    def __getitems__(self, indices: Any) -> Any:
        if 11 in indices:
            raise ValueError("sample 11 cannot be read")
        return super().__getitems__(indices)


def test_a_workers_error_reaches_the_caller() -> None:
    broken = loader(2, Broken([session(0), session(1)]))
    with pytest.raises(ValueError, match="sample 11"):
        list(broken)


def test_an_epoch_may_be_left_in_the_middle() -> None:
    helped = loader(3)
    for _ in range(3):
        iterator = iter(helped)
        next(iterator)
        del iterator
        gc.collect()
    assert len(list(helped)) == 5
