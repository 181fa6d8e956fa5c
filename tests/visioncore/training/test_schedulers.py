from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.visioncore.training.support import old_trainer
from visioncore.compat import Compat
from visioncore.training.schedulers import LinearWarmupCosineAnnealingLR

OLD = Compat(warmup_starts_at_zero=True)


def rates(
    warmup: int, epochs: int, compat: Compat | None = None, base: float = 1.0, count: int | None = None
) -> list[float]:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=base)
    schedule = LinearWarmupCosineAnnealingLR(optimizer, warmup, epochs, compat=compat)
    seen = []
    for _ in range(epochs + 1 if count is None else count):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return seen


def test_formula() -> None:
    ramp = [0.2, 0.4, 0.6, 0.8, 1.0]
    cosine = [(1 + math.cos(math.pi * e / 5)) / 2 for e in range(6)]
    assert rates(5, 10) == pytest.approx(ramp + cosine)


def test_q12_old_formula() -> None:
    seen = [round(rate, 4) for rate in rates(5, 10, OLD)]
    assert seen == [0, 0.2, 0.4, 0.6, 0.8, 1, 0.9045, 0.6545, 0.3455, 0.0955, 0]


def test_q12_warmup_as_long_as_the_training() -> None:
    assert rates(2, 2) == [0.5, 1.0, 1.0]
    with pytest.raises(ZeroDivisionError):
        rates(2, 2, OLD)


@given(st.integers(0, 12), st.integers(0, 12), st.floats(1e-6, 10))
def test_never_zero_while_training_never_above_base(warmup: int, epochs: int, base: float) -> None:
    seen = rates(warmup, epochs, base=base)
    assert all(0 < rate <= base * (1 + 1e-12) for rate in seen[:epochs])
    assert seen[:warmup] == sorted(seen[:warmup])
    assert seen[warmup:] == sorted(seen[warmup:], reverse=True)


def test_stays_down_after_the_end() -> None:
    assert rates(1, 3, count=6)[3:] == [0.0, 0.0, 0.0]


def test_same_bits_as_the_old_class() -> None:
    with old_trainer() as old:
        for warmup, epochs, base in ((0, 7, 3e-4), (3, 11, 0.1), (5, 6, 1e-3), (9, 4, 0.3)):
            optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=base)
            schedule = old.LinearWarmupCosineAnnealingLR(optimizer, warmup, epochs)
            seen = []
            for _ in range(epochs):
                seen.append(optimizer.param_groups[0]["lr"])
                optimizer.step()
                schedule.step()
            assert rates(warmup, epochs, OLD, base, count=epochs) == seen


def test_resumes() -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    first = LinearWarmupCosineAnnealingLR(optimizer, 2, 6)
    for _ in range(3):
        optimizer.step()
        first.step()
    again = LinearWarmupCosineAnnealingLR(torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0), 2, 6)
    again.load_state_dict(first.state_dict())
    assert again.get_lr() == first.get_lr()


def test_negative_epochs() -> None:
    with pytest.raises(ValueError, match="a warm-up of -1 in 3 epochs"):
        rates(-1, 3)
