"""`write_safetensors`: the weights as `.safetensors`, everything else that has a JSON form in a `.json` beside it."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Final

from legacy.checkpoint.beside import beside, check_beside, configuration
from legacy.checkpoint.contents import elements
from legacy.checkpoint.errors import Refused
from legacy.checkpoint.files import Identity, destination
from legacy.checkpoint.parts import main_state_dict
from legacy.checkpoint.reader import Checkpoint
from legacy.checkpoint.records import Call, itemsize
from legacy.checkpoint.safetensors_reader import DTYPES, MAX_HEADER
from legacy.checkpoint.tensors import Tensor, is_tensor, tensor_of, tensors
from legacy.checkpoint.writer import Written

_CODES: Final = {dtype: code for code, dtype in DTYPES.items()}
_ALIGNMENT: Final = 64


def write_safetensors(
    checkpoint: Checkpoint,
    root: object,
    path: str | os.PathLike[str],
    provenance: Mapping[str, Any],
    *,
    spared: Collection[Identity] = (),
    synced: bool = True,
) -> Written:
    """Writes the state dict of `root` (or `root`, being one) to `path`, and the rest to `path` with the suffix `.json`.

    Tied weights are written once: `tied` in the JSON and in the file's metadata has the name each goes by. Other views of
    one storage are written as tensors of their own, since the format has no views; `views` in the JSON has where they lay. Optimiser state
    and other tensors outside of the state dict are described, not written. Raises `Refused` for tensors that the format cannot hold,
    `CheckpointError` where either file cannot be written or is `spared`, or the JSON that is there was not written here.
    """
    path = Path(path)
    check_beside(path)
    weights, extra, rest = checked_parts(root)
    kept, tied = _tied(weights)
    order = sorted(kept, key=lambda name: -itemsize(kept[name].dtype))  # the widest first: each is aligned
    header = _header(
        kept, order, {"format": "pt", "tied": json.dumps(tied), "provenance": json.dumps(dict(provenance))}
    )
    text = configuration(
        {**rest, **({"state_dict": extra} if extra else {})},
        checkpoint.beside,
        provenance=dict(provenance),
        weights=path.name,
        tied=tied,
        views=_views(kept),
    )
    source = checkpoint.source
    with source.open() as descriptor, destination(path, source, spared, synced) as made:
        made.write(header)
        for name in order:
            for piece in elements(checkpoint, descriptor, kept[name]):
                made.write(piece)
        nbytes = made.position
        with destination(beside(path), source, spared, synced) as other:
            other.write(text)
    return Written(path, nbytes, len(kept), {})


def checked_parts(root: object) -> tuple[dict[str, Tensor], dict[Any, Any], dict[Any, Any]]:
    """The weights, what else is in the state dict, and the rest. Raises `Refused` for what the format cannot hold."""
    state, rest = _parts(root)
    return *_weights(state), rest


def left_out(extra: dict[Any, Any], rest: dict[Any, Any]) -> str | None:
    """What the JSON only describes of what `checked_parts` has beside the weights, as a sentence; None where there is no tensor in it."""
    counts = {str(key): sum(1 for _ in tensors(value)) for key, value in {**extra, **rest}.items()}
    told = ", ".join(f"{key} ({count:,})" for key, count in counts.items() if count)
    return (
        f"tensors outside of the state dict are described in the JSON, without their values: {told}" if told else None
    )


def _parts(root: object) -> tuple[dict[Any, Any], dict[Any, Any]]:
    if not isinstance(root, dict):
        what = "a tensor" if is_tensor(root) else "a record" if isinstance(root, Call) else f"a {type(root).__name__}"
        raise Refused(f"it is {what}, without a state dict to write as safetensors")
    state = main_state_dict(root)
    if state is root:
        return root, {}
    own = next((key for key, value in root.items() if value is state), None)
    return state, {key: value for key, value in root.items() if key != own}


def _weights(state: dict[Any, Any]) -> tuple[dict[str, Tensor], dict[Any, Any]]:
    weights: dict[str, Tensor] = {}
    extra: dict[Any, Any] = {}
    for name, value in state.items():
        tensor = tensor_of(value)
        if tensor is None:
            if type(value) is Call and any(tensors(value)):
                raise Refused(
                    f"{name!r} is a tensor made of others, sparse or nested, which safetensors has no form for: write a .ckpt"
                )
            extra[name] = value
            continue
        if type(name) is not str or name == "__metadata__":
            raise Refused(
                f"a tensor called {name!r:.100} cannot be written as safetensors: the format names tensors by text"
            )
        if tensor.dtype not in _CODES or tensor.storage is None or tensor.flags or tensor.quantizer:
            kind = (
                "a quantised"
                if tensor.quantizer
                else "a meta"
                if tensor.storage is None
                else "a lazily conjugated"
                if tensor.flags
                else "a"
            )
            raise Refused(
                f"{name!r} is {kind} tensor of torch.{tensor.dtype}, which safetensors has no form for: write a .ckpt"
            )
        weights[name] = tensor
    if not weights:
        raise Refused("there is no tensor in its state dict to write as safetensors")
    return weights, extra


def _tied(weights: dict[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, str]]:
    first: dict[object, str] = {}
    tied: dict[str, str] = {}
    for name, tensor in weights.items():
        storage = tensor.storage.key if tensor.storage else ""
        same = storage, tensor.offset, tensor.shape, tensor.stride, tensor.dtype
        if first.setdefault(same, name) != name:
            tied[name] = first[same]
    return {name: tensor for name, tensor in weights.items() if name not in tied}, tied


def _views(kept: dict[str, Tensor]) -> dict[str, dict[str, object]]:
    users: dict[str, list[str]] = {}
    for name, tensor in kept.items():
        if tensor.storage is not None:
            users.setdefault(tensor.storage.key, []).append(name)
    return {
        name: {"storage": key, "offset": kept[name].offset, "stride": list(kept[name].stride)}
        for key, names in users.items()
        if len(names) > 1
        for name in names
    }


def _header(kept: dict[str, Tensor], order: list[str], metadata: dict[str, str]) -> bytes:
    entries: dict[str, object] = {"__metadata__": metadata}
    at = 0
    for name in order:
        tensor = kept[name]
        entries[name] = {
            "dtype": _CODES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [at, at + tensor.nbytes],
        }
        at += tensor.nbytes
    text = json.dumps(entries, separators=(",", ":")).encode()
    text += b" " * (-(8 + len(text)) % _ALIGNMENT)
    if len(text) > MAX_HEADER:
        raise Refused(f"the header would be {len(text):,} bytes long, over the format's limit of {MAX_HEADER:,}")
    return len(text).to_bytes(8, "little") + text
