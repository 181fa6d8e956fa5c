"""`python -m regression.launch`: run a Lightning script as it is, with another device, or with fewer steps, than it asks for.

The script runs under the name `__main__`, with its folder first on the path and its arguments in `sys.argv`, as `python SCRIPT` has it.
"""

from __future__ import annotations

import argparse
import ast
import importlib
import runpy
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

# a script may use the one or the other
LIGHTNINGS = ("pytorch_lightning", "lightning.pytorch")


def lightnings() -> list[Any]:
    """The Lightnings of this machine. To look for one is not enough: a folder on the path can have its name."""
    found = []
    for name in LIGHTNINGS:
        with suppress(ImportError):
            found.append(importlib.import_module(name))
    return found


@contextmanager
def trainer_arguments(overrides: Mapping[str, Any]) -> Iterator[None]:
    """Inside, every Trainer is made with `overrides` in the place of what the script says."""

    def init(original: Any) -> Any:
        return lambda self, *args, **kwargs: original(self, *args, **{**kwargs, **overrides})

    with ExitStack() as stack:
        for package in lightnings():
            replaced(stack, package.Trainer, "__init__", init)
        yield


def replaced(stack: ExitStack, owner: Any, name: str, wrap: Callable[[Any], Any]) -> None:
    """`owner.name` is what `wrap` makes of it, until `stack` is left."""
    original = getattr(owner, name)
    setattr(owner, name, wrap(original))
    stack.callback(setattr, owner, name, original)


def run_script(script: str | Path, arguments: Sequence[str]) -> None:
    """As `python SCRIPT ARGUMENTS` would, in this process."""
    path = Path(script).resolve()
    before = sys.argv, list(sys.path)
    sys.argv = [str(script), *arguments]
    sys.path.insert(0, str(path.parent))
    try:
        runpy.run_path(str(path), run_name="__main__")
    finally:
        sys.argv, sys.path[:] = before


def has_module(module: str) -> bool:
    """Whether `python -m MODULE` would find something to run."""
    try:
        found = find_spec(module)
        if found is not None and found.submodule_search_locations is not None:
            found = find_spec(f"{module}.__main__")
    except ModuleNotFoundError as error:
        if not f"{module}.".startswith(f"{error.name}."):
            raise  # one that its package imports
        return False
    except ValueError:
        return False
    return found is not None


def run_module(module: str, arguments: Sequence[str]) -> None:
    """As `python -m MODULE ARGUMENTS` would, in this process."""
    before = sys.argv
    sys.argv = [module, *arguments]
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    finally:
        sys.argv = before


def main(arguments: Sequence[str] | None = None) -> int:
    """The script's exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m regression.launch",
        description="Run a Lightning script unedited, with other arguments of its Trainer.",
        epilog="example: python -m regression.launch --device cpu --set max_epochs=1 -- train.py --batch_size 8",
    )
    parser.add_argument("--device", choices=("cpu", "cuda"), help="accelerator; one device")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="another argument of the Trainer"
    )
    parser.add_argument("command", nargs=argparse.REMAINDER, metavar="-- SCRIPT ARGS… | -- -m MODULE ARGS…")
    told = parser.parse_args(arguments)
    command = told.command[1:] if told.command[:1] == ["--"] else told.command
    if not command or command == ["-m"]:
        parser.error("a script is expected behind --")
    overrides: dict[str, Any] = {} if told.device is None else {"accelerator": told.device, "devices": 1}
    for setting in told.set:
        name, _, value = setting.partition("=")
        try:
            overrides[name] = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            overrides[name] = value
    module = command[1] if command[0] == "-m" else None
    if module is not None and not has_module(module):
        parser.error(f"there is no module {module}")
    if module is None and not Path(command[0]).is_file():
        parser.error(f"there is no script {command[0]}")
    with trainer_arguments(overrides):
        if module is None:
            run_script(command[0], command[1:])
        else:
            run_module(module, command[2:])
    return 0


if __name__ == "__main__":
    sys.exit(main())
