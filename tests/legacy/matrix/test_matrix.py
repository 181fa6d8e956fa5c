"""Every kind in every variant, as the old classes saved it: inspected, translated, loaded, and trained on to the same losses."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader

import legacy
from legacy.checkpoint import read
from legacy.commands.inspect import describe
from legacy.translate import Options, Report, translate
from legacy.verify import verify
from tests.legacy.matrix.data import EPOCHS, STEPS, batches, rates
from tests.legacy.matrix.make import Losses, named_state, trainer

KINDS = ("PLCoreVisionModel", "MultiDatasetPLCore", "MultiDatasetModel")
RESUMABLE = ("plain", "compiled", "parallel", "both", "ema", "non-zip", "tied")
VARIANTS = (*RESUMABLE, "half", "no-optimizer", "weights-only")
Case = tuple[str, str, Path, Path, Report]


@pytest.fixture(scope="session", params=[f"{kind}-{variant}" for kind in KINDS for variant in VARIANTS])
def case(request: pytest.FixtureRequest, made: Path, tmp_path_factory: pytest.TempPathFactory) -> Case:
    """Kind, variant, the old file, its translation, and what was told of it."""
    kind, variant = request.param.split("-", 1)
    source, target = made / f"{request.param}.ckpt", tmp_path_factory.mktemp("new") / "new.ckpt"
    return kind, variant, source, target, translate(source, target, Options(check=True))


def truth(case: Case) -> dict[str, Any]:
    found: dict[str, Any] = torch.load(case[2].with_name(f"{case[0]}.truth"), weights_only=True)
    return found


def model(case: Case, path: Path) -> Any:
    """Two of the variants have a key more than the network."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return legacy.load_model(path, strict=case[1] != "tied")


def test_inspect_tells_the_kind_and_what_is_in_it(case: Case) -> None:
    kind, variant, source, _, _ = case
    found = describe(read(source))
    assert found["kind"] == kind and found["lightning_version"].startswith("2.")
    assert found["format"] == ("legacy-pickle" if variant == "non-zip" else "zip")
    assert not found["globals"]["refused"] and found["tensors"] == sum(1 for _ in tensors_of(source))
    assert found["optimizers"] == (variant not in ("no-optimizer", "weights-only"))
    if kind != "MultiDatasetModel":
        assert "models.build.build_model" in found["globals"]["shimmed"]
        assert found["hyper_parameters"]["optimizer"] == "AdamW"


def tensors_of(path: Path) -> list[Tensor]:
    """As torch loads them; each at each of its places, in a container that is shared once."""
    found: list[Tensor] = []
    entered: set[int] = set()

    def enter(value: Any) -> None:
        if isinstance(value, Tensor):
            found.append(value)
        if id(value) in entered:
            return
        entered.add(id(value))
        for part in value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ():
            enter(part)

    loaded = legacy.load_checkpoint(path)
    enter(loaded)
    return found


def test_plain_torch_loads_it_with_weights_only(case: Case) -> None:
    kind, _, _, target, _ = case
    loaded = torch.load(target, weights_only=True)
    found = loaded["hyper_parameters"]
    assert type(found) is dict and loaded["epoch"] == EPOCHS and loaded["global_step"] == EPOCHS * STEPS
    if kind != "MultiDatasetModel":
        assert found["model_class"] == "visioncore.models:build_model" and found["eval_modules"] == []
    assert not any(part in name.split(".") for name in loaded["state_dict"] for part in ("_orig_mod", "module"))


def test_weights_are_the_old_ones_under_their_bare_names(case: Case) -> None:
    _, variant, _, target, _ = case
    state, expected = torch.load(target, weights_only=True)["state_dict"], truth(case)["weights"]
    extra = {"model.readout_bias"} if variant == "tied" else set()
    assert state.keys() == expected.keys() | extra
    for name, value in expected.items():
        assert torch.equal(state[name], value.half() if variant == "half" and value.is_floating_point() else value)
    if extra:
        shared = next(name for name in state if name.endswith("bias"))
        assert state["model.readout_bias"].data_ptr() == state[shared].data_ptr()
    assert not any(
        part in path.split(".") for path in getattr(state, "_metadata", {}) for part in ("_orig_mod", "module")
    )


def test_averages_lose_their_prefixes_too(case: Case) -> None:
    if case[1] != "ema":
        pytest.skip("it has no average")
    loaded = torch.load(case[3], weights_only=True)
    for average in (loaded["ema_state_dict"], loaded["callbacks"]["EMACallback"]["ema_state_dict"]):
        assert average.keys() == loaded["state_dict"].keys()


def test_outputs_are_the_same_bit_for_bit(case: Case) -> None:
    kind, variant, source, target, _ = case
    expected = truth(case)
    if variant == "half":
        whole = legacy.load_model(source.with_name(f"{kind}-plain.ckpt"))
        whole.load_state_dict({n: v.half().to(v.dtype) for n, v in expected["weights"].items()})
        expected["rates"] = rates(whole, kind)
    for path in (source, target):
        for found, wanted in zip(rates(model(case, path), kind), expected["rates"], strict=True):
            assert torch.equal(found, wanted)


def test_optimizer_state_is_the_same_by_name(case: Case) -> None:
    states = torch.load(case[3], weights_only=True).get("optimizer_states", [])
    assert len(states) == (case[1] not in ("no-optimizer", "weights-only"))
    for state in states:
        names = [name for group in state["param_groups"] for name in group["param_names"]]
        ids = [identity for group in state["param_groups"] for identity in group["params"]]
        found = {name: state["state"][identity] for name, identity in zip(names, ids, strict=True)}
        expected = truth(case)["optimizer"]
        assert found.keys() == expected.keys()
        for name, values in expected.items():
            assert all(torch.equal(found[name][key], value) for key, value in values.items())


def test_it_trains_on_to_the_same_losses(case: Case) -> None:
    kind, variant, _, target, _ = case
    if variant not in RESUMABLE:
        pytest.skip("there is nothing to go on from")
    import pytorch_lightning

    module, losses = model(case, target).train(), Losses()
    module.strict_loading = variant != "tied"
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    fit = trainer(pytorch_lightning, EPOCHS + 1, losses.of(pytorch_lightning))
    loader = DataLoader(batches(kind), batch_size=None)
    fit.fit(module, loader, ckpt_path=target, weights_only=True)
    torch.set_num_threads(threads)
    expected = truth(case)["losses"]
    assert len(losses.seen) == len(expected) == STEPS
    assert all(torch.equal(found, wanted) for found, wanted in zip(losses.seen, expected, strict=True))
    assert fit.global_step == (EPOCHS + 1) * STEPS
    assert set(named_state(module, fit.optimizers[0])) == set(truth(case)["optimizer"])


def test_verify_agrees(case: Case) -> None:
    verdict = verify(case[2], case[3])
    assert verdict.same, verdict.differences


def test_translating_again_changes_nothing(case: Case, tmp_path: Path) -> None:
    again = translate(case[3], tmp_path / "again.ckpt", Options())
    assert again.rules == [] and again.replaced == {}
    first, second = (read(path) for path in (case[3], tmp_path / "again.ckpt"))
    assert describe(first) | SAME == describe(second) | SAME


SAME = {"path": "", "file_bytes": 0, "provenance": None}
