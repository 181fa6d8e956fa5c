"""Would the network run? It is asked with shapes alone, on torch's meta device: of what the configs say, and of what the sessions hold."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
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
    run = _probe(network, source)
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
        run(session.source, index, stimulus, behavior)


def check_inputs(network: Network, batches: Sequence[Mapping[str, Tensor]], names: Sequence[str], source: str) -> None:
    """The same with the shapes of real samples: a batch of each session, named, in the network's order. Raises ConfigError."""
    run = _probe(network, source)
    for index, (name, batch) in enumerate(zip(names, batches, strict=True)):
        stimulus, behavior = (
            batch[key].to("meta", torch.float32) if key in batch else None for key in ("stim", "behavior")
        )
        run(name, index, stimulus if network.needs_stimulus else None, behavior)


def _probe(network: Network, source: str) -> Callable[[str, int, Tensor | None, Tensor | None], None]:
    """Runs a copy of `network` without data. Raises ConfigError, naming session and stage."""
    probe = copy.deepcopy(network).to("meta").eval()
    running = _watch(probe)

    def run(session: str, index: int, stimulus: Tensor | None, behavior: Tensor | None) -> None:
        which = (index,) if isinstance(network, MultiDatasetV1Model) else ()
        running.clear()
        try:
            probe(stimulus, *which, behavior)
        except (RuntimeError, ValueError, IndexError) as error:
            at, shape = running[-1]
            stage = at.split(".")[0].removesuffix("s") or "the network"
            given = f" an input of {tuple(shape)}" if shape else " its input"
            reason = str(error).strip().splitlines()[0]
            if stage == "modulator" and behavior is not None:
                columns = " × ".join(map(str, behavior.shape[1:]))
                reason += (
                    f"; behavior has {columns} columns, and modulator.params.behavior_dim says how many it should have"
                )
            raise ConfigError(f"{source}: {stage} cannot take{given} (at {at}, session {session}): {reason}") from error

    return run


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
