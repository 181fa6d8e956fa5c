from __future__ import annotations

import pickle
import random
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist
from torch.utils.data.distributed import DistributedSampler

from tests.visioncore.training.support import (
    LAGS,
    NAMES,
    NORMALISED,
    SIZE,
    model_config,
    prepare_session,
    session,
    trainer,
    write_configs,
)
from visioncore.training.callbacks import CurriculumCallback
from visioncore.training.lightning import MultiDatasetDM, MultiDatasetModel, multidataset_dm
from visioncore.training.lightning.multidataset_dm import Float32View, cast_stim, group_collate
from visioncore.training.samplers import ContrastWeightedSampler


@pytest.fixture(autouse=True)
def sessions_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multidataset_dm, "prepare_session", prepare_session)


@pytest.fixture
def group(tmp_path: Path) -> Any:
    """A process group of one."""
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    yield
    dist.destroy_process_group()


def data(tmp_path: Path, compat: Any = None, curriculum: bool = False, **options: Any) -> MultiDatasetDM:
    made = MultiDatasetDM(write_configs(tmp_path)[1], 30, 8, 0, 5, curriculum, compat=compat, **options)
    made.setup()
    return made


def order(loader: Any, epoch: int = 0) -> list[int]:
    if hasattr(loader.sampler, "set_epoch"):
        loader.sampler.set_epoch(epoch)
    return list(loader.sampler)


def test_sessions(tmp_path: Path) -> None:
    made = data(tmp_path)
    assert made.names == list(NAMES) and made.name2idx == {name: i for i, name in enumerate(NAMES)}
    before = dict(made.train_dsets)
    made.setup("validate")
    assert made.train_dsets == before, "once is enough"


@pytest.mark.parametrize("compat", [None, "all"])
def test_batches(tmp_path: Path, compat: Any) -> None:
    made = data(tmp_path, compat)
    loader = made.train_dataloader()
    batches = [made.on_after_batch_transfer(groups, 0) for groups in loader]
    assert len(batches) == len(loader) == 184 // 8
    for groups in batches:
        assert sum(len(part["robs"]) for part in groups) == 8
        for part in groups:
            index = int(part["dataset_idx"][0])
            assert part["stim"].shape[1:] == (1, LAGS, SIZE, SIZE) and part["stim"].dtype == torch.float32
            assert part["stim"].abs().max() < 0.51 and part["robs"].shape[1] == list(NAMES.values())[index]
            assert part["dataset_idx"].dtype == torch.int64 and len(set(part["dataset_idx"].tolist())) == 1


def test_both_ways_to_serve_give_the_same_bits(tmp_path: Path) -> None:
    one, other = data(tmp_path), data(tmp_path, "fork_only_workers")
    for ours, theirs in zip(one.train_dataloader(), other.train_dataloader(), strict=True):
        for a, b in zip(one.on_after_batch_transfer(ours, 0), other.on_after_batch_transfer(theirs, 0), strict=True):
            assert a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


def test_q8_shuffled_without_a_process_group(tmp_path: Path) -> None:
    loader = data(tmp_path).train_dataloader()
    first = order(loader)
    assert sorted(first) == list(range(184)) != first and order(loader, 1) != first == order(loader, 0)
    assert order(data(tmp_path, "unshuffled_without_process_group").train_dataloader()) == list(range(184))


def test_q8_a_process_group_of_one_gives_the_same_order(tmp_path: Path, group: None) -> None:
    loader = data(tmp_path).train_dataloader()
    inside = [order(loader, epoch) for epoch in range(2)]
    dist.destroy_process_group()
    try:
        loader = data(tmp_path).train_dataloader()
        assert [order(loader, epoch) for epoch in range(2)] == inside
        plain = DistributedSampler(range(184), 1, 0, shuffle=True, seed=0, drop_last=True)  # type: ignore[arg-type,var-annotated]
        assert list(plain) == inside[0]
    finally:
        dist.init_process_group("gloo", init_method=f"file://{tmp_path}/again", rank=0, world_size=1)


def test_q19_another_seed_another_order_but_not_for_the_old_trainer(tmp_path: Path) -> None:
    first, second = (order(data(tmp_path, seed=seed).train_dataloader()) for seed in (0, 1))
    assert first != second and order(data(tmp_path, "unseeded", seed=1).train_dataloader()) == first


def test_q19_the_data_touch_no_global_generator(tmp_path: Path) -> None:
    before = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state()  # type: ignore[index,union-attr]
    made = data(tmp_path, curriculum=True)
    for loader in (made.train_dataloader(), made.val_dataloader()):
        next(iter(loader))
    assert before[:2] == (random.getstate(), np.random.get_state()[1].tolist())  # type: ignore[index,union-attr]
    assert torch.equal(before[2], torch.get_rng_state())


def test_q11_the_loaders_dataset_can_be_pickled(tmp_path: Path) -> None:
    loader = data(tmp_path).train_dataloader()
    assert len(pickle.loads(pickle.dumps(loader.dataset))) == 184
    with pytest.raises((AttributeError, pickle.PicklingError), match="Tag"):
        pickle.dumps(data(tmp_path, "fork_only_workers").train_dataloader().dataset)


def test_workers(tmp_path: Path) -> None:
    made = data(tmp_path)
    alone = next(iter(made.train_dataloader()))
    made.workers = 1
    for ours, theirs in zip(alone, next(iter(made.train_dataloader())), strict=True):
        assert all(torch.equal(ours[key], theirs[key]) for key in ours)


def test_q16_the_same_samples_are_scored_every_epoch(tmp_path: Path) -> None:
    made = data(tmp_path, val_fraction=0.5)
    loader = made.val_dataloader()
    assert order(loader, 0) == order(loader, 1) and len(order(loader)) == 24 and made.limit_val_batches == 1.0
    seen = [int(part["dataset_idx"][0]) for groups in loader for part in groups]
    assert set(seen) == {0, 1}


def test_q16_at_least_a_batch_and_no_sample_lost(tmp_path: Path) -> None:
    made = data(tmp_path, val_fraction=0.01)
    assert len(order(made.val_dataloader())) == 8
    made.batch = 100
    assert sorted(order(made.val_dataloader())) == list(range(48))
    assert sum(len(part["robs"]) for groups in made.val_dataloader() for part in groups) == 48


def test_q16_the_old_validation_is_shuffled(tmp_path: Path, group: None) -> None:
    made = data(tmp_path, "validation_reshuffled")
    loader = made.val_dataloader()
    assert made.limit_val_batches == 0.05 and loader.drop_last
    assert order(loader, 0) != order(loader, 1) and sorted(order(loader)) == list(range(48))


def test_q10_training_only(tmp_path: Path, group: None) -> None:
    made = data(tmp_path, curriculum=True, curriculum_steps=50)
    sampler = made.train_dataloader().sampler
    assert isinstance(sampler, ContrastWeightedSampler) and sampler.warmup_steps == 50
    assert [len(scores) for scores in made.contrast_scores.values()] == [92, 92]
    assert not isinstance(made.val_dataloader().sampler, ContrastWeightedSampler)
    old = data(tmp_path, "all", curriculum=True, curriculum_steps=50)
    for loader in (old.train_dataloader(), old.val_dataloader()):
        assert type(loader.sampler).__name__ == "Undistributed"
        assert loader.sampler.sampler.warmup_steps == 8000  # type: ignore[attr-defined]


@pytest.mark.parametrize(("compat", "steps"), [(None, [0, 3]), ("curriculum_never_anneals", [0, 0])])
def test_q10_the_sampler_knows_the_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compat: Any, steps: list[int]
) -> None:
    seen: list[int] = []
    draw = ContrastWeightedSampler.__iter__

    def note(self: ContrastWeightedSampler) -> Any:
        seen.append(self.current_step)
        return draw(self)

    monkeypatch.setattr(ContrastWeightedSampler, "__iter__", note)
    paths = write_configs(tmp_path, model_config())
    made = MultiDatasetDM(paths[1], 30, 8, 0, 5, True, compat=compat, curriculum_steps=50)
    run = trainer(2, callbacks=[CurriculumCallback()], strategy="ddp_find_unused_parameters_true")
    run.fit(MultiDatasetModel(*paths, 1e-2, 1e-3, 30, compat=compat), datamodule=made)
    assert seen == steps


@pytest.mark.parametrize("strategy", ["auto", "ddp_find_unused_parameters_true"])
def test_q10_lightning_leaves_the_samplers_alone(tmp_path: Path, strategy: str) -> None:
    paths = write_configs(tmp_path, model_config())
    made = MultiDatasetDM(paths[1], 30, 8, 0, 5, True)
    run = trainer(1, strategy=strategy)
    run.fit(MultiDatasetModel(*paths, 1e-2, 1e-3, 30), datamodule=made)
    assert type(run.train_dataloader.sampler).__name__ == "ContrastWeightedSampler"
    assert type(run.val_dataloaders.sampler).__name__ == "FixedSubset"


def test_the_datasets_index_stays_on_the_host(tmp_path: Path) -> None:
    made = data(tmp_path)
    groups = next(iter(made.train_dataloader()))
    moved = made.transfer_batch_to_device(groups, torch.device("meta"), 0)
    assert {key: part[key].device.type for part in moved for key in part} == {
        "stim": "meta",
        "robs": "meta",
        "dfs": "meta",
        "behavior": "meta",
        "dataset_idx": "cpu",
    }
    made.trainer = SimpleNamespace(lightning_module=SimpleNamespace(is_modulator_only=True))  # type: ignore[assignment]
    assert made.transfer_batch_to_device(groups, torch.device("meta"), 0)[0]["stim"].device.type == "cpu"


def test_a_batch_of_more_samples_than_there_are(tmp_path: Path) -> None:
    made = data(tmp_path)
    made.batch = 185
    with pytest.raises(ValueError, match="184 samples a process do not make a batch of 185"):
        made.train_dataloader()


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ((0, 0, 0.5), "batches of 0"),
        ((1, -1, 0.5), "-1 workers"),
        ((1, 0, 0.0), "a fraction of 0.0"),
        ((1, 0, 1.5), "a fraction of 1.5"),
    ],
)
def test_options_that_cannot_be(tmp_path: Path, values: tuple[Any, ...], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        MultiDatasetDM(tmp_path, 30, values[0], values[1], 5, val_fraction=values[2])


def test_cast_stim() -> None:
    x = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(cast_stim(x, True), NORMALISED) and torch.equal(cast_stim(x, False), x.float())
    assert cast_stim(x, True, torch.bfloat16).dtype == torch.bfloat16


def test_float32_view() -> None:
    part = session("Allen_2022-02-16", 4)
    view = Float32View(part, norm_removed=False, float16=True)
    sample = view[0]
    assert len(view) == len(part) and {sample[key].dtype for key in ("stim", "robs", "behavior")} == {torch.bfloat16}
    assert part[0]["stim"].dtype == torch.float32, "the sample itself is left as it is"


def test_group_collate() -> None:
    samples = [{"dataset_idx": idx, "x": torch.tensor([i])} for i, idx in enumerate((1, 0, 1, 1))]
    groups = group_collate(samples)
    assert [part["dataset_idx"].tolist() for part in groups] == [[1, 1, 1], [0]]
    assert [part["x"].flatten().tolist() for part in groups] == [[0, 2, 3], [1]] and groups[0][
        "dataset_idx"
    ].dtype == torch.int64
