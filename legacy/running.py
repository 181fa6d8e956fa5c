"""Two checkpoints' networks run side by side: the same rates for the same random input, and the same weights after one more step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn

from legacy.lightning.building import Builder, resolve
from legacy.loading import load_checkpoint, load_model

_LAGS, _SIDE, _BEHAVIOR, _SAMPLES = 25, 51, 42, 2  # where the configs do not say
_OPTIMIZERS: Final[dict[str, type[torch.optim.Optimizer]]] = {
    "AdamW": torch.optim.AdamW,
    "Adam": torch.optim.Adam,
    "SGD": torch.optim.SGD,
}


@dataclass(frozen=True, slots=True)
class Ran:
    """Where two networks part, in words: nothing where they are the same, bit for bit. `stepped`: whether a step of training was run."""

    differences: list[str]
    stepped: bool


def side_by_side(
    source: Path, destination: Path, builder: str | Builder, rules: Path | None = None, **given: Any
) -> Ran:
    """Runs both networks.

    `given` is what `legacy.load_model` takes besides. Raises CheckpointError or ValueError where there is no network to run.
    """
    build = resolve(builder)
    sides = []
    for path, rows in ((source, rules), (destination, None)):
        module: Any = load_model(path, build, rules=rows, **given)
        sides.append((module, load_checkpoint(path, rules=rows)))
    (old, before), (new, after) = sides
    found: list[str] = []
    with _deterministic():
        for index, (left, right) in enumerate(zip(rates(old), rates(new), strict=True)):
            if not torch.equal(left, right):
                worst = float((left - right).abs().max())
                found.append(f"the rates of session {index} differ by up to {worst:g} for the same random input")
        weights = step(old, before), step(new, after)
    if weights[0] is None or weights[1] is None:
        if weights != (None, None):
            found.append("only one of the two has an optimiser whose state says whose it is")
        return Ran(found, stepped=False)
    for (name, left), right in zip(weights[0].items(), weights[1].values(), strict=True):
        if not torch.equal(left, right):
            found.append(f"{name} is not the same after one more step of training")
    return Ran(found, stepped=True)


def rates(module: Any) -> list[Tensor]:
    """Each session's rates (B, N) for a random input, in eval mode."""
    module.eval()
    with torch.no_grad():
        return [_forward(module.model, each) for each in inputs(module)]


def step(module: Any, checkpoint: Mapping[str, Any]) -> dict[str, Tensor] | None:
    """The parameters by name after one step of the saved optimiser on a random batch; None where its state names no parameters."""
    states = checkpoint.get("optimizer_states") or []
    if len(states) != 1 or not all("param_names" in group for group in states[0]["param_groups"]):
        return None
    parameters = dict(module.named_parameters())
    groups = [[parameters[name] for name in group["param_names"]] for group in states[0]["param_groups"]]
    kind: Any = _OPTIMIZERS[module.hparams.get("optimizer", "AdamW")]
    optimizer = kind([{"params": group} for group in groups], lr=1e-3)
    optimizer.load_state_dict(states[0])
    module.train()
    loss = torch.stack([_loss(module, each) for each in inputs(module)]).mean()
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    return {name: value.detach() for name, value in parameters.items()}


def inputs(module: Any) -> list[tuple[Any, ...]]:
    """For each session the arguments of the network: stimulus (B, C, L, H, W), its index where there are several, behaviour (B, K)."""
    generator = torch.Generator().manual_seed(0)
    config: Mapping[str, Any] = module.model_config or {}
    sessions: Sequence[Mapping[str, Any]] = getattr(module, "dataset_configs", None) or [{}]
    several = hasattr(module, "dataset_configs")
    size = config.get("height") or _SIDE, config.get("width") or _SIDE
    made: list[tuple[Any, ...]] = []
    for index, session in enumerate(sessions):
        lags = (session.get("keys_lags") or {}).get("stim")
        shape = _SAMPLES, config.get("initial_input_channels", 1), len(lags) if isinstance(lags, list) else _LAGS, *size
        arguments: tuple[Any, ...] = (torch.rand(shape, generator=generator), *([index] if several else []))
        modulator = config.get("modulator") or {}
        if modulator.get("type", "none") != "none":
            columns = (modulator.get("params") or {}).get("behavior_dim", _BEHAVIOR)
            arguments += (torch.randn(_SAMPLES, columns, generator=generator),)
        made.append(arguments)
    return made


def _forward(network: nn.Module, arguments: tuple[Any, ...]) -> Tensor:
    found: Tensor = network(*arguments)
    return found


def _loss(module: Any, arguments: tuple[Any, ...]) -> Tensor:
    rhat = _forward(module.model, arguments).float()
    robs = torch.poisson(torch.ones_like(rhat), generator=torch.Generator().manual_seed(1))
    log = isinstance(getattr(module.model, "activation", None), nn.Identity)
    return nn.functional.poisson_nll_loss(rhat, robs, log_input=log)


class _deterministic:
    """No two threads add in another order."""

    def __enter__(self) -> None:
        self._threads = torch.get_num_threads()
        self._was = torch.are_deterministic_algorithms_enabled()
        torch.set_num_threads(1)
        torch.use_deterministic_algorithms(True, warn_only=True)

    def __exit__(self, *error: object) -> None:
        torch.set_num_threads(self._threads)
        torch.use_deterministic_algorithms(self._was)
