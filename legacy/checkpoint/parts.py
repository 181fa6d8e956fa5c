"""Where the state dicts and optimisers of a checkpoint are."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Any

from legacy.checkpoint.kinds import is_state_dict
from legacy.checkpoint.tensors import is_tensor

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
