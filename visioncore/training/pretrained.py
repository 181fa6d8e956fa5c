"""Vision stages from another run's checkpoint."""

from __future__ import annotations

import pickle
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from visioncore.compat import Compat

# adapters, frontend and convnet; `adapter` in single-session models
VISION = ("adapters.", "adapter.", "frontend.", "convnet.")
# what puts a name of its own into the keys: the LightningModule, torch.compile, DataParallel
WRAPPERS = ("model", "_orig_mod", "module")


@dataclass(frozen=True)
class Loaded:
    """What came of it; names are the network's own, without wrappers.

    loaded: taken over · missing: vision tensors of the network that the checkpoint lacks · unexpected: vision tensors of the
    checkpoint that the network lacks · mismatched: in both, with shapes that differ, "name: theirs, ours"
    """

    loaded: tuple[str, ...]
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    mismatched: tuple[str, ...]

    def __str__(self) -> str:
        told = [f"{len(self.loaded)} vision tensors loaded"]
        for what, names in (("missing in it", self.missing), ("unknown here", self.unexpected)):
            told += [f"{len(names)} {what} ({_few(names)})"] if names else []
        told += [f"{len(self.mismatched)} of another shape ({_few(self.mismatched)})"] if self.mismatched else []
        return ", ".join(told)


def unwrapped(key: str) -> str:
    """`model._orig_mod.convnet.weight` → `convnet.weight`, wherever the wrappers' names stand."""
    return ".".join(part for part in key.split(".") if part not in WRAPPERS)


def load_pretrained(network: nn.Module, path: str | Path, *, compat: Compat | None = None) -> Loaded:
    """Load adapters, frontend and convnet from a checkpoint, with or without Lightning's wrapping, into `network`.

    Everything else starts from scratch. Adapters are matched by the position of their session. With
    `pretrained_loads_nothing` the file is read and nothing loaded (Q2).

    Raises ValueError: the file cannot be read, holds more than tensors and plain containers, or no tensor matches.
    """
    state = read_state_dict(path)
    if (compat or Compat()).pretrained_loads_nothing:
        return Loaded((), (), (), ())
    theirs = {unwrapped(key): value for key, value in state.items() if isinstance(value, Tensor)}
    ours = network.state_dict()
    name = {unwrapped(key): key for key in ours}
    offered = [key for key in theirs if key.startswith(VISION)]
    wanted = [key for key in name if key.startswith(VISION)]
    fits = [key for key in offered if key in name and theirs[key].shape == ours[name[key]].shape]
    mismatched = [key for key in offered if key in name and key not in fits]
    report = Loaded(
        loaded=tuple(fits),
        missing=tuple(key for key in wanted if key not in theirs),
        unexpected=tuple(key for key in offered if key not in name),
        mismatched=tuple(f"{key}: {_shape(theirs[key])}, {_shape(ours[name[key]])}" for key in mismatched),
    )
    if not fits:
        raise ValueError(
            f"{path}: none of its {len(theirs)} tensors ({_few(theirs)}) fits a vision tensor of the network "
            f"({_few(wanted)}); a checkpoint of a model with the same adapters, frontend and convnet is expected. {report}"
        )
    chosen: OrderedDict[str, Any] = OrderedDict((name[key], theirs[key]) for key in fits)
    chosen._metadata = _metadata(state, network)  # type: ignore[attr-defined]  # by it networks tell weights of the old package
    network.load_state_dict(chosen, strict=False)
    return report


def freeze(network: nn.Module, names: Iterable[str] | None) -> int:
    """No gradients for the parameters of these (unwrapped) names, or with None for all of the vision stages; how many there were."""
    chosen = None if names is None else set(names)
    frozen = 0
    for key, parameter in network.named_parameters():
        bare = unwrapped(key)
        if bare.startswith(VISION) if chosen is None else bare in chosen:
            parameter.requires_grad = False
            frozen += 1
    return frozen


def read_state_dict(path: str | Path) -> Mapping[str, Any]:
    """The state dict of a checkpoint, or the checkpoint itself if it is one; nothing in the file is executed.

    Raises ValueError: no such file, not a checkpoint, or one with objects in it.
    """
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise ValueError(f"{path}: there is no such checkpoint") from None
    except pickle.UnpicklingError as error:
        raise ValueError(
            f"{path} holds more than tensors and plain containers, or is damaged, and is not read; "
            "`python -m legacy translate` makes a plain one of it"
        ) from error
    except (OSError, RuntimeError, EOFError) as error:
        raise ValueError(f"{path} cannot be read as a checkpoint: {' '.join(str(error).split())}") from error
    state = checkpoint.get("state_dict", checkpoint) if isinstance(checkpoint, Mapping) else checkpoint
    if not isinstance(state, Mapping):
        raise ValueError(f"{path}: a checkpoint or a state dict is expected, {type(state).__name__} found")
    return state


def _metadata(state: Mapping[str, Any], network: nn.Module) -> dict[str, Any]:
    """Module versions, under the names that the modules have in `network`."""
    theirs = {unwrapped(key): value for key, value in getattr(state, "_metadata", {}).items()}
    return {key: theirs[unwrapped(key)] for key, _ in network.named_modules() if unwrapped(key) in theirs}


def _shape(tensor: Tensor) -> str:
    return "×".join(map(str, tensor.shape)) or "scalar"


def _few(names: Iterable[str], limit: int = 3) -> str:
    listed = list(names)
    return ", ".join(listed[:limit]) + (", …" if len(listed) > limit else "") if listed else "none"
