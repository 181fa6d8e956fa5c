"""The model YAML, written down once: every key, its type, its default.

One dataclass for the `params` of each stage and type, and one for the whole file. Names and defaults are those of the lab's
YAMLs, so that an old config and an old checkpoint mean what they meant. `reading.py` fills them; nothing here knows of YAML.

Sizes over (T, H, W) are one number for all three or a list of three, in lags and pixels.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any, Literal

from visioncore.models.activations import check_activation

Size = int | tuple[int, ...]
NormType = Literal["none", "batch", "instance", "layer", "layernorm", "rms", "group", "grn"]


def as_tuple(size: Size, dim: int) -> tuple[int, ...]:
    """`3` as `(3, 3, 3)`; a list as it is."""
    return (size,) * dim if isinstance(size, int) else tuple(size)


def _positive(owner: object, *names: str) -> None:
    for name in names:
        value = getattr(owner, name)
        if value is not None and min(value if isinstance(value, tuple) else (value,), default=1) <= 0:
            raise ValueError(f"{name} has to be positive, {value} found")


def _fraction(owner: object, name: str) -> None:
    if not 0 <= (value := getattr(owner, name)) < 1:
        raise ValueError(f"{name} has to be at least 0 and below 1, {value} found")


@dataclass(frozen=True, kw_only=True)
class NoParams:
    """The params of a type that has none."""


@dataclass(frozen=True, kw_only=True)
class ActParams:
    """Settings of an activation; each is read by the activations it is meant for."""

    inplace: bool = False
    negative_slope: float = 0.01  # leakyrelu
    approximate: Literal["none", "tanh"] = "none"  # gelu
    split_dim: int = 1  # splitrelu
    trainable_gain: bool = False  # splitrelu
    beta_init: float = 1.0  # bsoftplus
    beta_min: float = 0.1
    beta_max: float = 10.0


@dataclass(frozen=True, kw_only=True)
class NormParams:
    """Settings of a norm. `target_dim`: the axes that layer and rms normalise over, 1 being the channels."""

    eps: float = 1e-5
    target_dim: Size = 1
    affine: bool | None = None  # the norm's own default: true, but false for instance
    num_groups: int = 1

    def __post_init__(self) -> None:
        _positive(self, "eps", "num_groups")


@dataclass(frozen=True, kw_only=True)
class PoolParams:
    """A pooling. `kernel_size` is the output's size for the adaptive ones; `r` and `use_soft` are aablur's."""

    type: Literal["max", "avg", "adaptivemax", "adaptiveavg", "aablur", "none"]
    kernel_size: Size | None = None
    stride: Size | None = None
    padding: Size = 0
    r: int = 8
    use_soft: bool = True

    def __post_init__(self) -> None:
        _positive(self, "kernel_size", "stride", "r")
        if self.type not in ("aablur", "none") and self.kernel_size is None:
            raise ValueError(f"pooling {self.type!r} needs a kernel_size")
        if self.type == "aablur" and not isinstance(self.stride, int | None):
            raise ValueError(f"the stride of aablur is one number for both axes of the image, {self.stride} found")


@dataclass(frozen=True, kw_only=True)
class ConvParams:
    """A convolution. A causal block takes the spatial part of `padding` and pads the lags by itself."""

    kernel_size: Size
    type: Literal["standard", "depthwise"] = "standard"
    stride: Size = 1
    padding: Size = 0
    dilation: Size = 1
    groups: int = 1
    bias: bool | None = None  # a bias where no norm follows
    padding_mode: Literal["zeros", "replicate", "reflect", "circular"] = "replicate"

    def __post_init__(self) -> None:
        _positive(self, "kernel_size", "stride", "dilation", "groups")
        if self.type == "depthwise" and self.groups != 1:
            raise ValueError(f"a depthwise convolution has its own groups, groups {self.groups} found")


@dataclass(frozen=True, kw_only=True)
class BlockConfig:
    """Convolution, norm, activation, dropout, pooling, in `order`."""

    conv_params: ConvParams
    norm_type: NormType | None = "batch"
    norm_params: NormParams = field(default_factory=NormParams)
    act_type: str | None = "relu"
    act_params: ActParams = field(default_factory=ActParams)
    pool_params: PoolParams | None = None
    dropout: float = 0.0
    use_weight_norm: bool = False
    causal: bool = True
    order: tuple[Literal["conv", "norm", "act", "dropout", "pool"], ...] = ("conv", "norm", "act", "dropout", "pool")

    def __post_init__(self) -> None:
        check_activation(self.act_type, "act_type")
        _fraction(self, "dropout")
        if len(set(self.order)) != len(self.order) or "conv" not in self.order:
            raise ValueError(f"order names each component once, and the convolution always; {list(self.order)} found")


@dataclass(frozen=True, kw_only=True)
class WideBlockConfig(BlockConfig):
    """A block that says its own width: a ResNet's stem, the `conv` frontend."""

    out_channels: int

    def __post_init__(self) -> None:
        super().__post_init__()
        _positive(self, "out_channels")


# -- stages ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class AdapterParams:
    """`init_sigma`: the blur's, pixels. `grid_size`: the output's side, pixels."""

    grid_size: int = 25
    init_sigma: float = 1.0
    transform: Literal["scale", "affine"] = "scale"

    def __post_init__(self) -> None:
        _positive(self, "grid_size", "init_sigma")


@dataclass(frozen=True, kw_only=True)
class LearnableTemporalParams:
    """`kernel_size` in lags. `causal` is read by nobody: a valid convolution looks at no lag that is not there."""

    kernel_size: int = 16
    num_channels: int = 6
    init_type: Literal["gaussian_derivatives", "random", "identity"] = "gaussian_derivatives"
    causal: bool = True
    bias: bool = False

    def __post_init__(self) -> None:
        _positive(self, "kernel_size", "num_channels")


@dataclass(frozen=True, kw_only=True)
class TemporalBasisParams:
    """Raised cosines. `peak_range_ms`: the first and the last peak; `bin_size_ms`: what a bin is taken to be, ms."""

    num_delta_funcs: int = 0
    num_cosine_funcs: int = 10
    history_bins: int = 32
    log_spacing: bool = True
    peak_range_ms: tuple[float, float] = (5.0, 100.0)
    bin_size_ms: float = 5.0
    normalize: bool = True
    orthogonalize: bool = False
    causal: bool = True
    batch_norm: bool = False
    chomp: int | None = None

    def __post_init__(self) -> None:
        _positive(self, "history_bins", "bin_size_ms")
        if min(self.num_delta_funcs, self.num_cosine_funcs) < 0 or not self.num_delta_funcs + self.num_cosine_funcs:
            raise ValueError("num_delta_funcs and num_cosine_funcs are counts, and their sum is at least 1")
        if self.num_delta_funcs > self.history_bins:
            raise ValueError(f"{self.num_delta_funcs} delta functions do not fit into {self.history_bins} history_bins")
        if not self.peak_range_ms[0] <= self.peak_range_ms[1]:
            raise ValueError(f"peak_range_ms is the first peak and the last, {list(self.peak_range_ms)} found")


@dataclass(frozen=True, kw_only=True)
class ConvNetParams:
    """What all convnets share. `channels`: the width of each block before its activation."""

    channels: tuple[int, ...]
    dim: Literal[2, 3] = 3
    checkpointing: bool = False
    final_activation: str | None = "none"

    def __post_init__(self) -> None:
        _positive(self, "channels")
        check_activation(self.final_activation, "final_activation")
        if not self.channels:
            raise ValueError("channels has to name at least one block")


@dataclass(frozen=True, kw_only=True)
class StackParams(ConvNetParams):
    """vanilla and densenet: one block config for all blocks."""

    block_config: BlockConfig


@dataclass(frozen=True, kw_only=True)
class ShortcutParams:
    kernel_size: Size = 1
    bias: bool = False


@dataclass(frozen=True, kw_only=True)
class ResNetParams(ConvNetParams):
    """One block config for all blocks, or one for each."""

    block_config: BlockConfig | None = None
    block_configs: tuple[BlockConfig, ...] | None = None
    stem_config: WideBlockConfig | None = None
    resnet_shortcut_projection: bool = True
    resnet_shortcut_params: ShortcutParams = field(default_factory=ShortcutParams)
    resnet_shortcut_norm_type: NormType | None = None
    resnet_shortcut_norm_params: NormParams = field(default_factory=NormParams)
    resnet_post_add_activation: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_activation(self.resnet_post_add_activation, "resnet_post_add_activation")
        if (self.block_config is None) == (self.block_configs is None):
            raise ValueError("a resnet takes either block_config, for all blocks, or block_configs, one for each")
        if self.block_configs is not None and len(self.block_configs) != len(self.channels):
            raise ValueError(
                f"block_configs has {len(self.block_configs)} entries, channels {len(self.channels)}: one for each block"
            )

    @property
    def blocks(self) -> tuple[BlockConfig, ...]:
        """One config for each entry of `channels`."""
        return self.block_configs or (self.block_config,) * len(self.channels)  # type: ignore[return-value]


@dataclass(frozen=True, kw_only=True)
class EncoderParams:
    """The multi-layer perceptron on behaviour; the last of `dims` is its output."""

    type: Literal["mlp"] = "mlp"
    dims: tuple[int, ...] = (64, 64)
    activation: str | None = "gelu"
    bias: bool = True
    residual: bool = True
    dropout: float = 0.0
    last_layer_activation: bool = False

    def __post_init__(self) -> None:
        _positive(self, "dims")
        _fraction(self, "dropout")
        check_activation(self.activation, "activation")
        if not self.dims:
            raise ValueError("dims has to name at least the output's width")


@dataclass(frozen=True, kw_only=True)
class BehaviorParams:
    """`behavior_dim`: columns of behaviour. `feature_dim` is not read: the convnet's channels decide."""

    behavior_dim: int = 2
    feature_dim: int | None = None

    def __post_init__(self) -> None:
        _positive(self, "behavior_dim", "feature_dim")


@dataclass(frozen=True, kw_only=True)
class EncodedParams(BehaviorParams):
    """concat and film."""

    encoder_params: EncoderParams = field(default_factory=EncoderParams)


@dataclass(frozen=True, kw_only=True)
class GRUModulatorParams(BehaviorParams):
    """convgru. `hidden_dim` is the width of the features if not given."""

    hidden_dim: int | None = None
    beh_emb_dim: int = 16
    kernel_size: int = 3

    def __post_init__(self) -> None:
        super().__post_init__()
        _positive(self, "hidden_dim", "beh_emb_dim", "kernel_size")
        _odd(self)


@dataclass(frozen=True, kw_only=True)
class PredictiveCodingParams(GRUModulatorParams):
    """pc. The output is the last map and its error, or the error alone."""

    concat_error: bool = True


@dataclass(frozen=True, kw_only=True)
class RecurrentParams:
    """convgru and convlstm. With `fast_phase` the last input frame is put in front of the state."""

    hidden_dim: int = 64
    kernel_size: int = 3
    fast_phase: bool = False

    def __post_init__(self) -> None:
        _positive(self, "hidden_dim", "kernel_size")
        _odd(self)


def _odd(owner: RecurrentParams | GRUModulatorParams) -> None:
    if owner.kernel_size % 2 == 0:
        raise ValueError(f"kernel_size has to be odd, so that the state keeps its size; {owner.kernel_size} found")


@dataclass(frozen=True, kw_only=True)
class ReadoutParams:
    """linear. `n_units` is read for `model_type: v1` only: a session's `cids` decide otherwise."""

    n_units: int = 16
    bias: bool = True

    def __post_init__(self) -> None:
        _positive(self, "n_units")


@dataclass(frozen=True, kw_only=True)
class GaussianParams(ReadoutParams):
    """`initial_std` and `initial_mean_scale` in pixels of the feature map."""

    initial_std: float = 5.0
    initial_mean_scale: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        _positive(self, "initial_std")


# -- the whole file ----------------------------------------------------------------------------------------------------


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


@dataclass(frozen=True)
class Stage:
    """A stage's type and its params, of the class that `TYPES` names for it."""

    type: str
    params: Any


TYPES: dict[str, dict[str, type]] = {
    "adapter": {"adapter": AdapterParams, "none": NoParams},
    "frontend": {
        "learnable_temporal": LearnableTemporalParams,
        "temporal_basis": TemporalBasisParams,
        "conv": WideBlockConfig,
        "none": NoParams,
    },
    "convnet": {
        "resnet": ResNetParams,
        "densenet": StackParams,
        "vanilla": StackParams,
        "conv": StackParams,  # two more names of vanilla
        "cnn": StackParams,
        "none": NoParams,
    },
    "modulator": {
        "concat": EncodedParams,
        "film": EncodedParams,
        "convgru": GRUModulatorParams,
        "pc": PredictiveCodingParams,
        "none": NoParams,
    },
    "recurrent": {"convgru": RecurrentParams, "convlstm": RecurrentParams, "none": NoParams},
    "readout": {"gaussian": GaussianParams, "linear": ReadoutParams},
}

# what a missing block means
DEFAULT_TYPE = {
    "adapter": "none",
    "frontend": "none",
    "convnet": "densenet",
    "modulator": "none",
    "recurrent": "none",
    "readout": "gaussian",
}

# types of the old package that nothing here takes the place of, so that the error can say so
NOT_CARRIED_OVER = {
    "frontend": ("da", "adapter"),
    "convnet": ("x3d", "x3dnet", "shifttcn"),
    "modulator": ("stn", "lstm", "gru", "linear", "mlp"),
    "recurrent": ("lstm", "gru"),
    "readout": ("gaussianei", "gaussiansn"),
}


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
        _positive(self, "sampling_rate", "initial_input_channels", "height", "width")
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
