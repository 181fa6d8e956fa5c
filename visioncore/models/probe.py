"""Would the network run? It is asked with shapes alone, on torch's meta device, before any data is loaded."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from visioncore.errors import ConfigError
from visioncore.models.network import MultiDatasetV1Model, Network
from visioncore.models.schema.model import ModelConfig
from visioncore.models.sessions import Session


def check_shapes(network: Network, config: ModelConfig, sessions: Sequence[Session], source: str) -> None:
    """Run each kind of session once through a copy of `network` without data.

    Sessions whose number of lags or size of image is not known are passed over. Raises ConfigError, naming the stage that cannot
    take what it is given.
    """
    probe = copy.deepcopy(network).to("meta").eval()
    running = _watch(probe)
    seen = set()
    for index, session in enumerate(sessions):
        if (kind := repr((session.adapter, session.lags))) in seen:
            continue
        seen.add(kind)
        stimulus = _stimulus(config, session)
        if stimulus is None and network.needs_stimulus:
            continue
        behavior = (
            None if network.modulator is None else torch.empty(1, config.modulator.params.behavior_dim, device="meta")
        )
        which = (index,) if isinstance(network, MultiDatasetV1Model) else ()
        running.clear()
        try:
            probe(stimulus, *which, behavior)
        except (RuntimeError, ValueError, IndexError) as error:
            at, shape = running[-1]
            stage = at.split(".")[0].removesuffix("s") or "the network"
            given = f" an input of {tuple(shape)}" if shape else " its input"
            reason = str(error).strip().splitlines()[0]
            raise ConfigError(
                f"{source}: {stage} cannot take{given} (at {at}, session {session.source}): {reason}"
            ) from error


def _stimulus(config: ModelConfig, session: Session) -> Tensor | None:
    """A stimulus without data, or None where its shape is not known or nothing looks at it."""
    # an adapter takes any size and gives its grid
    grid = session.adapter.params.grid_size if session.adapter.type != "none" else None
    height, width = config.height or grid, config.width or grid
    if config.is_modulator_only or session.lags is None or height is None or width is None:
        return None
    return torch.empty(1, config.initial_input_channels, session.lags, height, width, device="meta")


def _watch(network: nn.Module) -> list[tuple[str, torch.Size | None]]:
    """The modules that are running, outermost first, each with the shape it was given; kept up to date by hooks."""
    running: list[tuple[str, torch.Size | None]] = []

    def entering(name: str) -> Any:
        def hook(module: nn.Module, args: tuple[Any, ...]) -> None:
            running.append((name, getattr(args[0], "shape", None) if args else None))

        return hook

    def leaving(module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        # an LSTM cell's output is a pair
        if isinstance(output, Tensor) and 0 in output.shape:
            raise ValueError(f"nothing is left of it: the output would be {tuple(output.shape)}")
        running.pop()

    for name, module in network.named_modules():
        module.register_forward_pre_hook(entering(name))
        module.register_forward_hook(leaving)
    return running
