"""Hyper-parameters that were objects: what builds the network, and what lived only while it was trained."""

from __future__ import annotations

from typing import Any, Final

from legacy.checkpoint.kinds import hyper_parameters
from legacy.checkpoint.names import (
    ALIASES,
    ATTRIBUTE_DICTS,
    HYPER_PARAMETERS,
    LIVE,
    LOADABLE,
    NAMESPACES,
    OMEGACONF,
    REPLACED,
)
from legacy.checkpoint.records import Call, Global, Storage, name_of
from legacy.checkpoint.rules.moved import new_name
from legacy.checkpoint.rules.registry import Work, rule
from legacy.checkpoint.structure import walk

_PLAIN: Final = LOADABLE | REPLACED | ALIASES.keys()


@rule("hyper-parameters-key", since="Lightning 0.6, 0.7, 0.8")
def rename_key(work: Work) -> None:
    """`hparams` and `module_arguments` were what `hyper_parameters` is since Lightning 0.8, whose loading still looks them up."""
    root = work.root
    for old in ("hparams", "module_arguments"):
        if isinstance(root, dict) and old in root and "hyper_parameters" not in root:
            root["hyper_parameters"] = root.pop(old)
            work.note(f"{old} → hyper_parameters")


@rule("hyper-parameters-opened", since="Lightning 0.8")
def open_container(work: Work) -> None:
    """Hyper-parameters were kept as an `AttributeDict`, an `argparse.Namespace` or OmegaConf's `DictConfig`: a plain dict says the same,
    and every version of Lightning reads one."""
    root = work.root
    for name in HYPER_PARAMETERS if isinstance(root, dict) else ():
        given = root.get(name)
        if type(given) is Call and name_of(given.function) in ATTRIBUTE_DICTS | NAMESPACES | OMEGACONF:
            root[name] = hyper_parameters({name: given})
            work.note(f"{name}: {name_of(given.function)} as a dict")


@rule("model-class-to-builder-name", since="visioncore 0.1")
def name_the_builder(work: Work) -> None:
    """`model_class` was pickled by reference (`models.build.build_model`, `ModularV1Model`), which ties the file to a module path;
    it becomes text such as `visioncore.models:build_model`, which `legacy.load_model` looks up."""
    found = hyper_parameters(work.root)
    builder = found.get("model_class")
    named = builder.function if type(builder) is Call else builder
    if type(named) is Global and str(named) not in work.allow:
        found["model_class"] = new_name(named)
        work.note(f"model_class: {named} → {found['model_class']}")


@rule("live-objects-dropped", since="visioncore 0.1")
def drop_live_objects(work: Work) -> None:
    """`eval_modules` were objects that drew figures while the network was trained. They hold no weights of it and cannot be
    written without their code: the list is emptied, and what was in it noted."""
    found = hyper_parameters(work.root)
    if LIVE in found and not is_plain(found[LIVE]):
        names = sorted({_class_of(node) for _, node in walk(found[LIVE]) if type(node) is Call} - _PLAIN)
        found[LIVE] = []
        work.note(f"{LIVE} emptied: it held {', '.join(names) or 'objects'}")


def _class_of(call: Call) -> str:
    made = (
        call.args[0]
        if str(call.function) == "copyreg._reconstructor" and type(call.args) is tuple and call.args
        else None
    )
    return name_of(made if type(made) is Global else call.function)


@rule("hparams-type-dropped", since="visioncore 0.1")
def drop_type(work: Work) -> None:
    """Lightning notes OmegaConf's class beside hyper-parameters that were one, to make one of them again; they are a plain dict now."""
    root = work.root
    if isinstance(root, dict) and type(root.get("hparams_type")) is Global:
        work.note(f"hparams_type: {root.pop('hparams_type')}")


def is_plain(value: Any) -> bool:
    """Whether `value` holds nothing but containers, plain values and tensors."""
    return all(
        type(node) is Storage or (name_of(node.function) if type(node) is Call else str(node)) in _PLAIN
        for _, node in walk(value)
    )
