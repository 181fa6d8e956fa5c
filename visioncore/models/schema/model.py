"""The whole model YAML but for its stages."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Literal

from visioncore.models.activations import check_activation
from visioncore.models.schema.blocks import positive
from visioncore.models.schema.types import Stage


@dataclass(frozen=True, kw_only=True)
class Baseline:
    """A rate that is always added, in spikes per bin before its activation."""

    enabled: bool = False
    activation: Literal["relu", "softplus"] = "relu"
    init_value: float = 0.001


@dataclass(frozen=True, kw_only=True)
class RegularizerSchedule:
    kind: Literal["constant", "warmup", "linear_ramp", "linear_decay"] = "constant"
    start_epoch: int = 0
    end_epoch: int | None = None
    start_lambda: float | None = None

    def __post_init__(self) -> None:
        if self.kind.startswith("linear") and self.end_epoch is None:
            raise ValueError(f"schedule {self.kind!r} needs an end_epoch")


@dataclass(frozen=True, kw_only=True)
class Regularizer:
    """An entry of `regularization`; checked here, used by the trainer."""

    name: str
    type: Literal[
        "l1", "l2", "group_lasso", "proximal_l1", "proximal_clamp", "proximal_clamp_positive", "proximal_clamp_min"
    ]
    lambda_: float = field(metadata={"key": "lambda"})
    apply_to: tuple[str, ...] = ()
    schedule: RegularizerSchedule = field(default_factory=RegularizerSchedule)


@dataclass(frozen=True, kw_only=True)
class Compat:
    """What the old networks did, and these do not unless asked to: needed for weights that were trained with it.

    - `lag_order`: the lags run backwards, so that "the last time step" is the oldest frame and causal padding is on the
      recent side.
    - `adapter_blur`: the blur is one tap too long, half a pixel off centre, and takes one pixel from each axis.
    - `adapter_scale`: the adapter starts at a scale of ln 2, not 1.
    - `film_scale`: FiLM starts at a scale of the sum of the encoding, not 1.
    - `shortcut_stride`: a ResNet's shortcut does not know a pooling's default stride, nor that aablur leaves the lags alone.
    """

    lag_order: bool = False
    adapter_blur: bool = False
    adapter_scale: bool = False
    film_scale: bool = False
    shortcut_stride: bool = False

    @classmethod
    def all(cls) -> Compat:
        return cls(**{item.name: True for item in fields(cls)})


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """A model YAML, checked. `sampling_rate` in Hz; `height` and `width` of the stimulus in pixels, if known."""

    adapter: Stage
    frontend: Stage
    convnet: Stage
    modulator: Stage
    recurrent: Stage
    readout: Stage
    model_type: Literal["v1", "v1multi"] = "v1"
    sampling_rate: float = 240.0
    initial_input_channels: int = 1
    height: int | None = None
    width: int | None = None
    output_activation: str | None = "none"
    baseline: Baseline = field(default_factory=Baseline)
    lambda_pred: float = 0.1
    regularization: tuple[Regularizer, ...] = ()
    compat: Compat = field(default_factory=Compat)

    def __post_init__(self) -> None:
        positive(self, "sampling_rate", "initial_input_channels", "height", "width")
        check_activation(self.output_activation, "output_activation")
        if str(self.output_activation).lower() == "splitrelu":
            raise ValueError("output_activation 'splitrelu' makes two cells of one")
        if all(stage.type == "none" for stage in (self.adapter, self.frontend, self.convnet, self.modulator)):
            raise ValueError(
                "adapter, frontend, convnet and modulator are all 'none': neither the stimulus nor behaviour would be used"
            )

    @property
    def is_modulator_only(self) -> bool:
        """Nothing looks at the stimulus: adapter, frontend and convnet are all `none`."""
        return all(stage.type == "none" for stage in (self.adapter, self.frontend, self.convnet))
