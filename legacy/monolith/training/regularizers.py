"""
Regularizers that are switched on in the model YAML.

    regularization:
      - name: readout_sparsity
        type: l1                     # see PENALTIES and PROXIMAL
        lambda: 1.0e-7
        apply_to: ["readouts/features"]
        schedule: {kind: warmup, start_epoch: 1}

apply_to is a list of patterns. A pattern is cut at the "/", and a parameter belongs to the
regularizer if all the parts of one of the patterns occur somewhere in its name:
"readouts/features" takes readouts.0.features.weight, readouts.1.features.weight, ...

Two kinds:

  penalties are added to the loss
      l1                       lambda * sum |p|
      l2                       lambda * sum p^2
      group_lasso              lambda * sum over tensors of ||p||_2

  proximal updates change the parameters after the optimiser's step
      proximal_l1              soft threshold by lambda * lr
      proximal_clamp           to [-lambda, lambda]
      proximal_clamp_positive  to [0, lambda]
      proximal_clamp_min       to >= lambda

lambda can change over the epochs (counted from 0):

  constant       lambda
  warmup         lambda from start_epoch on (up to and with end_epoch, if there is one)
  linear_ramp    0 -> lambda between start_epoch and end_epoch
  linear_decay   start_lambda -> lambda between start_epoch and end_epoch, then lambda
"""
import warnings
from typing import Any, Dict, Iterable, List, Tuple

import torch
import torch.nn as nn

PENALTIES = ("l1", "l2", "group_lasso")
PROXIMAL  = ("proximal_l1", "proximal_clamp", "proximal_clamp_positive", "proximal_clamp_min")


# --------------------------------------------------------------------------- #
#  which parameters                                                           #
# --------------------------------------------------------------------------- #
def matches(name: str, patterns: List[str]) -> bool:
    """True if all parts of one of the patterns occur in the name."""
    for pattern in patterns:
        parts = [p for p in pattern.split("/") if p]
        if parts and all(part in name for part in parts):
            return True
    return False


# --------------------------------------------------------------------------- #
#  schedules                                                                  #
# --------------------------------------------------------------------------- #
class Schedule:
    """lambda as a function of the epoch."""

    def __init__(self, lam: float, cfg: Dict[str, Any]):
        self.lam   = float(lam)
        self.cfg   = dict(cfg or {})
        self.kind  = self.cfg.get("kind", "constant")
        self.start = self.cfg.get("start_epoch", 0)
        self.end   = self.cfg.get("end_epoch", None)
        self._warned = False

    def __call__(self, epoch: int) -> float:
        if self.kind == "constant":
            return self.lam
        if self.kind == "warmup":
            return self._warmup(epoch)
        if self.kind == "linear_ramp":
            return self._linear_ramp(epoch)
        if self.kind == "linear_decay":
            return self._linear_decay(epoch)

        if not self._warned:
            warnings.warn(f"unknown schedule {self.kind!r}, the regularizer is inactive")
            self._warned = True
        return 0.0

    def _warmup(self, epoch: int) -> float:
        if epoch < self.start:
            return 0.0
        if self.end is not None and epoch > self.end:
            return 0.0
        return self.lam

    def _linear_ramp(self, epoch: int) -> float:
        start, end = self.start, self.cfg["end_epoch"]
        if epoch < start or epoch > end:
            return 0.0
        if end == start:
            return self.lam
        return self.lam * (epoch - start) / (end - start)

    def _linear_decay(self, epoch: int) -> float:
        start, end = self.start, self.cfg["end_epoch"]
        first = float(self.cfg.get("start_lambda", self.lam))
        if epoch < start:
            return 0.0
        if epoch >= end:
            return self.lam
        frac = (epoch - start) / (end - start)
        return first + (self.lam - first) * frac

    def __repr__(self):
        return f"{self.kind}({self.lam:g})"


# --------------------------------------------------------------------------- #
#  the regularizer                                                            #
# --------------------------------------------------------------------------- #
class Regularizer:
    """
    One entry of the `regularization` list, with the parameters it applies to.

    Parameters
    ----------
    name, type, lam : as in the YAML
    params : list of (name, parameter)
    schedule : dict with `kind`
    """

    def __init__(self, name: str, type: str, lam: float,
                 params: List[Tuple[str, nn.Parameter]], schedule: Dict[str, Any] = None):
        self.name     = name
        self.type     = type
        self.lam      = float(lam)
        self.names    = [n for n, _ in params]
        self.params   = [p for _, p in params]
        self.schedule = Schedule(lam, schedule)

    # ---------------------------------------------------------------- #
    def loss(self, epoch: int) -> torch.Tensor:
        """The penalty at this epoch, a scalar; 0 for the proximal types."""
        zero = self._zero()
        if self.type not in PENALTIES or not self.params:
            return zero

        lam = self.schedule(epoch)
        if lam == 0:
            return zero

        if self.type == "l1":
            total = sum(p.abs().sum() for p in self.params)
        elif self.type == "l2":
            total = sum(p.pow(2).sum() for p in self.params)
        elif self.type == "group_lasso":
            # one group per tensor
            total = sum(p.norm(2) for p in self.params)
        return lam * total

    # ---------------------------------------------------------------- #
    @torch.no_grad()
    def prox(self, epoch: int, lr: float) -> None:
        """The proximal update at this epoch, in place; nothing for the penalties."""
        if self.type not in PROXIMAL or not self.params:
            return

        lam = self.schedule(epoch)
        if lam == 0:
            return

        for p in self.params:
            if self.type == "proximal_l1":
                shrunk = torch.clamp(p.abs() - lam * lr, min=0.0)
                p.copy_(torch.sign(p) * shrunk)
            elif self.type == "proximal_clamp":
                p.clamp_(-lam, lam)
            elif self.type == "proximal_clamp_positive":
                p.clamp_(0.0, lam)
            elif self.type == "proximal_clamp_min":
                p.clamp_(min=lam)

    def _zero(self) -> torch.Tensor:
        device = self.params[0].device if self.params else "cpu"
        return torch.zeros((), device=device)

    def __repr__(self):
        return f"Regularizer({self.name}: {self.type}, {self.schedule}, {len(self.params)} tensors)"


# --------------------------------------------------------------------------- #
#  from the config                                                            #
# --------------------------------------------------------------------------- #
def _create_one(cfg: Dict[str, Any], named: List[Tuple[str, nn.Parameter]]) -> Regularizer:
    """KeyError if name, type or lambda is missing."""
    name, type_, lam = cfg["name"], cfg["type"], cfg["lambda"]
    patterns = cfg.get("apply_to", [])

    params = [(n, p) for n, p in named if matches(n, patterns)]
    if not params:
        warnings.warn(f"regularizer {name!r}: no parameter matches {patterns}")

    return Regularizer(name, type_, lam, params,
                       cfg.get("schedule", {"kind": "constant"}))


def create_regularizers(configs: List[Dict[str, Any]],
                        named_parameters: Iterable[Tuple[str, nn.Parameter]]
                        ) -> List[Regularizer]:
    """
    The regularizers of a model YAML.

    Parameters
    ----------
    configs : list of dict
        the `regularization` list, may be empty or None
    named_parameters : iterable of (name, parameter)
        model.named_parameters() of the network itself, so without "model." in front

    Returns
    -------
    list of Regularizer. A broken entry is left out, with a warning.
    """
    named = list(named_parameters)
    out: List[Regularizer] = []
    for cfg in configs or []:
        try:
            out.append(_create_one(cfg, named))
        except Exception as e:
            label = cfg.get("name", cfg) if isinstance(cfg, dict) else cfg
            warnings.warn(f"could not create regularizer {label!r}: {e!r}")
    return out


def get_excluded_params_for_weight_decay(regularizers: List[Regularizer]) -> List[str]:
    """
    Names of the parameters that an l2 or group_lasso takes care of.

    These should not get AdamW's weight decay on top. An l2 with lambda 0 is the way to
    keep something out of the weight decay without penalising it:

        - {name: exclude_means_from_wd, type: l2, lambda: 0.0, apply_to: ["readouts/mean"]}

    The names are those given to create_regularizers.
    """
    names: List[str] = []
    for reg in regularizers:
        if reg.type in ("l2", "group_lasso"):
            names.extend(n for n in reg.names if n not in names)
    return names


# --------------------------------------------------------------------------- #
#  quick check:  python regularizers.py                                       #
# --------------------------------------------------------------------------- #
if __name__ == "__main__":
    class Toy(nn.Module):
        def __init__(self):
            super().__init__()
            self.convnet  = nn.Linear(4, 3)
            self.readouts = nn.ModuleList([nn.Linear(3, 2), nn.Linear(3, 5)])

    toy = Toy()
    regs = create_regularizers(
        [
            {"name": "sparse", "type": "l1", "lambda": 1e-3, "apply_to": ["readouts/weight"],
             "schedule": {"kind": "warmup", "start_epoch": 1}},
            {"name": "shrink", "type": "proximal_l1", "lambda": 0.1, "apply_to": ["convnet"]},
            {"name": "bias_wd", "type": "l2", "lambda": 0.0, "apply_to": ["readouts/bias"]},
            {"name": "broken", "type": "l1", "apply_to": ["readouts"]},
        ],
        toy.named_parameters(),
    )
    for r in regs:
        print(r, [round(float(r.loss(e)), 6) for e in range(3)])
    print("no weight decay:", get_excluded_params_for_weight_decay(regs))

    before = toy.convnet.weight.detach().clone()
    for r in regs:
        r.prox(0, lr=0.1)
    print("max change of convnet by prox:",
          float((toy.convnet.weight - before).abs().max()))
