"""What a file says about its tensors: torch spells each as a call of a rebuilding function on a storage."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Final, NamedTuple

from legacy.checkpoint.errors import CheckpointError, Damaged
from legacy.checkpoint.pickles.plain import TENSOR
from legacy.checkpoint.records import ABSENT, DTYPES, Call, Global, Ordered, Storage, itemsize
from legacy.checkpoint.structure import Step, place, walk

_MAX_DIMENSIONS: Final = 64
_MAX_SIZE: Final = 1 << 63
_SHORT: Final = 16
_NUMBERS: Final = frozenset({int})
_PACKED: Final = frozenset({"quint4x2", "quint2x4"})  # several elements a byte


class Tensor(NamedTuple):
    """A strided tensor, or one on the meta device (no storage). Offset and strides count elements."""

    dtype: str
    shape: tuple[int, ...]
    stride: tuple[int, ...]
    storage: Storage | None
    offset: int = 0
    requires_grad: bool = False
    parameter: bool = False
    flags: tuple[str, ...] = ()  # "conj", "neg": the values are these bytes' conjugates, negatives
    quantizer: bool = False

    @property
    def numel(self) -> int:
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        return self.numel * itemsize(self.dtype)

    @property
    def contiguous(self) -> bool:
        expected = 1
        for size, step in zip(reversed(self.shape), reversed(self.stride), strict=True):
            if size != 1 and step != expected:
                return self.numel == 0
            expected *= size
        return True

    @property
    def window(self) -> tuple[int, int]:
        """First byte and end of what it uses of its storage."""
        size = itemsize(self.dtype)
        if self.numel == 0:
            return self.offset * size, self.offset * size
        last = self.offset + sum((size - 1) * step for size, step in zip(self.shape, self.stride, strict=True))
        return self.offset * size, (last + 1) * size


def tensors(root: object) -> Iterator[tuple[tuple[Step, ...], Tensor]]:
    """Every tensor under `root` with the path to it; a tensor held in two places comes twice.

    What sparse, nested and wrapped tensors are made of comes as tensors of its own. Raises `Damaged` for one that cannot be.
    """
    inner: set[int] = set()
    for trail, node in walk(root):
        if type(node) is Call and id(node) not in inner:
            tensor = tensor_at(trail, node)
            if tensor is not None:
                if tensor.parameter and isinstance(node.args, tuple):
                    inner.add(id(node.args[0]))
                yield tuple(trail), tensor


def tensor_at(trail: list[Step], call: Call) -> Tensor | None:
    """`tensor_of`, with the place in its errors."""
    try:
        return tensor_of(call)
    except CheckpointError as error:
        raise type(error)(f"{place(trail)}: {error}") from None


def is_usual(call: Call) -> bool:
    """Whether a call is what `torch.save` writes for nearly every tensor: of `_rebuild_tensor_v2`, with nothing special about it."""
    args: Any = call.args
    if call.looked_at is not args:
        if not _are_usual(args):
            return False
        call.looked_at = args
    return (
        call.function is TENSOR
        and call.how == "reduce"
        and not args[5]
        and args[5].attributes is None
        and call.state is ABSENT
        and call.appended is None
        and call.items is None
    )


def _are_usual(args: object) -> bool:
    """Whether they have the types of a usual tensor's arguments, as they will for good."""
    if type(args) is not tuple or len(args) != 6:
        return False
    storage, offset, shape, stride, gradient, hooks = args
    return (
        type(storage) is Storage
        and type(offset) is int
        and type(shape) is tuple
        and type(stride) is tuple
        and len(shape) == len(stride) <= _SHORT
        and _NUMBERS.issuperset(map(type, shape + stride))
        and type(gradient) is bool
        and type(hooks) is Ordered
    )


def is_sound(call: Call) -> bool:
    """Whether a call is a usual tensor, without a gradient, inside its storage: what needs no further look."""
    if not is_usual(call):
        return False
    args: Any = call.args
    storage, offset, shape, stride, gradient, _ = args
    reach = _reach(shape, stride)
    return reach is not None and 0 <= offset < storage.size - reach and not gradient and storage.dtype in DTYPES


@lru_cache(maxsize=4096)  # networks have few shapes
def _reach(shape: tuple[int, ...], stride: tuple[int, ...]) -> int | None:
    """Elements between the first and the last; None for a tensor without any, or with sizes that are none."""
    if not all(0 < size < _MAX_SIZE and 0 <= step < _MAX_SIZE for size, step in zip(shape, stride, strict=True)):
        return None
    return sum((size - 1) * step for size, step in zip(shape, stride, strict=True))


def is_tensor(value: object) -> bool:
    """Whether a call rebuilds a tensor, by its name alone: for counting."""
    return type(value) is Call and type(value.function) is Global and value.function in _REBUILDERS


def tensor_of(value: object) -> Tensor | None:
    """The tensor that a call would rebuild, or None. Raises `Damaged` where it would reach outside of its storage."""
    if type(value) is not Call or type(value.function) is not Global:
        return None
    return _rebuilt(value.function, value.args)


def _rebuilt(function: Global, args: object) -> Tensor | None:
    if function.module not in _HOMES:
        return None
    match function.name, args:
        case "_rebuild_tensor", (Storage() as storage, offset, shape, stride):
            return _strided(storage, storage.dtype, offset, shape, stride, False, None)
        case "_rebuild_tensor_v2", (Storage() as storage, offset, shape, stride, requires_grad, _, *more):
            return _strided(storage, storage.dtype, offset, shape, stride, requires_grad, *more[:1])
        case "_rebuild_tensor_v3", (
            Storage() as storage,
            offset,
            shape,
            stride,
            requires_grad,
            _,
            Global("torch", dtype),
            *more,
        ):
            return _strided(storage, dtype, offset, shape, stride, requires_grad, *more[:1])
        case "_rebuild_qtensor", (Storage() as storage, offset, shape, stride, _, requires_grad, _):
            return _strided(storage, storage.dtype, offset, shape, stride, requires_grad)._replace(quantizer=True)
        case "_rebuild_meta_tensor_no_storage", (Global("torch", dtype), shape, stride, requires_grad):
            return Tensor(dtype, *_geometry(shape, stride), None, requires_grad=requires_grad is True)
        case "_rebuild_parameter" | "_rebuild_parameter_with_state", (data, requires_grad, *_):
            inner = tensor_of(data)
            return inner and inner._replace(requires_grad=requires_grad is True, parameter=True)
        case "_rebuild_from_type_v2", (Global() as rebuild, Global(), tuple() as inner_args, _):
            return _rebuilt(rebuild, inner_args)
    return None


_HOMES: Final = frozenset({"torch._utils", "torch._tensor", "torch.tensor"})
_REBUILDERS: Final = frozenset(
    Global("torch._utils", f"_rebuild_{name}")
    for name in (
        "tensor",
        "tensor_v2",
        "tensor_v3",
        "qtensor",
        "meta_tensor_no_storage",
        "parameter",
        "parameter_with_state",
    )
) | {Global(home, "_rebuild_from_type_v2") for home in ("torch._tensor", "torch.tensor")}


def _strided(
    storage: Storage,
    dtype: str,
    offset: object,
    shape: object,
    stride: object,
    requires_grad: object,
    metadata: object = None,
) -> Tensor:
    if dtype not in DTYPES:
        raise Damaged(f"torch.{dtype[:40]} is no element type of a tensor")
    if type(offset) is not int or offset < 0:
        raise Damaged("a tensor begins before its storage")
    flags: tuple[str, ...] = ()
    if isinstance(metadata, dict):
        flags = tuple(sorted(key for key, value in metadata.items() if type(key) is str and value is True))
    sizes, steps = _geometry(shape, stride)
    tensor = Tensor(dtype, sizes, steps, storage, offset, requires_grad is True, False, flags)
    if dtype not in _PACKED and 0 not in sizes and tensor.window[1] > storage.nbytes:
        raise Damaged(
            f"a tensor reaches to byte {tensor.window[1]:,} of storage {storage.key[:40]!r}, which has {storage.nbytes:,}"
        )
    return tensor


def _geometry(shape: object, stride: object) -> tuple[tuple[int, ...], tuple[int, ...]]:
    sizes, steps = _whole_numbers(shape), _whole_numbers(stride)
    if len(sizes) != len(steps):
        raise Damaged(f"a tensor has {len(sizes)} dimensions and {len(steps)} strides")
    return sizes, steps


def _whole_numbers(value: object) -> tuple[int, ...]:
    if (
        type(value) is Call
        and value.function == Global("torch", "Size")
        and type(value.args) is tuple
        and len(value.args) == 1
    ):
        value = value.args[0]
    if type(value) is not tuple and type(value) is not list:
        raise Damaged(f"a tensor's shape or strides are a {type(value).__name__}")
    if len(value) > _MAX_DIMENSIONS or not all(type(part) is int and 0 <= part < _MAX_SIZE for part in value):
        raise Damaged("a tensor's shape or strides are not what torch writes")
    return tuple(value)


def strided_call(tensor: Tensor) -> Call:
    """The record that pickles as this tensor. Raises `Damaged` where it has no storage."""
    if tensor.storage is None:
        raise Damaged("a tensor on the meta device has no bytes to write")
    args: tuple[object, ...] = (
        tensor.storage,
        tensor.offset,
        tensor.shape,
        tensor.stride,
        tensor.requires_grad,
        Ordered(),
    )
    if tensor.storage.dtype == "untyped":
        return Call(Global("torch._utils", "_rebuild_tensor_v3"), (*args, Global("torch", tensor.dtype)))
    return Call(Global("torch._utils", "_rebuild_tensor_v2"), args)
