from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from visioncore.training.callbacks import CurriculumCallback, EpochHeartbeat, Heartbeat


def stub(**more: Any) -> Any:
    return SimpleNamespace(
        **{"is_global_zero": True, "current_epoch": 3, "callback_metrics": {}, "global_step": 7, **more}
    )


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return [line[11:] for line in capsys.readouterr().out.splitlines()]


def test_epoch_heartbeat(capsys: pytest.CaptureFixture[str]) -> None:
    beat, trainer = EpochHeartbeat(), stub()
    for hook in (beat.on_fit_start, beat.on_validation_start, beat.on_validation_end, beat.on_train_epoch_end):
        hook(trainer, None)  # type: ignore[arg-type]
    assert lines(capsys) == ["training begins", "… running validation", "validation done", "epoch 3 finished"]


def test_q7_epoch_heartbeat_shows_the_metric(capsys: pytest.CaptureFixture[str]) -> None:
    EpochHeartbeat("loss").on_train_epoch_end(stub(callback_metrics={"loss": torch.tensor(0.25)}), None)  # type: ignore[arg-type]
    assert lines(capsys) == ["epoch 3 — loss: 0.2500"]


@pytest.mark.parametrize(
    ("outputs", "shown"),
    [({"loss": torch.tensor(1.5)}, "1.5000"), (torch.tensor(2.0), "2.0000"), (None, "n/a"), ({}, "n/a")],
)
def test_heartbeat(capsys: pytest.CaptureFixture[str], outputs: Any, shown: str) -> None:
    beat = Heartbeat(every=2)
    beat.on_train_start(stub(), None)  # type: ignore[arg-type]
    for batch_idx in range(3):
        beat.on_train_batch_end(stub(), None, outputs, None, batch_idx)  # type: ignore[arg-type]
    (line,) = lines(capsys)
    assert line.startswith(f"epoch 3 batch 2  loss {shown}  ") and line.endswith(" it/s")


def test_other_ranks_are_silent(capsys: pytest.CaptureFixture[str]) -> None:
    trainer = stub(is_global_zero=False)
    EpochHeartbeat().on_fit_start(trainer, None)  # type: ignore[arg-type]
    Heartbeat(1).on_train_batch_end(trainer, None, None, None, 0)  # type: ignore[arg-type]
    assert lines(capsys) == []


def test_heartbeat_every_nothing() -> None:
    with pytest.raises(ValueError, match="every 0 batches"):
        Heartbeat(0)


def test_curriculum_tells_the_step() -> None:
    steps: list[int] = []
    loader = SimpleNamespace(sampler=SimpleNamespace(set_step=steps.append))
    callback = CurriculumCallback()
    callback.on_train_epoch_start(stub(train_dataloader=loader), None)  # type: ignore[arg-type]
    callback.on_train_batch_start(stub(train_dataloader=loader, global_step=8), None, None, 0)  # type: ignore[arg-type]
    assert steps == [7, 8]


@pytest.mark.parametrize(
    "loader", [None, SimpleNamespace(), SimpleNamespace(sampler=None), SimpleNamespace(sampler=[1])]
)
def test_curriculum_without_a_sampler_that_listens(loader: Any) -> None:
    CurriculumCallback().on_train_epoch_start(stub(train_dataloader=loader), None)  # type: ignore[arg-type]
