"""The ops of a transform: each takes a covariate, frames first, and gives one of the same length.

To add one: a function `(x, **arguments)`, decorated; a bare value in the YAML goes to its first argument.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import field, make_dataclass
from typing import Any, get_type_hints

import torch
from torch import Tensor
from torch.nn import functional as F

from visioncore.data.adaptation import DynamicalAdaptation
from visioncore.data.errors import DataError
from visioncore.errors import ConfigError, nearest, one_of
from visioncore.reading import read

OPS: dict[str, Callable[..., Tensor]] = {}
DTYPES = ("float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "bool")


def op(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    OPS[function.__name__] = function
    return function


def apply(x: Tensor, step: Any) -> Tensor:
    """One entry of `ops`, `{name: argument}` or a name alone.

    Raises ConfigError: arguments that do not fit the covariate; DataError: the length changes, or there is nothing to divide by.
    """
    name, arguments = parse(step)
    try:
        out = OPS[name](x, **arguments)
    except (ConfigError, DataError):
        raise
    except (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError) as error:
        told = str(error).split("\n", 1)[0]
        raise ConfigError(f"op {step!r} does not fit a covariate of shape {tuple(x.shape)}: {told}") from error
    if len(out) != len(x):
        raise DataError(
            f"op {name} makes {len(out)} frames of {len(x)}; one that keeps the frames is expected ({_hint(name)})"
        )
    return out


def parse(step: Any) -> tuple[str, dict[str, Any]]:
    """Name and arguments of an entry of `ops`. Raises ConfigError: no such op or argument, with the nearest, or no such value."""
    if isinstance(step, str):
        step = {step: None}
    if not isinstance(step, Mapping) or len(step) != 1:
        raise ConfigError(f"an op is a mapping of its name to its argument, {step!r} found")
    ((name, given),) = step.items()
    if name not in OPS:
        raise ConfigError(f"unknown op {name!r}{nearest(str(name), OPS) or f'; {one_of(OPS)} is expected'}")
    known = list(inspect.signature(OPS[name]).parameters)[1:]
    if isinstance(given, list) and given and all(isinstance(part, Mapping) for part in given):
        given = {key: value for part in given for key, value in part.items()}
    if given is None or given is True:
        given = {}
    if not isinstance(given, Mapping):
        if not known:
            raise ConfigError(f"op {name} takes no argument, {given!r} found")
        given = {known[0]: given}
    return str(name), vars(read(_arguments(OPS[name]), given, "", f"op {name}"))


@functools.cache
def _arguments(function: Callable[..., Tensor]) -> type[Any]:
    """A dataclass of an op's arguments, by which `read` judges them."""
    hints, parameters = get_type_hints(function), list(inspect.signature(function).parameters.values())[1:]
    return make_dataclass(
        function.__name__,
        [
            (each.name, hints[each.name], field() if each.default is each.empty else field(default=each.default))
            for each in parameters
        ],
    )


def _hint(name: str) -> str:
    return "`unsqueeze: 1` adds the channel axis" if name == "unsqueeze" else "the first axis is time"


@op
def pixelnorm(x: Tensor) -> Tensor:
    """Bytes as contrast, 0 at mid grey: (x − 127) / 255."""
    return (x - 127) / 255


@op
def unsqueeze(x: Tensor, axis: int) -> Tensor:
    return x.unsqueeze(axis)


@op
def diff(x: Tensor, axis: int = 0) -> Tensor:
    """First difference; the first is 0."""
    return torch.diff(x, dim=axis, prepend=x.narrow(axis, 0, 1))


@op
def mul(x: Tensor, factor: float = 1.0) -> Tensor:
    return x * factor


@op
def maxnorm(x: Tensor) -> Tensor:
    """By the greatest magnitude. Raises DataError: it is 0, as in a trace without movement."""
    scale = x.abs().max()
    if scale == 0:
        raise DataError(
            "op maxnorm divides by the greatest magnitude, and it is 0; leave the op or the recording's type out"
        )
    return x / scale


@op
def symlog(x: Tensor) -> Tensor:
    return torch.sign(x) * torch.log1p(x.abs())


@op
def splitrelu(x: Tensor, split_dim: int = 1, trainable_gain: bool = False) -> Tensor:
    """Positive and negative part, one behind the other."""
    if trainable_gain:
        raise ConfigError("op splitrelu: trainable_gain is false in a transform, where nothing is trained")
    return torch.cat([x.relu(), (-x).relu()], split_dim)


@op
def temporal_basis(
    x: Tensor,
    num_delta_funcs: int = 0,
    num_cosine_funcs: int = 10,
    history_bins: int = 32,
    log_spacing: bool = True,
    peak_range_ms: tuple[float, float] = (5.0, 100.0),
    bin_size_ms: float = 5.0,
    normalize: bool = True,
    orthogonalize: bool = False,
    causal: bool = True,
) -> Tensor:
    """(T, C) → (T, C·K), or (T, H, W) → (T, K, H, W), by the K functions of the frontend of that name."""
    from visioncore.models.frontends import TemporalBasis
    from visioncore.models.schema.stages import TemporalBasisParams

    low, high = peak_range_ms
    basis = TemporalBasis(
        TemporalBasisParams(
            num_delta_funcs=num_delta_funcs,
            num_cosine_funcs=num_cosine_funcs,
            history_bins=history_bins,
            log_spacing=log_spacing,
            peak_range_ms=(low, high),
            bin_size_ms=bin_size_ms,
            normalize=normalize,
            orthogonalize=orthogonalize,
            causal=causal,
        )
    )
    if x.dim() == 2:
        # the frontend's axes are batch, channel, lag, height, width; time runs along its lags
        y: Tensor = basis(x.T[None, :, :, None, None])
        return y[0, :, :, 0, 0].T
    if x.dim() == 3:
        y = basis(x[None, None])
        return y[0].transpose(0, 1)
    raise DataError(f"op temporal_basis takes (T, C) or (T, H, W), {tuple(x.shape)} found")


@op
def dacones(
    x: Tensor,
    alpha: float = 1.0,
    beta: float = 8e-5,
    gamma: float = 0.5,
    tau_y_ms: float = 5.0,
    tau_z_ms: float = 60.0,
    n_y: float = 5.0,
    n_z: float = 2.0,
    filter_length: int = 200,
) -> Tensor:
    """Cones that adapt to the light, pixel by pixel."""
    return DynamicalAdaptation(alpha, beta, gamma, tau_y_ms, tau_z_ms, n_y, n_z, filter_length)(x)


@op
def fftwhitening(x: Tensor, f_0: float = 0.4, n: float = 4.0) -> Tensor:
    """(T, H, W) filtered by |f|·exp(−(|f|/f_0)ⁿ), f in cycles a frame and a pixel (Olshausen & Field 1997, in three dimensions)."""
    if x.dim() != 3:
        raise DataError(f"op fftwhitening takes (T, H, W), {tuple(x.shape)} found")
    axes = [torch.fft.fftfreq(size) for size in x.shape[:2]] + [torch.fft.rfftfreq(x.shape[2])]
    f = sum(axis.square().view([-1 if i == k else 1 for k in range(3)]) for i, axis in enumerate(axes))
    f = torch.as_tensor(f).sqrt()
    whitened: Tensor = torch.fft.irfftn(torch.fft.rfftn(x) * f * torch.exp(-((f / f_0) ** n)), s=x.shape)
    return whitened


@op
def cast(x: Tensor, dtype: str) -> Tensor:
    if dtype not in DTYPES:
        raise ConfigError(f"op cast: dtype is {one_of(DTYPES)}, {dtype!r} found{nearest(str(dtype), DTYPES)}")
    return x.to(getattr(torch, dtype))


@op
def smooth(x: Tensor, params: Any = 1.0, type: str = "gaussian") -> Tensor:
    """Gaussian over time, `params` its σ in frames, reflected at both ends."""
    sigma = params.get("sigma") if isinstance(params, Mapping) else params
    if type != "gaussian" or isinstance(sigma, bool) or not isinstance(sigma, int | float) or sigma <= 0:
        raise ConfigError(f"op smooth: a Gaussian of σ > 0 frames is expected, {type} with {params!r} found")
    size = int(6 * sigma) + 1
    size += 1 - size % 2
    if size // 2 >= len(x):
        raise DataError(f"op smooth: a Gaussian of {size} frames does not fit into {len(x)} frames")
    t = torch.arange(size, dtype=x.dtype) - size // 2
    kernel = torch.exp(-0.5 * (t / sigma) ** 2)
    rows = x.reshape(len(x), -1).T[:, None]
    padded = F.pad(rows, (size // 2, size // 2), mode="reflect")
    return F.conv1d(padded, (kernel / kernel.sum())[None, None])[:, 0].T.reshape(x.shape)


def keeps_bytes(steps: tuple[Any, ...]) -> bool:
    """Whether the ops can be put off until after the gather, where a table of 256 entries does them."""
    names = [parse(step)[0] for step in steps]
    return set(names) <= {"pixelnorm", "unsqueeze"} and names.count("pixelnorm") <= 1
