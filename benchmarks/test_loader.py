"""Samples a second, the old way and ours in turn within one run; the ratio is what counts.

LOADER_BATCHES=40 python -m pytest benchmarks/test_loader.py --benchmark-only   measures longer
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch

from benchmarks.old_loader import old_loader
from visioncore.data.batches import MixedDataset, keep_groups, normalise
from visioncore.data.buffers import Slabs
from visioncore.data.dataset import Frames, SessionDataset
from visioncore.data.loader import ThreadedLoader

BATCH, LAGS, SIZE, SESSIONS, FRAMES = 256, 25, 51, 4, 6000
BATCHES = int(os.environ.get("LOADER_BATCHES", "12"))


@pytest.fixture(scope="module")
def sessions() -> list[SessionDataset]:
    """Four sessions of 51 × 51 pixels, 25 lags, 100 cells and 42 columns of behaviour."""
    generator = torch.Generator().manual_seed(0)
    made = []
    for index in range(SESSIONS):
        covariates = {
            "stim": torch.randint(0, 256, (FRAMES, 1, SIZE, SIZE), dtype=torch.uint8, generator=generator),
            "robs": torch.rand(FRAMES, 100, generator=generator),
            "dfs": torch.ones(FRAMES, 1),
            "behavior": torch.rand(FRAMES, 42, generator=generator),
        }
        lags = {"stim": tuple(range(LAGS)), "robs": 0, "dfs": 0, "behavior": 0}
        made.append(
            SessionDataset(Frames(f"session {index}", covariates, lags, pixelnorm=True), torch.arange(LAGS, FRAMES))
        )
    return made


@pytest.fixture
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def order(sessions: list[SessionDataset]) -> list[int]:
    generator = torch.Generator().manual_seed(1)
    return torch.randperm(sum(map(len, sessions)), generator=generator)[: BATCH * BATCHES].tolist()


def new_epoch(sessions: list[SessionDataset], workers: int) -> Callable[[], int]:
    """Ours, to float32 on the host, which a GPU would do itself."""
    slabs, tables = Slabs(), [session.stim_table for session in sessions]
    loader = ThreadedLoader(
        MixedDataset(sessions),
        batch_size=BATCH,
        sampler=order(sessions),
        num_workers=workers,
        collate_fn=keep_groups,
        persistent_workers=workers > 0,
    )
    return lambda: sum(len(normalise(group, tables, slabs)["stim"]) for groups in loader for group in groups)


def old_epoch(sessions: list[SessionDataset], workers: int) -> Callable[[], int]:
    loader = old_loader(sessions, order(sessions), BATCH, workers)
    return lambda: sum(len(group["stim"]) for groups in loader for group in groups)


def compare(benchmark: Any, sessions: list[SessionDataset], workers: int) -> None:
    """Old and new in turn; `extra_info` has both and the ratio of the medians."""
    old, new = old_epoch(sessions, workers), new_epoch(sessions, workers)
    new()
    seconds: dict[str, list[float]] = {"old": [], "new": []}

    def pair() -> None:
        for name, epoch in (("old", old), ("new", new)):
            start = time.perf_counter()
            samples = epoch()
            seconds[name].append((time.perf_counter() - start) / samples)

    benchmark.pedantic(pair, rounds=3, iterations=1)
    middle = {name: sorted(values)[len(values) // 2] for name, values in seconds.items()}
    benchmark.extra_info.update({f"{name} samples/s": round(1 / value) for name, value in middle.items()})
    benchmark.extra_info["ratio"] = round(middle["old"] / middle["new"], 1)


@pytest.mark.benchmark(group="loader")
def test_one_thread(benchmark: Any, sessions: list[SessionDataset], one_thread: None) -> None:
    compare(benchmark, sessions, 0)


@pytest.mark.benchmark(group="loader")
def test_two_threads(benchmark: Any, sessions: list[SessionDataset]) -> None:
    compare(benchmark, sessions, 0)


@pytest.mark.benchmark(group="loader")
def test_two_workers(benchmark: Any, sessions: list[SessionDataset]) -> None:
    compare(benchmark, sessions, 2)


def test_both_give_the_same_bits(sessions: list[SessionDataset]) -> None:
    tables = [session.stim_table for session in sessions]
    old = next(iter(old_loader(sessions, order(sessions), BATCH, 0)))
    new = [normalise(group, tables) for group in MixedDataset(sessions).__getitems__(order(sessions)[:BATCH])]
    for ours, theirs in zip(new, old, strict=True):
        assert ours.keys() == theirs.keys() and all(torch.equal(ours[key], theirs[key]) for key in ours)
