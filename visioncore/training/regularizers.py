"""Regularizers that a model YAML switches on.

    regularization:
      - {name: sparse, type: l1, lambda: 1.0e-7, apply_to: [readouts/features], schedule: {kind: warmup, start_epoch: 1}}

`apply_to` is a list of patterns: a parameter is meant when all the parts of one of them, cut at "/", occur in its name. Penalties
are added to the loss: `l1` λ Σ|p|, `l2` λ Σp², `group_lasso` λ Σ‖p‖₂, a tensor being a group. Proximal updates change the
parameters after the optimiser's step: `proximal_l1` shrinks by λ · learning rate, `proximal_clamp` clips to [-λ, λ],
`proximal_clamp_positive` to [0, λ], `proximal_clamp_min` to at least λ.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from visioncore.compat import Compat
from visioncore.errors import nearest, one_of

PENALTIES: dict[str, Callable[[Tensor], Tensor]] = {
    "l1": lambda p: p.abs().sum(),
    "l2": lambda p: p.pow(2).sum(),
    "group_lasso": lambda p: p.norm(2),
}
# new value of a parameter, from the parameter, lambda and the learning rate of the step
PROXIMAL: dict[str, Callable[[Tensor, float, float], Tensor]] = {
    "proximal_l1": lambda p, lam, lr: torch.sign(p) * torch.clamp(p.abs() - lam * lr, min=0.0),
    "proximal_clamp": lambda p, lam, lr: p.clamp(-lam, lam),
    "proximal_clamp_positive": lambda p, lam, lr: p.clamp(0.0, lam),
    "proximal_clamp_min": lambda p, lam, lr: p.clamp(min=lam),
}
SCHEDULES = ("constant", "warmup", "linear_ramp", "linear_decay")
# what these take care of, AdamW's weight decay should leave alone
INSTEAD_OF_WEIGHT_DECAY = ("l2", "group_lasso")


class Schedule:
    """λ as a function of the epoch, counted from 0.

    `constant`: λ · `warmup`: λ from start_epoch on, up to and with end_epoch if there is one · `linear_ramp`: 0 to λ between the
    two, and λ from then on · `linear_decay`: start_lambda to λ between the two, and λ from then on. All are 0 before start_epoch.

    Raises ValueError: an unknown kind, or a linear one without an end_epoch.
    """

    def __init__(
        self, lam: float, config: Mapping[str, Any] | None = None, *, ramp_off_after_end: bool = False
    ) -> None:
        config = config or {}
        self.lam = float(lam)
        self.kind = str(config.get("kind", "constant"))
        self.start: int = config.get("start_epoch", 0)
        self.end: int | None = config.get("end_epoch")
        first = config.get("start_lambda")
        self.first = self.lam if first is None else float(first)
        self.off_after_end = ramp_off_after_end
        if self.kind not in SCHEDULES:
            raise ValueError(
                f"schedule {self.kind!r} is unknown; {one_of(SCHEDULES)} is expected{nearest(self.kind, SCHEDULES)}"
            )
        if self.kind.startswith("linear") and self.end is None:
            raise ValueError(f"schedule {self.kind!r} needs an end_epoch")

    def __call__(self, epoch: int) -> float:
        if self.kind == "constant":
            return self.lam
        if epoch < self.start:
            return 0.0
        if self.end is None:
            return self.lam
        if self.kind == "warmup":
            return 0.0 if epoch > self.end else self.lam
        if self.kind == "linear_ramp":
            if epoch > self.end:
                return 0.0 if self.off_after_end else self.lam
            return self.lam if self.end == self.start else self.lam * (epoch - self.start) / (self.end - self.start)
        if epoch >= self.end:
            return self.lam
        return self.first + (self.lam - self.first) * ((epoch - self.start) / (self.end - self.start))


class Regularizer:
    """An entry of `regularization` with the parameters, (name, parameter), that it applies to."""

    def __init__(
        self, name: str, type: str, lam: float, params: Sequence[tuple[str, nn.Parameter]], schedule: Schedule
    ) -> None:
        self.name = name
        self.type = type
        self.lam = float(lam)
        self.names = [name for name, _ in params]
        self.params = [parameter for _, parameter in params]
        self.schedule = schedule

    def active(self, epoch: int) -> bool:
        """Whether `loss` adds anything at this epoch; known without a look at the parameters."""
        return self.type in PENALTIES and bool(self.params) and self.schedule(epoch) != 0

    def loss(self, epoch: int) -> Tensor:
        """The penalty at this epoch, a scalar; 0 for the proximal types."""
        if not self.active(epoch):
            return torch.zeros((), device=self.params[0].device if self.params else "cpu")
        first, *rest = (PENALTIES[self.type](parameter) for parameter in self.params)
        return self.schedule(epoch) * sum(rest, first)

    @torch.no_grad()
    def prox(self, epoch: int, lr: float | Callable[[nn.Parameter], float | None]) -> None:
        """The proximal update at this epoch, in place; lr: of the step, for all parameters or for each (None: stays as it is)."""
        lam = self.schedule(epoch) if self.type in PROXIMAL else 0.0
        if lam == 0:
            return
        for parameter in self.params:
            rate = lr if isinstance(lr, float | int) else lr(parameter)
            if rate is not None:
                parameter.copy_(PROXIMAL[self.type](parameter, lam, rate))

    def __repr__(self) -> str:
        return f"Regularizer({self.name}: {self.type}, {self.schedule.kind}({self.lam:g}), {len(self.params)} tensors)"


def matches(name: str, patterns: Iterable[str]) -> bool:
    """Whether all the "/"-separated parts of one of the patterns occur in the name."""
    split = ([part for part in pattern.split("/") if part] for pattern in patterns)
    return any(parts and all(part in name for part in parts) for parts in split)


def create_regularizers(
    configs: Sequence[Mapping[str, Any]] | None,
    named_parameters: Iterable[tuple[str, nn.Parameter]],
    *,
    compat: Compat | None = None,
) -> list[Regularizer]:
    """The regularizers of a model YAML.

    configs: its `regularization`; named_parameters: of the network itself, so without "model." in front
    compat: with `ramp_off_after_end`, the old ramp, and an entry that cannot be is left out with a warning (Q17)

    Raises ValueError: an entry without name, type or lambda, an unknown type or schedule. Warns of an entry that matches nothing.
    """
    compat = compat or Compat()
    named = list(named_parameters)
    made = []
    for number, config in enumerate(configs or []):
        try:
            made.append(_create(config, named, compat))
        except (ValueError, TypeError) as error:
            label = config.get("name", number) if isinstance(config, Mapping) else number
            sentence = f"regularization, entry {label!r}: {error}"
            if not compat.ramp_off_after_end:
                raise ValueError(sentence) from error
            warnings.warn(f"{sentence}; it is left out", stacklevel=2)
    return made


def _create(config: Mapping[str, Any], named: Sequence[tuple[str, nn.Parameter]], compat: Compat) -> Regularizer:
    if not isinstance(config, Mapping):
        raise ValueError(f"a mapping with name, type and lambda is expected, {config!r} found")
    missing = [key for key in ("name", "type", "lambda") if key not in config]
    if missing:
        raise ValueError(f"{' and '.join(missing)} missing")
    kind, types = str(config["type"]), (*PENALTIES, *PROXIMAL)
    if kind not in types:
        raise ValueError(f"type {kind!r} is unknown; {one_of(types)} is expected{nearest(kind, types)}")
    patterns = config.get("apply_to") or []
    schedule = Schedule(config["lambda"], config.get("schedule"), ramp_off_after_end=compat.ramp_off_after_end)
    params = [(name, parameter) for name, parameter in named if matches(name, patterns)]
    if not params:
        warnings.warn(f"regularizer {config['name']!r}: no parameter matches {list(patterns)}", stacklevel=3)
    return Regularizer(str(config["name"]), kind, config["lambda"], params, schedule)


def get_excluded_params_for_weight_decay(regularizers: Iterable[Regularizer]) -> list[str]:
    """Names, as given to `create_regularizers`, of what an `l2` or `group_lasso` takes care of.

    An `l2` with λ 0 is the way to keep something out of the weight decay without penalising it.
    """
    taken = (reg for reg in regularizers if reg.type in INSTEAD_OF_WEIGHT_DECAY)
    return list(dict.fromkeys(name for reg in taken for name in reg.names))
