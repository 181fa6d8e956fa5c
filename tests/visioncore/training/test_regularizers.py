from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from tests.visioncore.training.support import MONOLITH, load
from visioncore.compat import Compat
from visioncore.training.regularizers import (
    PENALTIES,
    PROXIMAL,
    Schedule,
    create_regularizers,
    get_excluded_params_for_weight_decay,
    matches,
)

OLD = Compat(ramp_off_after_end=True)
VALUES = [-2.0, 0.5, 3.0]


def entry(type: str = "l1", lam: float = 0.5, apply_to: Any = ("w",), **more: Any) -> dict[str, Any]:
    return {"name": "r", "type": type, "lambda": lam, "apply_to": list(apply_to), **more}


def named(values: Any = VALUES) -> list[tuple[str, nn.Parameter]]:
    return [("a.w", nn.Parameter(torch.tensor(values))), ("a.b", nn.Parameter(torch.ones(2)))]


@pytest.mark.parametrize(("kind", "value"), [("l1", 2.75), ("l2", 6.625), ("group_lasso", 13.25**0.5 / 2)])
def test_penalties(kind: str, value: float) -> None:
    (regularizer,) = create_regularizers([entry(kind)], named())
    assert float(regularizer.loss(0).detach()) == pytest.approx(value)


def test_a_penalty_is_over_all_tensors() -> None:
    (regularizer,) = create_regularizers([entry("group_lasso", 1.0, ["a"])], named())
    assert float(regularizer.loss(0).detach()) == pytest.approx(13.25**0.5 + 2**0.5)


@pytest.mark.parametrize(
    ("kind", "after"),
    [
        ("proximal_l1", [-1.75, 0.25, 2.75]),
        ("proximal_clamp", [-1.0, 0.5, 1.0]),
        ("proximal_clamp_positive", [0.0, 0.5, 1.0]),
        ("proximal_clamp_min", [1.0, 1.0, 3.0]),
        ("l1", VALUES),
    ],
)
def test_proximal_updates(kind: str, after: list[float]) -> None:
    parameters = named()
    (regularizer,) = create_regularizers([entry(kind, 1.0)], parameters)
    regularizer.prox(0, 0.25)
    assert parameters[0][1].tolist() == after
    assert kind == "l1" or float(regularizer.loss(0)) == 0


def test_each_parameter_with_its_own_rate() -> None:
    parameters = named()
    (regularizer,) = create_regularizers([entry("proximal_l1", 1.0, ["a"])], parameters)
    regularizer.prox(0, lambda p: 0.5 if p is parameters[0][1] else None)
    assert parameters[0][1].tolist() == [-1.5, 0.0, 2.5] and parameters[1][1].tolist() == [1.0, 1.0]


SCHEDULES = [
    ({}, [1, 1, 1, 1, 1, 1, 1, 1, 1]),
    ({"kind": "warmup", "start_epoch": 2}, [0, 0, 1, 1, 1, 1, 1, 1, 1]),
    ({"kind": "warmup", "start_epoch": 1, "end_epoch": 3}, [0, 1, 1, 1, 0, 0, 0, 0, 0]),
    ({"kind": "linear_ramp", "start_epoch": 2, "end_epoch": 6}, [0, 0, 0, 0.25, 0.5, 0.75, 1, 1, 1]),
    ({"kind": "linear_ramp", "start_epoch": 2, "end_epoch": 2}, [0, 0, 1, 1, 1, 1, 1, 1, 1]),
    (
        {"kind": "linear_decay", "start_epoch": 2, "end_epoch": 6, "start_lambda": 5},
        [0, 0, 5, 4, 3, 2, 1, 1, 1],
    ),
    ({"kind": "linear_decay", "start_epoch": 3, "end_epoch": 5, "start_lambda": None}, [0, 0, 0, 1, 1, 1, 1, 1, 1]),
]


@pytest.mark.parametrize(("config", "values"), SCHEDULES)
def test_schedules(config: dict[str, Any], values: list[float]) -> None:
    assert [Schedule(1.0, config)(epoch) for epoch in range(9)] == values


def test_q17_the_old_ramp_falls_back_to_zero() -> None:
    ramp = Schedule(1.0, {"kind": "linear_ramp", "start_epoch": 2, "end_epoch": 6}, ramp_off_after_end=True)
    assert [ramp(epoch) for epoch in range(9)] == [0, 0, 0, 0.25, 0.5, 0.75, 1, 0, 0]


BROKEN = [
    ({"name": "r", "type": "l1"}, "lambda missing"),
    ({}, "name and type and lambda missing"),
    (entry("proximal_clmp"), "did you mean 'proximal_clamp'"),
    (entry(schedule={"kind": "liner_ramp", "end_epoch": 2}), "did you mean 'linear_ramp'"),
    (entry(schedule={"kind": "linear_ramp"}), "needs an end_epoch"),
    ("l1", "a mapping with name, type and lambda is expected"),
]


@pytest.mark.parametrize(("config", "sentence"), BROKEN)
def test_q17_a_broken_entry_is_an_error_or_was_left_out(config: Any, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        create_regularizers([config], named())
    with pytest.warns(UserWarning, match=sentence):
        assert create_regularizers([config], named(), compat=OLD) == []


def test_an_entry_that_matches_nothing_warns() -> None:
    with pytest.warns(UserWarning, match=r"no parameter matches \['x/y'\]"):
        (regularizer,) = create_regularizers([entry(apply_to=["x/y"])], named())
    assert float(regularizer.loss(0)) == 0 and not regularizer.active(0)
    regularizer.prox(0, 1.0)
    assert repr(regularizer) == "Regularizer(r: l1, constant(0.5), 0 tensors)"


@pytest.mark.parametrize("nothing", [None, []])
def test_no_regularization(nothing: Any) -> None:
    assert create_regularizers(nothing, named()) == []


def test_matching() -> None:
    name = "readouts.0.features.weight"
    assert matches(name, ["readouts/features"]) and matches(name, ["x", "weight/"])
    assert not matches(name, ["readouts/std"]) and not matches(name, ["", "/"]) and not matches(name, [])


def test_excluded_from_weight_decay() -> None:
    configs = [entry("l2", 0.0, ["w"]), entry("group_lasso", 1.0, ["a"]), entry("l1", 1.0, ["b"])]
    made = create_regularizers(configs, named())
    assert get_excluded_params_for_weight_decay(made) == ["a.w", "a.b"]
    assert get_excluded_params_for_weight_decay(made[2:]) == []


@pytest.fixture(scope="module")
def old() -> Any:
    return load("old_regularizers", MONOLITH / "training" / "regularizers.py")


FLOATS = st.lists(st.floats(-10, 10, width=32), min_size=1, max_size=6)


@given(st.sampled_from([*PENALTIES, *PROXIMAL]), FLOATS, st.floats(0, 3), st.floats(0, 1), st.integers(0, 8), st.data())
def test_same_bits_as_the_old_module(
    old: Any, kind: str, values: list[float], lam: float, lr: float, epoch: int, data: Any
) -> None:
    config = entry(kind, lam, ["a"], schedule=data.draw(st.sampled_from([config for config, _ in SCHEDULES[:-1]])))
    ours, theirs = named(values), named(values)
    (new,), (before,) = create_regularizers([config], ours, compat=OLD), old.create_regularizers([config], theirs)
    assert torch.equal(new.loss(epoch), before.loss(epoch))
    new.prox(epoch, lr)
    before.prox(epoch, lr)
    assert all(torch.equal(a, b) for (_, a), (_, b) in zip(ours, theirs, strict=True))
