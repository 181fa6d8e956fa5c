"""What the fuzzers of old checkpoints share: sound files to begin with, and what must hold for whatever becomes of them."""

from __future__ import annotations

import collections
import io
import os
import pickle
import tempfile
import time
import zipfile
from pathlib import Path
from typing import Any, Final

import torch

from legacy.checkpoint import CheckpointError, read
from legacy.checkpoint.pickles.emit import Emitter
from legacy.commands.inspect import describe
from legacy.translate import Options, translate
from legacy.verify import verify

SECONDS: Final = 5.0
_BASE: Final = torch.arange(12.0).reshape(3, 4)
_OPTIMIZER: Final = {
    "state": {0: {"step": torch.tensor(2.0), "exp_avg": _BASE * 0}},
    "param_groups": [{"lr": 0.1, "params": [0]}],
}
VALUE: Final[dict[str, Any]] = {
    "epoch": 1,
    "global_step": 2,
    "pytorch-lightning_version": "1.5.10",
    "state_dict": collections.OrderedDict({"model._orig_mod.w": _BASE, "model._orig_mod.t": _BASE.t()}),
    "optimizer_states": [_OPTIMIZER],
    "hyper_parameters": {"lr": 1e-3, "sizes": (1, 2), "names": {"a"}, "raw": b"\0", "dtype": torch.float16},
}


def saved(**how: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(VALUE, buffer, **how)
    return buffer.getvalue()


def repacked(program: bytes) -> bytes:
    """The archive with another pickle in it, and CRCs that are right."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(ZIP)) as archive, zipfile.ZipFile(buffer, "w") as made:
        for name in archive.namelist():
            made.writestr(name, program if name.endswith("data.pkl") else archive.read(name))
    return buffer.getvalue()


ZIP: Final = saved()
with zipfile.ZipFile(io.BytesIO(ZIP)) as _archive:
    PROGRAM: Final = next(_archive.read(name) for name in _archive.namelist() if name.endswith("data.pkl"))
_HEADER: Final = b'{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
FILES: Final = (
    ZIP,
    saved(_use_new_zipfile_serialization=False),
    len(_HEADER).to_bytes(8, "little") + _HEADER + b"1234",
    *(pickle.dumps([VALUE["hyper_parameters"] | {"dtype": None}, {1: [2.5, None]}], p) for p in range(6)),
)


def survive(data: bytes) -> bool:
    """A clear refusal and nothing written, or a whole file that plain torch loads, is the same again, and says so; whether it was the
    latter. Anything else that is raised is a finding, and so is taking longer than `SECONDS`."""
    began = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        old, new = Path(folder) / "old.ckpt", Path(folder) / "new.ckpt"
        old.write_bytes(data)
        try:
            describe(read(old))
            translate(old, new, Options(check=True))
        except CheckpointError as error:
            assert os.listdir(folder) == ["old.ckpt"], os.listdir(folder)
            assert 10 < len(str(error)) < 20_000
            assert time.process_time() - began < SECONDS
            return False
        assert sorted(os.listdir(folder)) == ["new.ckpt", "old.ckpt"]
        torch.load(new, weights_only=True)
        made = read(new)
        again = translate(new, Path(folder) / "again.ckpt", Options())
        assert again.rules == [] and Emitter().emit(read(again.destination).root) == Emitter().emit(made.root)
        assert verify(old, new).same
    assert time.process_time() - began < SECONDS
    return True
