from __future__ import annotations

import logging
import warnings
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from visioncore.run.progress import Progress
from visioncore.run.quiet import hush


def shown(bar: Progress, **metrics: float) -> dict[str, Any]:
    trainer: Any = SimpleNamespace(callback_metrics=metrics, sanity_checking=False, world_size=2)
    return bar.get_metrics(trainer, None)  # type: ignore[arg-type]


def test_loss_bits_per_spike_and_samples_a_second() -> None:
    bar = Progress()
    assert shown(bar) == {}
    bar._samples, bar._since, bar._loss = 100, bar._since - 10, torch.tensor(0.25)
    first = shown(bar, val_bps_overall=0.1234)
    assert (first["loss"], first["bits/spike"], first["samples/s"]) == ("0.2500", "0.123", "20")
    assert shown(bar)["bits/spike"] == "0.123", "the last validation's, until the next"


def test_what_is_no_news_is_left_out_and_all_else_told(caplog: pytest.LogCaptureFixture) -> None:
    hush()
    log = logging.getLogger("pytorch_lightning.utilities.rank_zero")
    with caplog.at_level(logging.INFO, logger=log.name):
        log.addHandler(caplog.handler)
        try:
            log.info("💡 Tip: try something else")
            log.info("3 datasets: 10 training samples")
        finally:
            log.removeHandler(caplog.handler)
    assert set(caplog.messages) == {"3 datasets: 10 training samples"}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        hush()
        warnings.warn("Checkpoint directory /x exists and is not empty.", stacklevel=1)
        warnings.warn("the loss is not finite", stacklevel=1)
    assert [str(warning.message) for warning in caught] == ["the loss is not finite"]
