"""What a pickle program is made of once nothing in it has been run: names, calls that did not happen, storages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Final, Literal, TypeAlias
from weakref import WeakValueDictionary

from legacy.checkpoint.errors import Refused


class _Absent:
    def __repr__(self) -> str:
        return "ABSENT"


ABSENT: Final = _Absent()


class Global:
    """A class or function by its name alone. There is one object to a name, so that comparing and hashing cost nothing."""

    __match_args__ = ("module", "name")
    __slots__ = ("__weakref__", "module", "name")
    module: str
    name: str
    _known: ClassVar[WeakValueDictionary[tuple[str, str], Global]] = WeakValueDictionary()

    def __new__(cls, module: str, name: str) -> Global:
        found = cls._known.get((module, name))
        if found is None:
            found = cls._known[module, name] = super().__new__(cls)
            found.module, found.name = module, name
        return found

    def __reduce__(self) -> tuple[type[Global], tuple[str, str]]:
        return Global, (self.module, self.name)

    def __repr__(self) -> str:
        return f"Global({self.module!r}, {self.name!r})"

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


How: TypeAlias = Literal["reduce", "newobj", "newobj_ex"]


@dataclass(slots=True, eq=False)
class Call:
    """What loading would have made by calling `function(*args, **kwargs)`, with what would have been put into it since.

    Equal to itself only: two calls with the same arguments are two objects, as they would be after loading.
    """

    function: object
    args: object
    how: How = "reduce"
    kwargs: object = None
    state: object = ABSENT  # the operand of BUILD
    appended: list[object] | None = None  # of a list-like
    items: dict[Any, Any] | None = None  # of a dict-like
    looked_at: object = None  # the arguments, once they are known for a tensor's (`tensors.is_usual`)

    def __repr__(self) -> str:
        return f"<call of {name_of(self.function)}>"


@dataclass(slots=True, eq=False)
class Storage:
    """One block of tensor bytes: `size` elements of `dtype` ("untyped" counts bytes), under `key` in its file."""

    key: str
    dtype: str
    size: int
    location: str  # "cpu", "cuda:0": where it lived when it was saved

    @property
    def nbytes(self) -> int:
        return self.size * itemsize(self.dtype)


class Ordered(dict[Any, Any]):
    """A `collections.OrderedDict`. `attributes` is what was set on it: a state dict keeps its `_metadata` there."""

    attributes: dict[Any, Any] | None = None


def name_of(function: object) -> str:
    """The dotted name of a global; of a call, the name of what is called in the end."""
    while type(function) is Call:
        function = function.function
    return str(function) if type(function) is Global else f"a {type(function).__name__}"


# Storage classes by their bare name; torch has kept them in several modules over the years.
STORAGE_DTYPES: Final = {
    "DoubleStorage": "float64",
    "FloatStorage": "float32",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ByteStorage": "uint8",
    "BoolStorage": "bool",
    "ComplexDoubleStorage": "complex128",
    "ComplexFloatStorage": "complex64",
    "QInt8Storage": "qint8",
    "QInt32Storage": "qint32",
    "QUInt8Storage": "quint8",
    "QUInt4x2Storage": "quint4x2",
    "QUInt2x4Storage": "quint2x4",
    "UntypedStorage": "untyped",
    "_UntypedStorage": "untyped",
}
STORAGE_CLASSES: Final = {dtype: name for name, dtype in STORAGE_DTYPES.items() if not name.startswith("_")}

_ITEMSIZES: Final = {
    **dict.fromkeys(("float64", "int64", "uint64", "complex64"), 8),
    **dict.fromkeys(("float32", "int32", "uint32", "qint32", "complex32"), 4),
    **dict.fromkeys(("float16", "bfloat16", "int16", "uint16", "bits16"), 2),
    **dict.fromkeys(("int8", "uint8", "bool", "qint8", "quint8", "quint4x2", "quint2x4", "untyped"), 1),
    **dict.fromkeys(("float8_e5m2", "float8_e4m3fn", "float8_e5m2fnuz", "float8_e4m3fnuz", "float8_e8m0fnu"), 1),
    **dict.fromkeys(("float4_e2m1fn_x2", "bits8", "bits1x8", "bits2x4", "bits4x2"), 1),
    **{f"{sign}int{bits}": 1 for sign in ("", "u") for bits in range(1, 8)},
    "complex128": 16,
}
DTYPES: Final = frozenset(_ITEMSIZES) - {"untyped"}


def itemsize(dtype: str) -> int:
    """Bytes an element takes. Raises `Refused` for a dtype this version does not know."""
    try:
        return _ITEMSIZES[dtype]
    except KeyError:
        raise Refused(f"the element type torch.{dtype} is not one this version knows") from None


def swap_unit(dtype: str) -> int:
    """Bytes that change places between the byte orders: a complex number is two numbers."""
    return itemsize(dtype) // 2 if dtype.startswith("complex") else itemsize(dtype)
