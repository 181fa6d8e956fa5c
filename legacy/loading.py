"""Old checkpoints in Python: `load_checkpoint` gives what is in one, `load_model` the network, ready to use."""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from legacy.checkpoint import read
from legacy.checkpoint.errors import CheckpointError
from legacy.checkpoint.kinds import Kind, kind_of
from legacy.checkpoint.rules.user import load
from legacy.resemblance import told
from legacy.translate import Options, Report, translate

if TYPE_CHECKING:
    from pytorch_lightning import LightningModule

_NETWORK: Final = "model."


def kind(path: str | os.PathLike[str]) -> Kind:
    """Which module saved a checkpoint, as `inspect` says it, without running any of the file. Raises `legacy.CheckpointError`."""
    return kind_of(read(path).root)


def load_checkpoint(
    path: str | os.PathLike[str],
    *,
    map_location: Any = "cpu",
    rules: str | os.PathLike[str] | None = None,
    allow: Collection[str] = (),
    folder: str | os.PathLike[str] | None = None,
) -> dict[str, Any]:
    """The checkpoint as it would be after `translate`, loaded by torch with `weights_only`.

    `rules` is a rules file; objects under names in `allow` must be known to torch (`torch.serialization.add_safe_globals`). The translation
    lies in `folder` (the system's for temporary files) while it is loaded. Raises `legacy.CheckpointError` as the command does.
    """
    return _loaded(path, map_location, rules, allow, folder)[0]


def load_model(
    path: str | os.PathLike[str],
    builder: str | Callable[..., Any] = "visioncore.models:build_model",
    strict: bool = True,
    *,
    model_config: str | os.PathLike[str] | Mapping[str, Any] | None = None,
    dataset_configs: str | os.PathLike[str] | Sequence[Mapping[str, Any]] | None = None,
    map_location: Any = "cpu",
    namespace: str | None = None,
    compat: Any = "all",
    rules: str | os.PathLike[str] | None = None,
    allow: Collection[str] = (),
) -> LightningModule:
    """The LightningModule of a checkpoint, old or translated, with its weights, in eval mode: `.train()` before training on.

    builder: of the network, as module:name or itself; called with the model config and, for several sessions, the dataset configs
    strict: raise where weights are missing, left over or of another shape; else warn
    model_config, dataset_configs: where the checkpoint has none, or its files are gone: contents, a YAML, a folder of YAMLs
    namespace: "lightning" or "pytorch_lightning", by default the one the program has imported
    compat: which quirks the old script's module keeps (`visioncore.compat`); files that say it themselves are believed

    Raises `legacy.CheckpointError`: the file cannot be read or says too little, keys do not fit; ValueError: no such builder.
    """
    from legacy.lightning.building import resolve
    from legacy.rebuilding import rebuilt

    build = resolve(builder)
    checkpoint, report = _loaded(path, map_location, rules, allow, None)
    given = {"model_config": model_config, "dataset_configs": dataset_configs}
    module, state = rebuilt(Path(path), checkpoint, report.kind, build, given, namespace, compat)
    own = module.state_dict()
    misshapen = [
        f"{name}: {tuple(state[name].shape)} in the file, {tuple(tensor.shape)} in the network"
        for name, tensor in own.items()
        if hasattr(tensor, "shape") and name in state and state[name].shape != tensor.shape
    ]
    missing, left_over = [name for name in own if name not in state], [name for name in state if name not in own]
    if misshapen or missing or left_over:
        text = f"{path} and the network of {_named(builder)} do not fit:{told(missing, left_over, misshapen)}"
        if strict:
            raise CheckpointError(f"{text}\nstrict=False loads what fits")
        warnings.warn(text, stacklevel=2)
    for name in [name for name in state if name in own and any(line.startswith(f"{name}: ") for line in misshapen)]:
        del state[name]
    module.load_state_dict(state, strict=False)
    return module.eval()


def _loaded(
    path: Any, map_location: Any, rules: Any, allow: Collection[str], folder: Any
) -> tuple[dict[str, Any], Report]:
    import torch

    rows = load(Path(rules)) if rules is not None else ()
    with tempfile.TemporaryDirectory(dir=folder) as made:
        target = Path(made) / "translated.ckpt"
        report = translate(Path(path), target, Options(rows=rows, allow=frozenset(allow), hashed=False, synced=False))
        found: dict[str, Any] = torch.load(target, map_location=map_location, weights_only=True)
    return found, report


def _named(builder: object) -> str:
    return builder if isinstance(builder, str) else str(getattr(builder, "__qualname__", builder))
