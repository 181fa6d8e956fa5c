"""Which globals a file may name: allowed, shimmed (an old name that `legacy` answers for), or refused."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from legacy.checkpoint.records import DTYPES, STORAGE_DTYPES, Global
from legacy.checkpoint.structure import KEY, Step, place, walk

Verdict: TypeAlias = Literal["allowed", "shimmed", "refused"]
PLACES: Final = 20  # of each name; the count goes on

_REBUILD: Final = (
    "parameter parameter_with_state qtensor tensor tensor_v2 tensor_v3 sparse_tensor meta_tensor_no_storage nested_tensor "
    "wrapper_subclass device_tensor_from_numpy device_tensor_from_cpu_tensor"
)
_QUANTIZED: Final = (
    "per_tensor_affine per_tensor_symmetric per_channel_affine per_channel_symmetric per_channel_affine_float_qparams"
)
_ELEMENTS: Final = ("Double", "Float", "Half", "BFloat16", "Long", "Int", "Short", "Char", "Byte")

# What `torch.load(weights_only=True)` of plain torch takes, by name.
LOADABLE: Final = frozenset(
    [f"torch.{name}" for name in (*DTYPES, *_QUANTIZED.split(), "Tensor", "Size", "device", "BoolTensor")]
    + [f"torch.{name}" for name in STORAGE_DTYPES if "Untyped" not in name]
    + [f"torch.{place}{name}Tensor" for place in ("", "cuda.", "sparse.", "cuda.sparse.") for name in _ELEMENTS]
    + [f"torch.cuda.{name}Storage" for name in (*_ELEMENTS, "Bool", "ComplexDouble", "ComplexFloat")]
    + [f"torch._utils._rebuild_{name}" for name in _REBUILD.split()]
    + ["torch.storage.UntypedStorage", "torch.storage.TypedStorage", "torch.cuda.BoolTensor"]
    + ["torch.serialization._get_layout", "torch._tensor._rebuild_from_type_v2", "torch.nn.parameter.Parameter"]
    + ["collections.OrderedDict", "collections.Counter", "_codecs.encode"]
    + ["builtins.set", "builtins.bytearray", "builtins.complex"]
)
# As harmless; a written file has the plain container or number in their place.
REPLACED: Final = frozenset(
    [
        "collections.defaultdict",
        "collections.deque",
        "numpy.dtype",
        "numpy.core.multiarray.scalar",
        "numpy._core.multiarray.scalar",
    ]
    + [f"builtins.{name}" for name in ["bool", "bytes", "dict", "float", "frozenset", "int", "list", "str", "tuple"]]
)
# The names torch has had for the same things.
ALIASES: Final = {
    "torch.tensor._rebuild_from_type_v2": Global("torch._tensor", "_rebuild_from_type_v2"),
    **{
        f"{home}.{name}": Global("torch.storage", name.lstrip("_"))
        for home in ("torch", "torch.storage")
        for name in ("UntypedStorage", "_UntypedStorage", "TypedStorage", "_TypedStorage")
    },
}

# The lab's trees under each root they have had, and what it defined in the script itself.
OLD_ROOTS: Final = frozenset({"models", "training", "DataYatesV1", "train_ddp_multidataset", "regularizers", "jake"})
_SCRIPT: Final = (
    "MultiDatasetModel MultiDatasetDM PLCoreVisionModel MultiDatasetPLCore Heartbeat EpochHeartbeat CurriculumCallback "
    "ContrastWeightedSampler LinearWarmupCosineAnnealingLR Float32View cast_stim group_collate"
)
_LIGHTNINGS: Final = ("pytorch_lightning", "lightning.pytorch")
_FABRICS: Final = ("lightning_fabric", "lightning.fabric", "lightning_lite")

# What a rule writes as a plain value wherever it stands (`rules/values.py`).
ATTRIBUTE_DICTS: Final = frozenset(
    [f"{home}.utilities.parsing.AttributeDict" for home in _LIGHTNINGS]
    + [f"{home}.utilities.data.AttributeDict" for home in _FABRICS]
)
NAMESPACES: Final = frozenset({"argparse.Namespace", "types.SimpleNamespace"})
PATHS: Final = frozenset(
    f"pathlib{sub}.{name}Path"
    for sub in ("", "._local")  # Python 3.13 moved them
    for name in ("Posix", "Windows", "PurePosix", "PureWindows")
)
ARRAYS: Final = frozenset(f"numpy.{package}.multiarray._reconstruct" for package in ("core", "_core"))
OMEGACONF: Final = frozenset(
    ["omegaconf.dictconfig.DictConfig", "omegaconf.listconfig.ListConfig", "typing.Any"]
    + [f"omegaconf.base.{name}" for name in ("ContainerMetadata", "Metadata")]
    + [f"omegaconf.nodes.{name}Node" for name in ("Any", "String", "Integer", "Float", "Boolean", "Bytes", "Path")]
)
ENUMS: Final = tuple(f"{home}.utilities.enums." for home in (*_LIGHTNINGS, *_FABRICS))
_ANYWHERE: Final = frozenset(
    ATTRIBUTE_DICTS
    | NAMESPACES
    | PATHS
    | ARRAYS
    | OMEGACONF
    | {"numpy.ndarray", *(f"__main__.{name}" for name in _SCRIPT.split())}
    | {f"pytorch_lightning.utilities.{home}._gpus_arg_default" for home in ("argparse", "argparse_utils")}
)
CALLBACKS: Final = tuple(f"{home}.callbacks." for home in _LIGHTNINGS)

# Libraries whose classes and functions, as hyper-parameters, become their names; objects of them are left out.
HYPER_PARAMETERS: Final = ("hyper_parameters", "datamodule_hyper_parameters", "hparams")
_LIBRARIES: Final = ("torch.nn.", "torch.optim.", "torch._C._nn.", "torchmetrics.", "torchvision.models.")
PARTIAL: Final = "functools.partial"
_RECONSTRUCTION: Final = frozenset(
    {"copyreg._reconstructor", "builtins.object"}
)  # how protocols 0 and 1 spell an object
LIVE: Final = "eval_modules"  # the hyper-parameter that held objects
# What is no user's own class, however it comes to stand where one may.
_NOBODYS: Final = sys.stdlib_module_names - {"__main__"} | {"torch", "numpy", "pip", "setuptools", "pkg_resources"}


def verdict(name: Global, trail: Sequence[Step] = ()) -> Verdict:
    """What becomes of a global at that place. A dotted name, a chain of attributes in truth, is never taken."""
    full = str(name)
    if full in LOADABLE or full in REPLACED or full in ALIASES:
        return "allowed"
    if not name.name.isidentifier() or not all(part.isidentifier() for part in name.module.split(".")):
        return "refused"
    root = name.module.partition(".")[0]
    if full in _ANYWHERE or root in OLD_ROOTS or full.startswith((*CALLBACKS, *ENUMS)):
        return "shimmed"
    if trail and trail[0] in HYPER_PARAMETERS and (full == PARTIAL or full.startswith(_LIBRARIES)):
        return "shimmed"
    live = bool(trail) and trail[0] in HYPER_PARAMETERS and LIVE in trail[1:3]
    if live and full in _RECONSTRUCTION:
        return "shimmed"
    if root in _NOBODYS:
        return "refused"
    if len(trail) == 2 and trail[0] == "callbacks" and trail[1] is KEY:
        return "shimmed"  # up to Lightning 1.4 callbacks were keyed by their classes, wherever those lived
    if live:
        return "shimmed"  # objects of the user's own, all left out
    return "refused"


@dataclass(slots=True)
class Use:
    """How often a name occurs, and the first places."""

    count: int = 0
    places: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Globals:
    """The names in a file by verdict, sorted, each with its use."""

    allowed: dict[str, Use]
    shimmed: dict[str, Use]
    refused: dict[str, Use]


class Tally:
    """Counts the globals of a walk. A name that is refused at one of its places is refused."""

    def __init__(self) -> None:
        self._uses: dict[Global, Use] = {}
        self._verdicts: dict[Global, Verdict] = {}

    def add(self, name: Global, trail: list[Step], *within: Step) -> None:
        use = self._uses.get(name)
        if use is None:
            use = self._uses[name] = Use()
            self._verdicts[name] = verdict(name, [*trail, *within])
        elif self._verdicts[name] == "shimmed":
            self._verdicts[name] = verdict(name, [*trail, *within])
        use.count += 1
        if len(use.places) < PLACES:
            use.places.append(place([*trail, *within]))

    def sorted(self, named: Iterable[tuple[Global, int]] = ()) -> Globals:
        """By verdict; with those `named` at some byte of a program that threw away what it made of them."""
        for name, position in named:
            if name not in self._uses:
                self._verdicts[name] = verdict(name)
                gone = f"byte {position:,} of the pickle, left out of the result"
                self._uses[name] = Use(1, [] if self._verdicts[name] == "allowed" else [gone])
        found = Globals({}, {}, {})
        for name in sorted(self._uses, key=str):
            getattr(found, self._verdicts[name])[str(name)] = self._uses[name]
        return found


def classify(root: object) -> Globals:
    """The globals under `root`, each with where it sits."""
    tally = Tally()
    for trail, node in walk(root):
        if type(node) is Global:
            tally.add(node, trail)
    return tally.sorted()
