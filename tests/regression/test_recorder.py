"""What a recording holds is what the script computed."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from regression.compare.flatten import Row, values
from regression.compare.judge import compare
from regression.hashing import Hasher, digest
from regression.trace import Trace

Tiny = Callable[..., Trace]


def by_hand(steps: int) -> tuple[list[float], list[dict[str, torch.Tensor]]]:
    """`tiny.py` without Lightning and without a recorder: losses, and the weights after each step."""
    torch.manual_seed(0)
    x = torch.randn(64, 4, generator=torch.Generator().manual_seed(1))
    y = x.sum(1, keepdim=True)
    body = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Dropout(0.1))
    head = torch.nn.Linear(8, 1)
    net = torch.nn.ModuleDict({"body": body, "head": head})
    optimizer = torch.optim.Adam(net.parameters(), lr=0.1)
    data = torch.utils.data.TensorDataset(x, y)
    losses, weights = [], []
    for batch, target in torch.utils.data.DataLoader(data, 8, shuffle=True):
        loss = ((head(body(batch)) - target) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        weights.append({name: value.detach().clone() for name, value in net.named_parameters()})
    return losses[:steps], weights[:steps]


def test_losses_and_weights_are_those_of_a_loop_by_hand(tiny: Tiny) -> None:
    losses, weights = by_hand(8)
    trace = tiny()
    assert trace.losses()[:8] == losses
    for record, expected in zip(trace.steps, weights, strict=False):
        found = values(trace, record)
        for name, tensor in expected.items():
            row = found["step", "parameters", name]
            assert isinstance(row, Row) and row.hash == digest(int(Hasher()([tensor])))
            assert row.norm == pytest.approx(float(tensor.norm()), rel=1e-5)


def test_every_phase_is_there(tiny: Tiny) -> None:
    phases = {phase for record in tiny("--save").records for phase in record["phases"]}
    assert phases == {
        "start", "settings", "data", "forward", "loss", "backward", "clip", "step", "schedule", "metrics", "checkpoint", "end",
    }  # fmt: skip


def test_the_order_of_the_sampler_is_kept(tiny: Tiny) -> None:
    order = [record["phases"]["data"]["order"][0] for record in tiny().steps]
    for epoch in (order[:8], order[8:]):
        assert sorted(i for batch in epoch for i in batch) == list(range(64))
    assert order[:8] != order[8:]


def test_logged_values_have_key_hook_and_options(tiny: Tiny) -> None:
    first = tiny().steps[0]["phases"]
    assert first["metrics"]["logged"] == [["training_step", "train_loss", first["loss"]["loss"], {"on_epoch": False}]]
    validation = [record for record in tiny().records if record["record"] == "validation"]
    assert len(validation) == 2 and validation[0]["phases"]["metrics"]["logged"][0][:2] == [
        "validation_step",
        "val_loss",
    ]
    assert len(list(validation[0]["phases"]["data"])) == 8, "every batch"


def test_options_of_the_step_and_what_the_schedule_makes_of_them(tiny: Tiny) -> None:
    trace = tiny()
    rates = [record["phases"]["step"]["options"]["0"]["lr"] for record in trace.steps]
    assert rates == [0.1] * 8 + [0.05] * 8
    assert {"weight_decay", "betas", "eps", "amsgrad"} <= set(trace.steps[0]["phases"]["step"]["options"]["0"])
    scheduled = [record for record in trace.records if record["record"] == "schedule"]
    assert [record["step"] for record in scheduled] == [1, 8, 16]


def test_the_end(tiny: Tiny) -> None:
    trace = tiny()
    assert trace.complete and trace.deterministic
    last, end = trace.records[-2:]
    assert last["phases"]["end"]["stopped"] == {"epoch": 2, "global_step": 16}
    assert end["peak_bytes"] > 1e8 and {"data", "forward", "backward", "step"} <= set(end["seconds"])


def test_checkpoints_are_known_by_content(tiny: Tiny) -> None:
    (saved,) = [record for record in tiny("--save").records if record["record"] == "checkpoint"][-1:]
    assert saved["phases"]["checkpoint"]["file"] == "epoch=1-step=16.ckpt"
    trace = tiny("--save")
    found = values(trace, saved)
    weights = values(trace, trace.steps[-1])["step", "parameters", "head.weight"]
    assert found["checkpoint", "tensors", "state_dict.head.weight"].hash == weights.hash


def test_recording_changes_no_bit(tiny: Tiny) -> None:
    light = tiny(light=True)
    assert light.losses() == tiny().losses()
    assert all("parameters" not in record["phases"].get("step", {}) for record in light.steps)


def test_either_lightning(tiny: Tiny) -> None:
    assert tiny("--lightning", "lightning.pytorch").losses() == tiny().losses()


def test_accumulated_gradients(tiny: Tiny) -> None:
    steps = tiny("--accumulate", "2").steps
    assert ["options" in record["phases"]["step"] for record in steps] == [False, True] * 8


def test_steps_are_of_the_optimizer(tiny: Tiny) -> None:
    assert len(tiny(steps=3).steps) == 3
    assert tiny(steps=3).losses() == tiny().losses()[:3]


def test_a_seed_is_one(tiny: Tiny) -> None:
    assert tiny(seed=1).losses() != tiny().losses()
    assert compare(tiny(), tiny(again=1)).same


def test_tensors_on_request(tiny: Tiny) -> None:
    from safetensors.torch import load_file

    trace = tiny(tensors=(2, 3))
    files = sorted((trace.path.parent / "run.trace.tensors").iterdir())
    assert [file.name for file in files] == ["step-2.safetensors", "step-3.safetensors"]
    kept = load_file(files[0])
    assert {
        "batch/0",
        "forward/00000/body.0",
        "backward/00000/body.0",
        "gradient/head.bias",
        "parameter/head.bias",
    } <= set(kept)
    row = values(trace, trace.steps[1])["step", "parameters", "head.bias"]
    assert digest(int(Hasher()([kept["parameter/head.bias"]]))) == row.hash
