"""The state dicts and optimisers of a checkpoint, and renaming what is in them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any

from legacy.checkpoint.errors import Refused
from legacy.checkpoint.kinds import is_state_dict
from legacy.checkpoint.records import Ordered
from legacy.checkpoint.rules.registry import Work
from legacy.checkpoint.tensors import is_tensor, tensor_of

_MOST = 1_000  # optimisers of one training; one may stand there more than once


def state_dicts(root: object) -> Iterator[tuple[str, dict[Any, Any]]]:
    """Weights by name, wherever a trainer keeps them: the root itself, `state_dict`, an average of the weights, a callback's copy."""
    seen: set[int] = set()
    if not isinstance(root, dict):
        return
    if is_state_dict(root):
        yield "", root
        return
    callbacks = root.get("callbacks")
    owners = callbacks.items() if isinstance(callbacks, dict) else ()
    places = chain(
        ((str(key), value) for key, value in root.items()),
        (
            (f"{owner} {key}", value)
            for owner, state in owners
            if isinstance(state, dict) and _first(state, seen)
            for key, value in state.items()
        ),
    )
    for label, value in places:
        if isinstance(value, dict) and _first(value, seen) and is_state_dict(value):
            yield label, value


def _first(value: object, seen: set[int]) -> bool:
    """Whether an object comes for the first time: what a file names at many places is looked through once."""
    known = id(value) in seen
    seen.add(id(value))
    return not known


def main_state_dict(root: object) -> dict[Any, Any]:
    """The network's own weights: `state_dict`, the first that look like one, or a dict with a few tensors; empty where there are none."""
    if not isinstance(root, dict):
        return {}
    if isinstance(root.get("state_dict"), dict):
        named: dict[Any, Any] = root["state_dict"]
        return named
    bare = root if any(map(is_tensor, root.values())) else {}
    return next((state for _, state in state_dicts(root)), bare)


def optimizers(root: object) -> Iterator[dict[Any, Any]]:
    """The state of each optimiser that has torch's form, Lightning's list of them or a trainer's own key."""
    seen: set[int] = set()
    for value in root.values() if isinstance(root, dict) else ():
        if isinstance(value, list) and (len(value) > _MOST or not _first(value, seen)):
            continue
        for each in value if isinstance(value, list) else [value]:
            if (
                isinstance(each, dict)
                and isinstance(each.get("state"), dict)
                and isinstance(each.get("param_groups"), list)
                and all(
                    isinstance(group, dict) and isinstance(group.get("params"), list) for group in each["param_groups"]
                )
            ):
                yield each


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
