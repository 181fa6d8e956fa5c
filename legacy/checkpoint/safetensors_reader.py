"""safetensors: a JSON header, then bytes. https://github.com/huggingface/safetensors (Format)."""

from __future__ import annotations

import json
from typing import Any, Final

from legacy.checkpoint.errors import Damaged, Refused
from legacy.checkpoint.files import read_at
from legacy.checkpoint.records import Call, Storage, itemsize
from legacy.checkpoint.storages import Extent
from legacy.checkpoint.tensors import Tensor, strided_call

MAX_HEADER: Final = (
    1 << 24
)  # a sixth of the format's own limit, and some 150,000 tensors: what JSON makes of it is far larger
DTYPES: Final = {
    "BOOL": "bool",
    "U8": "uint8",
    "I8": "int8",
    "U16": "uint16",
    "I16": "int16",
    "U32": "uint32",
    "I32": "int32",
    "U64": "uint64",
    "I64": "int64",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2": "float8_e5m2",
    "F8_E8M0": "float8_e8m0fnu",
    "F16": "float16",
    "BF16": "bfloat16",
    "F32": "float32",
    "F64": "float64",
    "C64": "complex64",
}


def parse(descriptor: int, size: int) -> tuple[dict[str, Call], dict[str, Storage], dict[str, Extent], dict[str, str]]:
    """The tensors by name, their storages and places, and the metadata. Raises `Damaged` or `Refused`."""
    length = int.from_bytes(read_at(descriptor, 0, 8), "little")
    if length > size - 8:
        raise Damaged(f"the header claims {length:,} bytes of a file of {size:,}")
    if length > MAX_HEADER:
        raise Refused(f"the header is {length:,} bytes long, over the limit of {MAX_HEADER:,}")
    header = _header(read_at(descriptor, 8, length))
    metadata = header.pop("__metadata__", {})
    if type(metadata) is not dict or not all(type(value) is str for value in metadata.values()):
        raise Damaged("the metadata are not text by name")
    spans: list[tuple[int, int]] = []
    root: dict[str, Call] = {}
    storages: dict[str, Storage] = {}
    extents: dict[str, Extent] = {}
    for name, entry in header.items():
        storage, root[name], begin, end = _tensor(name, entry)
        storages[name] = storage
        spans.append((begin, end))
        extents[name] = Extent(8 + length + begin, end - begin, end - begin)
    reached = 0
    for begin, end in sorted(spans):
        if begin != reached:
            raise Refused(f"two tensors share bytes, or none has them, at byte {min(begin, reached):,} of the data")
        reached = end
    if 8 + length + reached != size:
        raise Damaged(f"the tensors end at byte {8 + length + reached:,}, the file at {size:,}")
    return _with_ties(root, metadata), storages, extents, metadata


def _with_ties(root: dict[str, Call], metadata: dict[str, str]) -> dict[str, Call]:
    """Tied weights, which are written once, under all of their names. What is there under a name is that, whatever else is said."""
    try:
        tied = json.loads(metadata.get("tied", "{}"))
    except (ValueError, RecursionError):
        tied = {}
    pairs = tied.items() if isinstance(tied, dict) else ()
    return root | {name: root[at] for name, at in pairs if name not in root and isinstance(at, str) and at in root}


def _header(text: bytes) -> dict[str, Any]:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        if len(made) != len(pairs):
            raise Refused("the header has a name twice")
        return made

    try:
        header = json.loads(text.decode("utf-8"), object_pairs_hook=once)
    except (ValueError, RecursionError):
        raise Damaged("the header is no JSON") from None
    if type(header) is not dict:
        raise Damaged("the header is no JSON object")
    return header


def _tensor(name: str, entry: Any) -> tuple[Storage, Call, int, int]:
    match entry:
        case {"dtype": str() as code, "shape": [*shape], "data_offsets": [int() as begin, int() as end]} if (
            len(entry) == 3
        ):
            pass
        case _:
            raise Damaged(f"the header's entry for {name[:100]!r} is not what the format asks for")
    if code not in DTYPES:
        raise Refused(f"tensor {name[:100]!r} has elements of type {code[:20]!r}, which this version does not know")
    if len(shape) > 64 or not all(type(size) is int and 0 <= size < 1 << 63 for size in shape) or not 0 <= begin <= end:
        raise Damaged(f"the header's shape or place of {name[:100]!r} is none")
    dtype = DTYPES[code]
    stride, step = [], 1
    for size in reversed(shape):
        stride.append(step)
        step *= max(size, 1)
    typed = not (dtype.startswith(("float8", "uint")) and dtype != "uint8")  # those have no storage class of their own
    storage = Storage(name, dtype if typed else "untyped", (end - begin) // (itemsize(dtype) if typed else 1), "cpu")
    tensor = Tensor(dtype, tuple(shape), tuple(reversed(stride)), storage)
    if tensor.nbytes != end - begin:
        raise Damaged(f"tensor {name[:100]!r} takes {tensor.nbytes:,} bytes and has {end - begin:,}")
    return storage, strided_call(tensor), begin, end
