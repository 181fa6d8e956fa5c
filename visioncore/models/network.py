"""The stages wired together: adapter → frontend → convnet → modulator → recurrent → readout → activation, plus a baseline."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from visioncore.models.modulators import Modulator
from visioncore.models.readouts import GaussianReadout, LinearReadout
from visioncore.models.schema.model import ModelConfig


class Network(nn.Module):
    """What both models share; attribute names are the prefixes of the state dict.

    The stimulus comes lag 0, the current frame, first (B, C, T, H, W). It is turned round at the door, so that inside time runs
    forwards: causal padding is before the oldest frame, and "the last lag" of recurrent stages and readouts is now.
    """

    modulator: Modulator | None
    # 1 is what torch gave the old package's networks; the version is kept in the state dict
    _version = 2

    def __init__(self, config: ModelConfig, activation: nn.Module) -> None:
        super().__init__()
        self.activation = activation
        self.compat = config.compat
        self.input_channels = config.initial_input_channels
        self.needs_stimulus = not config.is_modulator_only
        # behaviour may be missing where the modulator leaves the channels as they are
        self.needs_behavior = config.modulator.type not in ("none", "film") or config.is_modulator_only
        self.baseline_activation = F.relu if config.baseline.activation == "relu" else F.softplus

    def add_core(
        self, frontend: nn.Module, convnet: nn.Module, modulator: Modulator | None, recurrent: nn.Module
    ) -> None:
        """The shared stages. Parameters are numbered in the order of these calls, and optimiser states by that number."""
        self.frontend = frontend
        self.convnet = convnet
        self.modulator = modulator
        self.recurrent = recurrent

    def rates(
        self,
        adapter: nn.Module,
        readout: nn.Module,
        baseline: Tensor | None,
        stimulus: Tensor | None,
        behavior: Tensor | None,
    ) -> Tensor:
        """(B, N), in spikes per bin, or what the activation makes of them."""
        if behavior is None and self.needs_behavior:
            raise ValueError(
                f"the network has a modulator ({type(self.modulator).__name__}), and the batch has no behavior"
            )
        if not self.needs_stimulus:
            assert behavior is not None
            x = behavior.new_ones(len(behavior), self.input_channels, 1, 1, 1)
        elif stimulus is None:
            raise ValueError("the network has stages that look at the stimulus, and the batch has none")
        else:
            if not self.compat.lag_order and stimulus.dim() == 5:
                stimulus = stimulus.flip(2)
            x = self.convnet(self.frontend(adapter(stimulus)))
        if self.modulator is not None and behavior is not None:
            x = self.modulator(x, behavior)
        out: Tensor = self.activation(readout(self.recurrent(x)))
        return out if baseline is None else out + self.baseline_activation(baseline)

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, local_metadata: dict[str, Any], *args: Any
    ) -> None:
        old_function = self.compat.lag_order and self.compat.adapter_blur and self.compat.shortcut_stride
        if local_metadata.get("version") == 1 and not old_function:
            warnings.warn(
                "these weights come from the old package, whose networks ran the lags backwards and blurred off centre; "
                "they mean the same here only with `compat: all` in the model config",
                stacklevel=2,
            )
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *args)


class V1Model(Network):
    """`model_type: v1`: one session."""

    adapter: nn.Module
    readout: GaussianReadout | LinearReadout

    def add_readout(self, readout: GaussianReadout | LinearReadout, baseline: float | None) -> None:
        self.readout = readout
        self.baseline = None if baseline is None else nn.Parameter(torch.full((readout.n_units,), baseline))

    def forward(self, stimulus: Tensor | None, behavior: Tensor | None = None) -> Tensor:
        """(B, C, T, H, W) and, if there is a modulator, (B, K) → (B, N)."""
        return self.rates(self.adapter, self.readout, self.baseline, stimulus, behavior)


class MultiDatasetV1Model(Network):
    """`model_type: v1multi`: a shared core, one adapter and one readout a session."""

    adapters: nn.ModuleList
    readouts: nn.ModuleList

    def add_readouts(self, readouts: list[GaussianReadout | LinearReadout], baseline: float | None) -> None:
        self.readouts = nn.ModuleList(readouts)
        self.baselines = (
            None
            if baseline is None
            else nn.ParameterList(nn.Parameter(torch.full((readout.n_units,), baseline)) for readout in readouts)
        )

    def forward(self, stimulus: Tensor | None = None, dataset_idx: int = 0, behavior: Tensor | None = None) -> Tensor:
        """(B, C, T, H, W) and, if there is a modulator, (B, K), all of session `dataset_idx` → (B, N of that session).

        The stimulus is None for models that do not look at it.
        """
        baseline = None if self.baselines is None else self.baselines[dataset_idx]
        return self.rates(self.adapters[dataset_idx], self.readouts[dataset_idx], baseline, stimulus, behavior)
