"""Names that wrappers put into the names of weights."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

from legacy.checkpoint.kinds import hyper_parameters
from legacy.checkpoint.parts import main_state_dict, state_dicts
from legacy.checkpoint.rules.layout import is_stage
from legacy.checkpoint.rules.registry import Work, rule
from legacy.checkpoint.rules.weights import rename, rename_in_optimizers
from legacy.checkpoint.tensors import is_tensor

COMPILED: Final = "_orig_mod"
_PARALLEL: Final = "module"


@rule("wrapper-prefixes", since="torch 0.2 (DataParallel), torch 2.0 (torch.compile)")
def strip_wrappers(work: Work) -> None:
    """`_orig_mod.` and `module.` go, in any order and wherever they stand in a name, from the weights, the module versions and
    the optimisers' names: `torch.compile` and (Distributed)DataParallel put them there, and the lab's bare networks have no such names. In other
    networks a `module.` goes only in front, after `model.` and beside an `_orig_mod.`: further in it may be a module's own, as in PyTorch
    Geometric's BatchNorm. That of `torch.optim.swa_utils.AveragedModel`, told by its `n_averaged`, is that class's own and stays."""
    everywhere = work.kind not in ("state_dict", "unknown") or _has_stages(main_state_dict(work.root))
    states = list(state_dicts(work.root))
    averaged = {
        unwrapped(name).removesuffix("n_averaged")
        for _, state in states
        for name in state
        if type(name) is str and name.rpartition(".")[2] == "n_averaged"
    }
    compiled = False
    for label, state in states:
        changes = rename(work, label, state, lambda name: unwrapped(name, averaged, everywhere))
        for old, new in changes[:1]:
            work.note(f"{label or 'weights'}: {len(changes):,} names such as {old} → {new}", len(changes))
        compiled |= any(COMPILED in old.split(".") for old, _ in changes)
    rename_in_optimizers(work, lambda name: unwrapped(name, averaged, everywhere))
    found = hyper_parameters(work.root)
    if compiled and found.get("compile_model") is True:
        found["compile_model"] = False
        work.note(
            "compile_model set to false: with true, loading would compile the network and expect the prefix again"
        )


def _has_stages(state: dict[Any, Any]) -> bool:
    """Whether most of the weights are those of a network of the lab's; not asked where none has a `module.` to lose."""
    names = [name for name, value in state.items() if type(name) is str and is_tensor(value)]
    if not any(_PARALLEL in name for name in names):
        return False
    return 2 * sum(is_stage(unwrapped(name)) for name in names) > len(names)


def unwrapped(name: str, averaged: Collection[str] = (), everywhere: bool = True) -> str:
    """`model._orig_mod.module.convnet.weight` → `model.convnet.weight`; nothing under a prefix in `averaged` loses its `module.`."""
    if _PARALLEL not in name:
        return _without_part(name, COMPILED) if COMPILED in name else name
    *path, last = name.split(".")
    kept: list[str] = []
    for at, part in enumerate(path):
        if part == _PARALLEL:
            wrapper = everywhere or kept in ([], ["model"]) or COMPILED in path[max(0, at - 1) : at + 2]
            if wrapper and "".join(f"{each}." for each in kept) not in averaged:
                continue
        if part != COMPILED:
            kept.append(part)
    return ".".join([*kept, last])


def _without_part(name: str, part: str) -> str:
    dotted = f".{name}"
    while f".{part}." in dotted:  # two in a row share a dot
        dotted = dotted.replace(f".{part}.", ".")
    return dotted[1:]
