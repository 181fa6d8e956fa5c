"""On a GPU: bfloat16, torch.compile, two devices. Exact where both runs are deterministic, else against the noise of repeated old runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from regression.compare.expected import read
from regression.compare.judge import Comparison, compare
from regression.compare.noise import compare_within_noise
from regression.recordings import Recordings
from regression.scenarios import Side

pytestmark = pytest.mark.gpu
EXPECTED = read(Path(__file__).with_name("expected.toml"))
REPETITIONS = 10


def judged(recorded: Recordings, old: Any, new: Any, scenario: str, **options: Any) -> Comparison:
    if not (isinstance(old, Side) and isinstance(new, Side)):
        pytest.skip("both trainers have to run here")
    first, made = recorded.both(old, new, scenario, **options)
    if first.deterministic and made.deterministic:
        return compare(first, made, EXPECTED)
    # experiment_name tells the repetitions apart, and nothing of the training depends on it
    olds = [recorded(old, scenario, experiment_name=f"again-{i}", **options) for i in range(REPETITIONS)]
    return compare_within_noise([first, *olds], made)


@pytest.mark.parametrize("scenario", ["small", "resnet_convgru", "densenet_concat", "modulator_only", "bf16"])
def test_one_device(recorded: Recordings, old: Any, new: Any, scenario: str) -> None:
    found = judged(recorded, old, new, scenario)
    assert found.same, found.incomparable or "\n".join(map(str, found.divergences))


@pytest.mark.parametrize("precision", ["32", "bf16"])
def test_compiled(recorded: Recordings, old: Any, new: Any, precision: str) -> None:
    found = judged(recorded, old, new, "small", compile=True, precision=precision)
    assert found.same, found.incomparable or "\n".join(map(str, found.divergences))


def test_two_devices(recorded: Recordings, old: Any, new: Any) -> None:
    if torch.cuda.device_count() < 2:
        pytest.skip("one CUDA device, two are needed")
    found = judged(recorded, old, new, "two_ranks")
    assert found.same, found.incomparable or "\n".join(map(str, found.divergences))
