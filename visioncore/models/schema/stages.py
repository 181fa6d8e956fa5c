"""The `params` of each stage's types. Names and defaults are those of the lab's YAMLs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from visioncore.models.activations import check_activation
from visioncore.models.schema.blocks import BlockConfig, NormParams, NormType, Size, WideBlockConfig, fraction, positive


def _odd(owner: RecurrentParams | GRUModulatorParams) -> None:
    if owner.kernel_size % 2 == 0:
        raise ValueError(f"kernel_size has to be odd, so that the state keeps its size; {owner.kernel_size} found")


@dataclass(frozen=True, kw_only=True)
class NoParams:
    """The params of a type that has none."""


@dataclass(frozen=True, kw_only=True)
class AdapterParams:
    """`init_sigma`: the blur's, pixels. `grid_size`: the output's side, pixels."""

    grid_size: int = 25
    init_sigma: float = 1.0
    transform: Literal["scale", "affine"] = "scale"

    def __post_init__(self) -> None:
        positive(self, "init_sigma")
        if self.grid_size < 2:
            raise ValueError(f"grid_size is at least 2, so that a grid has edges; {self.grid_size} found")


@dataclass(frozen=True, kw_only=True)
class LearnableTemporalParams:
    """`kernel_size` in lags. `causal` is read by nobody: a valid convolution looks at no lag that is not there."""

    kernel_size: int = 16
    num_channels: int = 6
    init_type: Literal["gaussian_derivatives", "random", "identity"] = "gaussian_derivatives"
    causal: bool = True
    bias: bool = False

    def __post_init__(self) -> None:
        positive(self, "kernel_size", "num_channels")


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
        positive(self, "history_bins", "bin_size_ms")
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
        positive(self, "channels")
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
        positive(self, "dims")
        fraction(self, "dropout")
        check_activation(self.activation, "activation")
        if not self.dims:
            raise ValueError("dims has to name at least the output's width")


@dataclass(frozen=True, kw_only=True)
class BehaviorParams:
    """`behavior_dim`: columns of behaviour. `feature_dim` is not read: the convnet's channels decide."""

    behavior_dim: int = 2
    feature_dim: int | None = None

    def __post_init__(self) -> None:
        positive(self, "behavior_dim", "feature_dim")


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
        positive(self, "hidden_dim", "beh_emb_dim", "kernel_size")
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
        positive(self, "hidden_dim", "kernel_size")
        _odd(self)


@dataclass(frozen=True, kw_only=True)
class ReadoutParams:
    """linear. `n_units` is read for `model_type: v1` only: a session's `cids` decide otherwise."""

    n_units: int = 16
    bias: bool = True

    def __post_init__(self) -> None:
        positive(self, "n_units")


@dataclass(frozen=True, kw_only=True)
class GaussianParams(ReadoutParams):
    """`initial_std` and `initial_mean_scale` in pixels of the feature map."""

    initial_std: float = 5.0
    initial_mean_scale: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        positive(self, "initial_std")
