from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.visioncore.training.support import MONOLITH, load
from visioncore.compat import Compat
from visioncore.training.losses import MaskedPoissonLoss

OLD = Compat(nan_under_mask_skips=True)


def example(seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    rhat = torch.rand(20, 3, generator=generator) + 0.1
    return rhat, torch.poisson(rhat, generator=generator), (torch.rand(20, 3, generator=generator) > 0.3).float()


@pytest.mark.parametrize("log_input", [False, True])
def test_formula(log_input: bool) -> None:
    rhat, robs, dfs = example()
    r, y, m = (tensor.double().numpy() for tensor in (rhat, robs, dfs))
    entries = np.exp(r) - y * r if log_input else r - y * np.log(r + 1e-8)
    loss = MaskedPoissonLoss(log_input)
    assert float(loss(rhat, robs, dfs)) == pytest.approx((entries * m).sum() / m.sum(), rel=1e-5)
    assert float(loss(rhat, robs)) == pytest.approx(entries.mean(), rel=1e-5)


def test_one_column_counts_for_every_cell() -> None:
    rhat, robs, dfs = example()
    loss, column = MaskedPoissonLoss(False), dfs[:, :1]
    wide = loss(rhat, robs, column.expand(-1, 3))
    assert torch.allclose(loss(rhat, robs, column), wide) and torch.allclose(loss(rhat, robs, column[:, 0]), wide)


def test_q14_what_the_mask_hides_may_be_nan() -> None:
    rhat, robs, dfs = example()
    hidden = torch.where(dfs > 0, robs, math.nan)
    rhat.requires_grad_()
    loss = MaskedPoissonLoss(False)(rhat, hidden, dfs)
    loss.backward()
    assert loss == MaskedPoissonLoss(False)(rhat, robs, dfs) and rhat.grad is not None
    assert rhat.grad.isfinite().all() and (rhat.grad[dfs == 0] == 0).all()
    assert MaskedPoissonLoss(False, compat=OLD)(rhat, hidden, dfs).isnan()


def test_nothing_counts() -> None:
    rhat, robs, dfs = example()
    assert MaskedPoissonLoss(False)(rhat, robs, torch.zeros_like(dfs)).isnan()


@pytest.mark.parametrize("log_input", [False, True])
@pytest.mark.parametrize("compat", [None, OLD])
def test_same_bits_as_the_old_class(log_input: bool, compat: Compat | None) -> None:
    old = load("old_poisson", MONOLITH / "models" / "losses" / "poisson.py")
    elementwise = torch.nn.PoissonNLLLoss(log_input=log_input, full=False, reduction="none")
    rhat, robs, dfs = example()
    for mask in (dfs, dfs[:, :1], dfs[:, 0]):
        theirs = old.MaskedLoss(elementwise)({"rhat": rhat, "robs": robs, "dfs": mask})
        assert torch.equal(MaskedPoissonLoss(log_input, compat=compat)(rhat, robs, mask), theirs)
