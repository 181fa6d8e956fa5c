"""Stand-ins for every package that is neither the standard library nor the tree's: importable, and good for anything.

What code does with a package while it is being imported works on a stand-in: call it, subclass it, decorate with it, subscript,
compare, add, enter, unpack nothing from it. What comes out is a stand-in again. It is false, empty, zero, and newer than any version.
"""

from __future__ import annotations

import builtins
import types
from abc import ABCMeta
from collections.abc import Callable, Generator, Iterator
from typing import Any

VERSION = "9999.0.0"
DECORATED = (types.FunctionType, type, classmethod, staticmethod, property)
STAR_IMPORTS: list[str] = []
ARITHMETIC = "add sub mul matmul truediv floordiv mod divmod pow lshift rshift and xor or"


class _Meta(ABCMeta):
    """Class attributes of a stand-in's subclasses, as in `swish = Swish.apply` for an autograd function."""

    def __getattr__(cls, name: str) -> Any:
        return _attribute(f"{cls.__module__}.{cls.__qualname__}", name)


class _Instance:
    """What instances of such subclasses can do: take any arguments, have any attribute."""

    def __new__(cls, *_: Any, **__: Any) -> Any:
        return super().__new__(cls)

    def __init__(self, *_: Any, **__: Any) -> None: ...

    def __init_subclass__(cls, **named: Any) -> None:
        above = super().__init_subclass__  # another base's, as in `class A(StandIn, Generic[T])`, or that of `object`
        above(**({} if isinstance(above, types.BuiltinMethodType) else named))

    def __getattr__(self, name: str) -> Any:
        return _attribute(type(self).__qualname__, name)

    def __call__(self, *arguments: Any, **_: Any) -> Any:
        return StandIn(f"{type(self).__qualname__}()")


class StandIn:
    """One stand-in value. `label` says where it came from, as in `torch.nn.Module`."""

    def __init__(self, label: str) -> None:
        self.__dict__.update(label=label, __name__=label.rpartition(".")[2], __qualname__=label, __doc__=None, bases={})

    def __getattr__(self, name: str) -> Any:
        child = _attribute(self.label, name)
        self.__dict__[name] = child
        return child

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        if len(arguments) == 1 and not named and isinstance(arguments[0], DECORATED):
            return arguments[0]
        return StandIn(f"{self.label}()")

    def __mro_entries__(self, bases: tuple[Any, ...]) -> tuple[type, ...]:
        """The class to inherit from in place of this value: one with a plain metaclass where another base has one of its own."""
        others = [type(base) for base in bases if isinstance(base, type)]
        return (
            self.base(plain=any(not issubclass(_Meta, other) and not issubclass(other, _Meta) for other in others)),
        )

    def base(self, plain: bool) -> type:
        """The same class each time, so that two subclasses share their base as they would."""
        known: dict[bool, type] = self.__dict__["bases"]
        if plain not in known:
            known[plain] = (type if plain else _Meta)(
                self.__name__, (_Instance,), {"__module__": self.label.rpartition(".")[0]}
            )
        return known[plain]

    def __getitem__(self, _: Any) -> Any:
        return self

    def __setitem__(self, *_: Any) -> None: ...

    def __delitem__(self, _: Any) -> None: ...

    def __contains__(self, _: Any) -> bool:
        return False

    def __iter__(self) -> Iterator[Any]:
        return iter(())

    def __len__(self) -> int:
        return 0

    def __bool__(self) -> bool:
        return False

    def __int__(self) -> int:
        return 0

    __index__ = __int__

    def __float__(self) -> float:
        return 0.0

    def __complex__(self) -> complex:
        return 0j

    def __round__(self, _: Any = None) -> int:
        return 0

    def __repr__(self) -> str:
        return f"<stand-in {self.label}>"

    def __format__(self, _: str) -> str:
        return repr(self)

    def __fspath__(self) -> str:
        return "stand-in"

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: object) -> None: ...

    def __await__(self) -> Generator[None, None, Any]:
        return self
        yield

    async def __aenter__(self) -> Any:
        return self

    async def __aexit__(self, *_: object) -> None: ...

    def __aiter__(self) -> Any:
        return self

    async def __anext__(self) -> Any:
        raise StopAsyncIteration

    def __instancecheck__(self, _: Any) -> bool:
        return False

    __subclasscheck__ = __instancecheck__

    def __lt__(self, _: Any) -> bool:
        return False

    __le__ = __lt__

    def __gt__(self, _: Any) -> bool:
        return True

    __ge__ = __gt__

    def __neg__(self) -> Any:
        return self

    __pos__ = __abs__ = __invert__ = __neg__


def _arithmetic(self: StandIn, *_: Any) -> StandIn:
    return self


for _operation in ARITHMETIC.split():
    for _prefix in ("", "r", "i"):
        setattr(StandIn, f"__{_prefix}{_operation}__", _arithmetic)


def _attribute(owner: str, name: str) -> Any:
    """Any attribute but the special ones, which Python asks for to find out what an object can do."""
    if name in ("__version__", "VERSION"):
        return VERSION
    if name.startswith("__") and name.endswith("__"):
        raise AttributeError(f"stand-in {owner} has no {name}")
    return StandIn(f"{owner}.{name}")


class StandInModule(types.ModuleType):
    """A package that is not there. Its names come into being when asked for."""

    def __getattr__(self, name: str) -> Any:
        if name == "__all__":
            STAR_IMPORTS.append(self.__name__)
            return []
        value = _attribute(self.__name__, name)
        setattr(self, name, value)
        return value


def own_metaclasses_win() -> None:
    """Let `class A(StandIn, metaclass=Own)` be built, as it could be on the plain class that is stood in for."""
    build: Callable[..., Any] = builtins.__build_class__

    def build_class(body: Any, name: str, /, *bases: Any, **named: Any) -> Any:
        if "metaclass" in named:
            bases = tuple(base.base(plain=True) if isinstance(base, StandIn) else base for base in bases)
        return build(body, name, *bases, **named)

    builtins.__build_class__ = build_class
