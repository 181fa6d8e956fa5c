"""`install`: module paths of the lab's old trees import again, and say once each what has taken their place.

What stands where is the table of `checkpoint/rules/moved.toml`. A module that is really there is never touched: the finder is asked last.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from functools import cache
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import FrameType, ModuleType
from typing import Any, Final

# Where the lab's tree has been: under itself, under the private package, and a script's own folder.
_ROOTS: Final = ("", "DataYatesV1.")
_SCRIPT: Final = "train_ddp_multidataset"
_SCRIPT_HOMES: Final = ("training.", "jake.multidataset_ddp.")
_SHOWN: Final = 4


def install() -> None:
    """Old module paths import from now on, and classes of the old script that pickles look for in `__main__` are found."""
    if any(isinstance(finder, _Finder) for finder in sys.meta_path):
        return
    sys.meta_path.append(_Finder())
    main = sys.modules.get("__main__")
    if main is not None and not hasattr(main, "__getattr__"):
        main.__getattr__ = _of_script  # type: ignore[method-assign]


@cache
def modules() -> dict[str, dict[str, str]]:
    """Every old module path, packages included, with the new name of each thing in it."""
    from legacy.checkpoint.rules.moved import table

    found: dict[str, dict[str, str]] = {}
    for old, new in table().items():
        module, _, name = old.rpartition(".")
        homes = [f"{root}{module}" for root in _ROOTS if module.partition(".")[0] == "models" or not root]
        if module in (_SCRIPT, "regularizers"):
            homes += [f"{home}{module}" for home in _SCRIPT_HOMES]
        for home in homes:
            found.setdefault(home, {})[name] = new
            while home := home.rpartition(".")[0]:
                found.setdefault(home, {})
    return found


class _Finder(MetaPathFinder, Loader):
    """Makes the modules of the table where nothing else finds them."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname.partition(".")[0] not in _FIRST or fullname not in modules():
            return None
        package = any(name.startswith(f"{fullname}.") for name in modules())
        return ModuleSpec(fullname, self, is_package=package)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _Moved(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        module.__dict__["__all__"] = sorted(modules()[module.__name__])
        requested, caller = _importer(module.__name__)
        if requested == module.__name__:  # not a package on the way to what was asked for
            _tell_once(module.__name__, caller)


_FIRST: Final = frozenset({"models", "training", "jake", "DataYatesV1", "regularizers", _SCRIPT})


class _Moved(ModuleType):
    """An old module: its names are looked up where they live now, when they are asked for."""

    def __getattr__(self, name: str) -> Any:
        new = modules()[self.__name__].get(name)
        if new is None:
            raise AttributeError(f"module {self.__name__!r} has moved, and {name!r} has no known place")
        _tell_once(self.__name__, _importer("")[1])
        found = _looked_up(new)
        setattr(self, name, found)
        return found

    def __dir__(self) -> list[str]:
        return sorted({*self.__dict__, *modules()[self.__name__]})


_told: Final[set[str]] = set()


def _tell_once(module: str, caller: FrameType | None) -> None:
    if modules()[module] and module not in _told:  # of a package that only holds others there is nothing to tell
        _told.add(module)
        _warn(f"{module} has moved: {_replacements(modules()[module])}", caller)


def _of_script(name: str) -> Any:
    """For `__main__`: what the old script defined, as pickles made by running it name it."""
    new = modules()[_SCRIPT].get(name)
    if new is None:
        raise AttributeError(f"module '__main__' has no attribute {name!r}")
    _warn(f"__main__.{name} is {_shown(new)} now", _importer("")[1])
    found = _looked_up(new)
    setattr(sys.modules["__main__"], name, found)
    return found


@cache
def _looked_up(new: str) -> Any:
    """The same for every old path, whatever has been imported in between."""
    module, _, name = new.partition(":")
    if module == "legacy.lightning":
        from legacy.lightning import classes

        return getattr(classes(first="lightning"), name)
    return getattr(import_module(module), name)


def _importer(name: str) -> tuple[str, FrameType | None]:
    """What an import statement asked for on whose way `name` is being imported, and the frame it stands in."""
    frame: FrameType | None = sys._getframe(1)
    requested = name
    while frame is not None:
        code = frame.f_code.co_filename
        if "importlib" in code and frame.f_code.co_name == "_find_and_load":
            requested = frame.f_locals.get("name", requested)
        if code != __file__ and "importlib" not in code:
            break
        frame = frame.f_back
    return requested, frame


def _replacements(names: dict[str, str]) -> str:
    told = [f"{name} is {_shown(new)} now" for name, new in sorted(names.items())[:_SHOWN]]
    return ", ".join(told) + (f", and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")


def _shown(new: str) -> str:
    return new.replace(":", ".")


def _warn(text: str, caller: FrameType | None) -> None:
    """At the line that asked, wherever warnings are shown."""
    if caller is None:
        warnings.warn(text, DeprecationWarning, stacklevel=2)
        return
    registry = caller.f_globals.setdefault("__warningregistry__", {})
    module = caller.f_globals.get("__name__", "")
    warnings.warn_explicit(text, DeprecationWarning, caller.f_code.co_filename, caller.f_lineno, module, registry)
