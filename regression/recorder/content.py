"""What a batch, a structure or a random state is, in a few characters."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import random
import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

_SHORT = 200
# Lightning's: last-v1.ckpt where there is a last.ckpt, lightning_logs/version_3 where there are three
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
_NO_TEXT: Any = object.__repr__
_DEEPEST = 8  # an object can hold itself
_NUMBERED = re.compile(r"-v\d+(?=\.ckpt)|(?<=/version_)\d+")


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """What nested containers hold, each with its path: `0.stim`, `optimizer_states.0.state.3.exp_avg`."""
    if isinstance(value, Mapping):
        parts = [(relative(str(key)), part) for key, part in value.items()]
    elif isinstance(value, tuple) and hasattr(value, "_fields"):
        parts = list(zip(value._fields, value, strict=True))
    elif isinstance(value, list | tuple) and not _is_plain(value):
        parts = [(str(i), part) for i, part in enumerate(value)]
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        parts = [(f.name, getattr(value, f.name)) for f in dataclasses.fields(value)]
    elif path.count(".") < _DEEPEST and _says_nothing(value):
        parts = list(_attributes(value))
    else:
        yield path, value
        return
    if not parts:
        yield path, f"empty {type(value).__name__}"
    for name, part in parts:
        yield from leaves(part, f"{path}.{name}" if path else name)


def _says_nothing(value: Any) -> bool:
    """An object of a class of the script's, which is what its attributes are: its own text has an address in it, or leaves tensors out."""
    if isinstance(value, str | int | float | Tensor | np.ndarray | torch.nn.Module) or callable(value):
        return False
    attributes = [part for _, part in _attributes(value)]
    return bool(attributes) and (type(value).__repr__ is _NO_TEXT or any(map(_has_tensors, attributes)))


def _has_tensors(value: Any) -> bool:
    parts = value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else (value,)
    return any(isinstance(part, Tensor | np.ndarray) for part in parts)


def _attributes(value: Any) -> Iterator[tuple[str, Any]]:
    slots = [name for of in type(value).__mro__ for name in _listed(getattr(of, "__slots__", ()))]
    yield from getattr(value, "__dict__", {}).items()
    yield from ((name, getattr(value, name)) for name in slots if name != "__dict__" and hasattr(value, name))


def _listed(slots: Any) -> Any:
    return (slots,) if isinstance(slots, str) else slots


def _is_plain(value: list[Any] | tuple[Any, ...]) -> bool:
    return len(value) > 0 and all(isinstance(part, int | float | str | bool | None) for part in value)


def plain(value: Any) -> Any:
    """`value` as JSON: itself where it is short and plain, else its type and a hash of its text. The folder of the run is `.` in it."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, np.ndarray):
        return (
            plain(torch.from_numpy(np.ascontiguousarray(value)))
            if value.dtype.kind in "biuf"
            else digest(_stable(repr(value)))
        )
    if isinstance(value, Tensor):
        shape = "×".join(map(str, value.shape))
        return value.item() if value.numel() == 1 else f"{value.dtype} {shape} {digest(bytes_of(value))}"
    if isinstance(value, list | tuple) and len(value) <= 64 and _is_plain(value):
        return [plain(part) for part in value]
    if callable(value) and hasattr(value, "__qualname__"):
        return f"{value.__qualname__}"
    if isinstance(value, set | frozenset):
        value = sorted(map(repr, value))  # in the order of this process's hashes otherwise
    text = str(value) if isinstance(value, str | os.PathLike) else _stable(repr(value))
    text = relative(text)
    return text if len(text) <= _SHORT else f"{text[:40]}… {digest(text)}"


def relative(text: str) -> str:
    """With `.` for the folder that the run was started in, and without the numbers that keep files of runs in one folder apart."""
    return _NUMBERED.sub("", text.replace(os.getcwd(), "."))


def _stable(text: str) -> str:
    """Without addresses, which are others in each run."""
    return _ADDRESS.sub("", text)


def bytes_of(tensor: Tensor) -> bytes:
    flat = tensor.detach().cpu().contiguous().reshape(-1)
    return b"" if not flat.numel() else flat.view(torch.uint8).numpy().tobytes()


def digest(content: str | bytes) -> str:
    """16 hexadecimal digits."""
    return hashlib.blake2b(content.encode() if isinstance(content, str) else content, digest_size=8).hexdigest()


def random_states() -> dict[str, str]:
    """A hash of every global generator's state: what was drawn between two of them shows."""
    numpy: Any = np.random.get_state(legacy=True)
    states = {
        "python": digest(repr(random.getstate())),
        "numpy": digest(numpy[1].tobytes() + str(numpy[2:]).encode()),
        "torch": digest(torch.get_rng_state().numpy().tobytes()),
    }
    if torch.cuda.is_available() and torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        for i, state in enumerate(torch.cuda.get_rng_state_all()):
            states[f"cuda:{i}"] = digest(state.numpy().tobytes())
    return states
