"""Optimiser state by parameter name. torch keeps it by position, and loads it into whatever stands there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from legacy.checkpoint.parts import main_state_dict, optimizers
from legacy.checkpoint.records import Call
from legacy.checkpoint.rules.registry import Work, rule
from legacy.checkpoint.tensors import Tensor, tensor_of

_KINDS: Final = frozenset({"MultiDatasetModel", "PLCoreVisionModel", "MultiDatasetPLCore"})
_CORE: Final = ("frontend", "convnet", "modulator")
_BUFFERS: Final = frozenset({"running_mean", "running_var", "num_batches_tracked", "blur", "n_averaged"})
_PER_ELEMENT: Final = ("exp_avg", "exp_avg_sq", "max_exp_avg_sq", "momentum_buffer", "sum", "square_avg")


@rule("optimizer-by-name", since="torch 2.6 (param_names)")
def by_name(work: Work) -> None:
    """Each group of an optimiser gets the names of its parameters (`param_names`), taken from the lab's way to form groups and held against the
    shapes of the state. Where the file has names, in another order than the network's, state and groups are put in the network's order: torch
    loads a permuted optimiser without a word."""
    found = list(optimizers(work.root)) if work.kind in _KINDS else []
    if not found:
        return
    weights = _parameters(main_state_dict(work.root))
    for index, optimizer in enumerate(found):
        groups = optimizer["param_groups"]
        if any("param_names" in group for group in groups):
            _reorder(work, index, optimizer, weights)
        elif groups and (names := _inferred(work, optimizer, weights)):
            for group, own in zip(groups, names, strict=True):
                group["param_names"] = own
            work.note(f"optimiser {index}: names of {sum(map(len, names)):,} parameters", sum(map(len, names)))


def _parameters(state: dict[Any, Any]) -> dict[str, Tensor]:
    """Parameters by name in the network's order: no buffers, of tied ones the first."""
    found: dict[str, Tensor] = {}
    seen: set[object] = set()
    for name, value in state.items():
        tensor = tensor_of(value) if type(value) is Call else None
        if tensor is None or type(name) is not str or name.rpartition(".")[2] in _BUFFERS:
            continue
        place = tensor.storage and tensor.storage.key, tensor.offset, tensor.shape
        if tensor.numel == 0 or place not in seen:
            seen.add(place)
            found[name] = tensor
    return found


def _inferred(work: Work, optimizer: dict[Any, Any], weights: dict[str, Tensor]) -> list[list[str]]:
    """The names of each group's parameters; empty where they cannot be told for certain."""
    groups = optimizer["param_groups"]
    core: Callable[[str], bool] = lambda name: any(part in name for part in _CORE)  # noqa: E731
    if work.kind == "MultiDatasetModel":
        split = [[name for name in weights if core(name)], [name for name in weights if not core(name)]]
        names = [own for own in split if own]
    else:
        names = [list(weights)]
    fits = len(names) == len(groups) and all(
        len(own) == len(group["params"]) for own, group in zip(names, groups, strict=True)
    )
    if not fits or not all(
        _shapes_fit(optimizer["state"].get(identity), weights[name])
        for own, group in zip(names, groups, strict=True)
        for identity, name in zip(group["params"], own, strict=True)
        if type(identity) is int
    ):
        work.warn("the optimiser's parameters could not be told by name: its state keeps the order it was saved in")
        return []
    return names


def _shapes_fit(state: Any, weight: Tensor) -> bool:
    if not isinstance(state, dict):
        return True
    found = [tensor_of(state[name]) for name in _PER_ELEMENT if type(state.get(name)) is Call]
    return all(tensor is None or tensor.shape == weight.shape for tensor in found)


def _reorder(work: Work, index: int, optimizer: dict[Any, Any], weights: dict[str, Tensor]) -> None:
    groups, state = optimizer["param_groups"], optimizer["state"]
    names = [group.get("param_names") for group in groups]
    ids = [identity for group in groups for identity in group["params"]]
    flat = [name for own in names if isinstance(own, list) for name in own]
    if (
        not all(
            isinstance(own, list) and len(own) == len(group["params"]) for own, group in zip(names, groups, strict=True)
        )
        or not all(type(identity) is int for identity in ids)
        or not all(type(name) is str for name in flat)
        or len(set(ids)) < len(ids)
        or len(set(flat)) < len(flat)
        or not state.keys() <= set(ids)
    ):
        work.warn(
            f"optimiser {index} names its parameters incompletely or twice: its state keeps the order it was saved in"
        )
        return
    position = {name: at for at, name in enumerate(weights)}
    unknown = [name for name in flat if name not in position]
    if unknown:
        work.warn(
            f"optimiser {index} has state for {len(unknown)} parameters that the network lacks, such as {unknown[0]!r}"
        )
        return
    wrong = [
        name for name, identity in zip(flat, ids, strict=True) if not _shapes_fit(state.get(identity), weights[name])
    ]
    if wrong:
        work.warn(f"optimiser {index} has state of another shape than the parameter {wrong[0]!r} it names")
        return
    order: list[int] = []
    for group in groups:
        pairs = sorted(zip(group["params"], group["param_names"], strict=True), key=lambda pair: position[pair[1]])
        if [identity for identity, _ in pairs] != group["params"]:
            work.note(f"optimiser {index}: {len(pairs):,} parameters into the network's order", len(pairs))
            work.warn(
                f"optimiser {index} was saved in another order than the network's, which it has now: "
                "training code that orders its parameters otherwise must load it by name (param_names)"
            )
        group["param_names"] = [name for _, name in pairs]
        group["params"] = list(range(len(order), len(order) + len(pairs)))
        order += [identity for identity, _ in pairs]
    kept = {new: state[old] for new, old in enumerate(order) if old in state}
    if list(kept) != list(state) or order != sorted(order):
        state.clear()
        state.update(kept)
