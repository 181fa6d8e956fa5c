"""The names of the lab's networks: weights that have none of them are told, since nothing will load them."""

from __future__ import annotations

import re
from typing import Final

from legacy.checkpoint.parts import main_state_dict
from legacy.checkpoint.rules.registry import Work
from legacy.checkpoint.tensors import is_tensor

_STAGES: Final = re.compile(
    r"(model\.)?(adapters\.\d+|adapter|frontend|convnet|modulator|recurrent|readouts\.\d+|readout|baselines?|activation)(\.|$)"
)
_SHOWN: Final = 5


def is_stage(name: str) -> bool:
    """Whether a weight's name is that of a stage of the lab's networks."""
    return _STAGES.match(name) is not None


def check(work: Work) -> None:
    """Warns of tensors that belong to no stage of a network of the lab's kinds."""
    if work.kind in ("state_dict", "unknown"):
        return
    state = main_state_dict(work.root)
    left = [name for name, value in state.items() if is_tensor(value) and not (type(name) is str and is_stage(name))]
    if left:
        more = f" and {len(left) - _SHOWN:,} more" if len(left) > _SHOWN else ""
        work.warn(f"{len(left):,} tensors match no stage of the network: {', '.join(map(repr, left[:_SHOWN]))}{more}")
