"""The calls that torch makes while it loads: each must have a form that torch writes, or a file that looks whole would not load."""

from __future__ import annotations

from typing import Any, Final

from legacy.checkpoint.errors import CheckpointError, Damaged
from legacy.checkpoint.names import LOADABLE, verdict
from legacy.checkpoint.records import Call, Global, Ordered
from legacy.checkpoint.storages import is_device
from legacy.checkpoint.structure import Step, place
from legacy.checkpoint.tensors import is_tensor, tensor_of

_LAYOUTS: Final = frozenset(
    f"torch.{name}"
    for name in ["strided", "sparse_coo", "sparse_csr", "sparse_csc", "sparse_bsr", "sparse_bsc", "_mkldnn", "jagged"]
)
# What is sound among these is no call any more once it is read.
_CONTAINERS: Final = frozenset(
    ["collections.OrderedDict", "_codecs.encode", "builtins.set", "builtins.bytearray", "builtins.complex"]
)
_MOST: Final = {"_rebuild_tensor": 4, "_rebuild_tensor_v2": 7, "_rebuild_tensor_v3": 8}  # arguments


def check_form(trail: list[Step], call: Call) -> None:
    """Raises `Damaged`, with the place, for a call of torch's own whose arguments are not such as torch gives it."""
    try:
        _check(call)
    except CheckpointError as error:
        raise type(error)(f"{place(trail)}: {error}") from None


def _check(call: Call) -> None:
    if is_tensor(call.function):
        raise Damaged("a tensor is called, as if it were a function")
    if is_tensor(call) and not (call.appended is None and call.items is None):
        raise Damaged("members are put into a tensor, as if it were a list or a dict")
    if type(call.function) is not Global or call.how != "reduce":
        return
    if is_tensor(call):
        _check_tensor(call.function.name, call)
    elif str(call.function) in _CONTAINERS:
        raise Damaged(f"a call of {call.function} has arguments that no pickler gives it")
    elif call.function.module == "torch":
        _check_of_torch(call.function.name, call.args)
    elif call.function is _GET_LAYOUT and not _is_layout(call.args):
        raise Damaged("there is no such layout of tensors")
    elif call.function is _SPARSE and not _is_sparse(call.args):
        raise Damaged("a sparse tensor is not made of the indices, values and size that torch gives it")
    elif call.function is _NESTED and not _is_nested(call.args):
        raise Damaged("a nested tensor is not made of the values, sizes, strides and offsets that torch gives it")


_GET_LAYOUT: Final = Global("torch.serialization", "_get_layout")
_SPARSE: Final = Global("torch._utils", "_rebuild_sparse_tensor")
_NESTED: Final = Global("torch._utils", "_rebuild_nested_tensor")
_FLAGS: Final = {bool}


def _is_layout(args: Any) -> bool:
    return type(args) is tuple and len(args) == 1 and type(args[0]) is str and args[0] in _LAYOUTS


def _is_sparse(args: Any) -> bool:
    match args:
        case (Call() as layout, tuple() as data) if layout.function is _GET_LAYOUT and _is_layout(layout.args):
            name = str(layout.args[0])  # type: ignore[index]
            parts = {"torch.sparse_coo": (3, 4)}.get(name, (4,) if name.startswith("torch.sparse") else ())
            tensors = len(data) - (2 if len(data) == 4 and name == "torch.sparse_coo" else 1)
            if len(data) not in parts or not all(is_tensor(part) for part in data[:tensors]):
                return False
            *_, indices, values = map(_shape, data[:tensors])
            coo = name == "torch.sparse_coo"  # its indices are one row for each dimension
            return indices[-1:] == values[:1] if coo else indices == values[: len(indices)]
    return False


def _is_nested(args: Any) -> bool:
    """One row of sizes, of strides and one offset for each of the tensors that it is made of."""
    if type(args) is not tuple or len(args) != 4 or not all(is_tensor(part) for part in args):
        return False
    _, sizes, strides, offsets = map(_shape, args)
    return sizes == strides and sizes[:1] == offsets


def _shape(call: Any) -> tuple[int, ...]:
    tensor = tensor_of(call)
    return tensor.shape if tensor else ()


def _check_tensor(name: str, call: Call) -> None:
    tensor = tensor_of(call)
    args: Any = call.args
    if tensor is None and type(args) is tuple and args and _is_refused(args[0]):
        return  # which says more
    if tensor is None or len(args) > _MOST.get(name, len(args)):
        raise Damaged(f"a call of {name} has arguments that torch does not give it")
    if tensor.requires_grad and not tensor.dtype.startswith(("float", "bfloat", "complex")):
        raise Damaged(f"a tensor of torch.{tensor.dtype} has a gradient")
    if name in ("_rebuild_tensor_v2", "_rebuild_tensor_v3"):
        gradient, hooks = args[4:6]
        if type(gradient) is not bool:
            raise Damaged("whether a tensor has a gradient is neither true nor false")
        if hooks is not None and (type(hooks) not in (dict, Ordered) or hooks):
            raise Damaged("a tensor has hooks, which are code")
        flags = args[_MOST[name] - 1] if len(args) == _MOST[name] else None
        if flags is not None and not (isinstance(flags, dict) and {*map(type, flags.values())} <= _FLAGS):
            raise Damaged("what is said of a tensor beside its form is not true or false, by name")


def _is_refused(value: object) -> bool:
    """A name that nobody allowed, or a call of one."""
    name = value.function if type(value) is Call else value
    return type(name) is Global and verdict(name) == "refused"


def _check_of_torch(name: str, args: object) -> None:
    match name, args:
        case "Size", (tuple() | list() as sizes,) if all(type(size) is int and 0 <= size < 1 << 63 for size in sizes):
            return
        case "device", (str() as device,) if is_device(device):
            return
        case "device", (str() as kind, int() as index) if is_device(f"{kind}:{index}"):
            return
    if name in ("Size", "device"):
        raise Damaged(f"there is no such torch.{name}")
    # The oldest files call torch.FloatTensor() and build it.
    if f"torch.{name}" in LOADABLE and not name.endswith("Tensor"):
        raise Damaged(f"torch.{name} is called, which stands for a type")
