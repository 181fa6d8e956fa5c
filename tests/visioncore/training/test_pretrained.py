from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from tests.visioncore.training.support import NAMES, model_config, write_configs
from visioncore.compat import Compat
from visioncore.models import build_model
from visioncore.training.lightning import MultiDatasetModel
from visioncore.training.pretrained import freeze, load_pretrained, unwrapped

OLD = Compat(pretrained_loads_nothing=True)


def network(sessions: int = 2, **more: Any) -> nn.Module:
    datasets = [{"cids": list(range(cells))} for cells in list(NAMES.values())[:sessions]]
    return build_model(model_config(**more), datasets, seed=1)


def checkpoint(path: Path, donor: nn.Module, prefix: str = "model.", wrap: bool = True) -> Path:
    """Every tensor a seven."""
    with torch.no_grad():
        for value in donor.state_dict().values():
            value.fill_(7.0)
    state = {prefix + key: value for key, value in donor.state_dict().items()}
    torch.save({"state_dict": state, "epoch": 3} if wrap else state, path)
    return path


def sevens(module: nn.Module) -> set[str]:
    return {key for key, value in module.state_dict().items() if bool((value == 7).all())}


def vision(module: nn.Module) -> set[str]:
    return {key for key in module.state_dict() if key.startswith(("adapters", "frontend", "convnet"))}


@pytest.mark.parametrize(
    "prefix", ["", "model.", "model._orig_mod.", "_orig_mod.", "module.model.", "module.", "model.module._orig_mod."]
)
@pytest.mark.parametrize("wrap", [True, False])
def test_q2_vision_is_loaded_whatever_wrapped_it(tmp_path: Path, prefix: str, wrap: bool) -> None:
    ours = network()
    report = load_pretrained(ours, checkpoint(tmp_path / "a.ckpt", network(), prefix, wrap))
    assert sevens(ours) == vision(ours) == set(report.loaded) and not report.missing and not report.mismatched


def test_into_a_compiled_network(tmp_path: Path) -> None:
    ours = torch.compile(network())
    assert isinstance(ours, nn.Module)
    report = load_pretrained(ours, checkpoint(tmp_path / "a.ckpt", network()))
    assert {unwrapped(key) for key in sevens(ours)} == set(report.loaded)
    assert freeze(ours, report.loaded) == sum(not p.requires_grad for p in ours.parameters()) > 0


def test_q2_the_old_way_loads_nothing(tmp_path: Path) -> None:
    ours = network()
    assert load_pretrained(ours, checkpoint(tmp_path / "a.ckpt", network()), compat=OLD).loaded == ()
    assert sevens(ours) == set()


def test_more_and_fewer_sessions(tmp_path: Path) -> None:
    ours, fewer = network(), network(1)
    report = load_pretrained(ours, checkpoint(tmp_path / "a.ckpt", fewer))
    assert {key.split(".")[1] for key in report.missing} == {"1"} and "missing in it (adapters.1." in str(report)
    report = load_pretrained(network(1), checkpoint(tmp_path / "b.ckpt", network()))
    assert {key.split(".")[1] for key in report.unexpected} == {"1"}


def test_another_shape_is_told_and_left_alone(tmp_path: Path) -> None:
    frontend = {"type": "learnable_temporal", "params": {"kernel_size": 3, "num_channels": 2}}
    ours = network()
    report = load_pretrained(ours, checkpoint(tmp_path / "a.ckpt", network(frontend=frontend)))
    (told,) = report.mismatched
    assert told.startswith("frontend.") and "×3, " in told and told.split(":")[0] not in sevens(ours)
    assert "1 of another shape" in str(report)


def test_nothing_that_fits_is_refused(tmp_path: Path) -> None:
    torch.save({"state_dict": {"head.weight": torch.ones(3)}}, tmp_path / "a.ckpt")
    with pytest.raises(ValueError, match=r"none of its 1 tensors \(head\.weight\) fits a vision tensor .* is expected"):
        load_pretrained(network(), tmp_path / "a.ckpt")


class Evil:
    def __reduce__(self) -> Any:
        return (print, ("code from a checkpoint ran",))


def test_nothing_in_the_file_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({"state_dict": {}, "hyper_parameters": Evil()}, tmp_path / "a.ckpt")
    with pytest.raises(ValueError, match="holds more than tensors and plain containers"):
        load_pretrained(network(), tmp_path / "a.ckpt")
    assert capsys.readouterr().out == ""


def test_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there is no such checkpoint"):
        load_pretrained(network(), tmp_path / "none.ckpt")
    (tmp_path / "text.ckpt").write_text("no checkpoint")
    (tmp_path / "empty.ckpt").write_bytes(b"")
    for name in ("text.ckpt", "empty.ckpt"):
        with pytest.raises(ValueError, match=name):
            load_pretrained(network(), tmp_path / name)
    torch.save([1, 2], tmp_path / "list.ckpt")
    with pytest.raises(ValueError, match="a state dict is expected, list found"):
        load_pretrained(network(), tmp_path / "list.ckpt")


def test_weights_of_the_old_package_are_told(tmp_path: Path) -> None:
    donor = network()
    state = donor.state_dict()
    state._metadata[""]["version"] = 1  # type: ignore[attr-defined]
    torch.save({"state_dict": state}, tmp_path / "a.ckpt")
    with pytest.warns(UserWarning, match="the old package"):
        load_pretrained(network(), tmp_path / "a.ckpt")


def test_q2_what_was_loaded_is_frozen(tmp_path: Path) -> None:
    paths = write_configs(tmp_path)
    path = checkpoint(tmp_path / "a.ckpt", network(1))
    module = MultiDatasetModel(*paths, 1e-3, 0.0, 30, path, True)
    frozen = {name for name, parameter in module.model.named_parameters() if not parameter.requires_grad}
    assert frozen == sevens(module.model) and not any(name.startswith("adapters.1") for name in frozen)
    old = MultiDatasetModel(*paths, 1e-3, 0.0, 30, path, True, compat=OLD)
    assert sevens(old.model) == set()
    random = {name for name, parameter in old.model.named_parameters() if not parameter.requires_grad}
    assert random == {name for name, _ in old.model.named_parameters()} & vision(old.model)


def test_freezing_nothing_is_refused(tmp_path: Path) -> None:
    paths = write_configs(tmp_path)
    with pytest.raises(ValueError, match="there is no pretrained_checkpoint"):
        MultiDatasetModel(*paths, 1e-3, 0.0, 30, freeze_vision=True)
    MultiDatasetModel(*paths, 1e-3, 0.0, 30, freeze_vision=True, compat=OLD)
