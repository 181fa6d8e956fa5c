"""Names that wrappers put into the names of weights."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from legacy.checkpoint.kinds import hyper_parameters
from legacy.checkpoint.rules.registry import Work, rule
from legacy.checkpoint.rules.weights import rename, rename_in_optimizers, state_dicts

COMPILED: Final = "_orig_mod"
_PARALLEL: Final = "module"


@rule("wrapper-prefixes", since="torch 0.2 (DataParallel), torch 2.0 (torch.compile)")
def strip_wrappers(work: Work) -> None:
    """`_orig_mod.` and `module.` go, in any order and wherever they stand in a name, from the weights, the module versions and
    the optimisers' names: `torch.compile` and (Distributed)DataParallel put them there, and a bare network has no such names. The `module.` of
    `torch.optim.swa_utils.AveragedModel`, told by its `n_averaged`, is that class's own and stays."""
    states = list(state_dicts(work.root))
    averaged = {
        unwrapped(name).removesuffix("n_averaged")
        for _, state in states
        for name in state
        if type(name) is str and name.rpartition(".")[2] == "n_averaged"
    }
    compiled = False
    for label, state in states:
        changes = rename(work, label, state, lambda name: unwrapped(name, averaged))
        for old, new in changes[:1]:
            work.note(f"{label or 'weights'}: {len(changes):,} names such as {old} → {new}", len(changes))
        compiled |= any(COMPILED in old.split(".") for old, _ in changes)
    rename_in_optimizers(work, lambda name: unwrapped(name, averaged))
    found = hyper_parameters(work.root)
    if compiled and found.get("compile_model") is True:
        found["compile_model"] = False
        work.note(
            "compile_model set to false: with true, loading would compile the network and expect the prefix again"
        )


def unwrapped(name: str, averaged: Collection[str] = ()) -> str:
    """`model._orig_mod.module.convnet.weight` → `model.convnet.weight`; nothing under a prefix in `averaged` loses its `module.`."""
    if COMPILED not in name and _PARALLEL not in name:
        return name
    *path, last = name.split(".")
    kept: list[str] = []
    for part in path:
        if part == COMPILED or (part == _PARALLEL and "".join(f"{each}." for each in kept) not in averaged):
            continue
        kept.append(part)
    return ".".join([*kept, last])
