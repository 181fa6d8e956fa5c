"""Which module saved a checkpoint. Its class is never in the file: the names of its hyper-parameters tell."""

from __future__ import annotations

from typing import Any, Final, Literal, TypeAlias

from legacy.checkpoint.names import HYPER_PARAMETERS
from legacy.checkpoint.records import Call, Ordered
from legacy.checkpoint.tensors import is_tensor

Kind: TypeAlias = Literal["PLCoreVisionModel", "MultiDatasetPLCore", "MultiDatasetModel", "state_dict", "unknown"]
LIGHTNING: Final = "pytorch-lightning_version"
_SCRIPT: Final = {"model_cfg", "cfg_dir"}
_OLD: Final = {"model_config", "optim_kwargs", "viz_n_epochs"}  # of both classes; `model_class` only with a builder


def kind_of(root: object) -> Kind:
    """The module that saved `root`, "state_dict" for nothing but weights, "unknown" for anything else."""
    if not isinstance(root, dict):
        return "unknown"
    names = set(hyper_parameters(root))
    if names >= _SCRIPT:
        return "MultiDatasetModel"
    if names >= _OLD or "model_class" in names:
        if "dataset_configs" in names:
            return "MultiDatasetPLCore"
        if "cids" in names:
            return "PLCoreVisionModel"
    if names or LIGHTNING in root:
        return "unknown"
    return "state_dict" if is_state_dict(root) or is_state_dict(root.get("state_dict")) else "unknown"


def hyper_parameters(root: object) -> dict[Any, Any]:
    """The hyper-parameters, out of whatever mapping or namespace holds them; empty where there are none."""
    if not isinstance(root, dict):
        return {}
    found = next((root[name] for name in HYPER_PARAMETERS if root.get(name) is not None), None)
    if isinstance(found, Call):
        if found.items:
            return found.items
        found = found.state
        if isinstance(found, dict) and isinstance(found.get("_content"), dict):  # OmegaConf
            return dict(found["_content"])
    return found if isinstance(found, dict) else {}


def is_state_dict(value: object) -> bool:
    """Whether it is weights by name: text to tensors, an extra state or two allowed."""
    if type(value) is not dict and type(value) is not Ordered:
        return False
    tensors = sum(map(is_tensor, value.values()))
    return 2 * tensors > len(value) and all(type(name) is str for name in value)
