"""Renaming the weights of a checkpoint, wherever their names stand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from legacy.checkpoint.errors import Refused
from legacy.checkpoint.parts import optimizers
from legacy.checkpoint.records import Ordered
from legacy.checkpoint.rules.registry import Work
from legacy.checkpoint.tensors import tensor_of


def rename(work: Work, label: str, state: dict[Any, Any], renamed: Callable[[str], str]) -> list[tuple[str, str]]:
    """Gives every name of a state dict its new one, in place and in order; module versions (`_metadata`) follow.

    One tensor under two names that become one is kept once. Raises `Refused` where two different tensors would have one name.
    """
    changes: list[tuple[str, str]] = []
    made: dict[Any, Any] = {}
    came: dict[Any, Any] = {}
    for name, value in state.items():
        new = renamed(name) if type(name) is str else name
        if new in made:
            if value is not made[new] and (tensor_of(value) is None or tensor_of(value) != tensor_of(made[new])):
                raise Refused(
                    f"{work.checkpoint.path}: {name!r} and {came[new]!r} of {label or 'the state dict'} would both be called "
                    f"{new!r} after the rule {work.rule}, and they are different tensors: give one another name by a rule of your own"
                )
            work.warn(f"{name!r} and {came[new]!r} are one tensor, kept once as {new!r}")
        made.setdefault(new, value)
        came.setdefault(new, name)
        if new != name:
            changes.append((name, new))
    if changes:
        state.clear()
        state.update(made)
        if type(state) is Ordered and state.attributes:
            _rename_versions(state.attributes.get("_metadata"), renamed)
    return changes


def _rename_versions(versions: object, renamed: Callable[[str], str]) -> None:
    if not isinstance(versions, dict):
        return
    made: dict[Any, Any] = {}
    for path, version in versions.items():
        # As the name of something in the module, whose own path is what is left: a wrapper's version gives way to what it wraps.
        made[
            renamed(f"{path}.x" if path else "x").removesuffix("x").removesuffix(".") if type(path) is str else path
        ] = version
    versions.clear()
    versions.update(made)


def rename_in_optimizers(work: Work, renamed: Callable[[str], str]) -> None:
    """The same for the names that newer torch keeps with an optimiser's groups."""
    for optimizer in optimizers(work.root):
        for group in optimizer["param_groups"]:
            names = group.get("param_names")
            if isinstance(names, list):
                group["param_names"] = [renamed(name) if type(name) is str else name for name in names]
