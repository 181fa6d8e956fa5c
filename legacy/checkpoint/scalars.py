"""Single numbers out of a checkpoint's tensors."""

from __future__ import annotations

import struct
from typing import Final

from legacy.checkpoint.contents import elements
from legacy.checkpoint.reader import Checkpoint
from legacy.checkpoint.tensors import tensor_of

_FORMS: Final = {
    "float64": "<d",
    "float32": "<f",
    "float16": "<e",
    "int64": "<q",
    "int32": "<i",
    "int16": "<h",
    "int8": "<b",
    "uint8": "<B",
    "bool": "<?",
}


def scalar(checkpoint: Checkpoint, value: object) -> float | None:
    """The number in a tensor of one element; None for any other tensor, or an element type that Python does not read."""
    tensor = tensor_of(value)
    if tensor is None or tensor.numel != 1 or tensor.storage is None:
        return None
    form = "<f" if tensor.dtype == "bfloat16" else _FORMS.get(tensor.dtype)
    if form is None or tensor.flags or tensor.storage.key not in checkpoint.extents:
        return None
    with checkpoint.source.open() as descriptor:
        data = b"".join(elements(checkpoint, descriptor, tensor))
    return float(struct.unpack(form, b"\0\0" + data if tensor.dtype == "bfloat16" else data)[0])
