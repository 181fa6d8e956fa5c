"""Bytes changed at random: a clear refusal or a file that can be written again, and never anything else."""

from __future__ import annotations

import collections
import os
import pickle
import tempfile
from pathlib import Path

import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from legacy.checkpoint import CheckpointError, read, write_ckpt
from legacy.checkpoint.contents import digest
from legacy.checkpoint.pickles.emit import Emitter
from legacy.checkpoint.tensors import tensors
from tests.legacy.checkpoint.support import torch_bytes
from tests.legacy.checkpoint.test_zip import packed, records

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "300"))
BASE = torch.arange(12.0).reshape(3, 4)
VALUE = {
    "state_dict": collections.OrderedDict(w=BASE, t=BASE.t(), p=torch.nn.Parameter(BASE[0].clone())),
    "hyper_parameters": {"lr": 1e-3, "sizes": (1, 2), "names": {"a"}, "raw": b"\0", "dtype": torch.float16},
}
ZIP, OLD = torch_bytes(VALUE), torch_bytes(VALUE, _use_new_zipfile_serialization=False)
PLAIN = [pickle.dumps([VALUE["hyper_parameters"], {1: [2.5, None]}], protocol) for protocol in range(6)]
PICKLE = records(ZIP)["archive/data.pkl"]
HEADER = b'{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
SAFETENSORS = len(HEADER).to_bytes(8, "little") + HEADER + b"1234"


@st.composite
def mutated(draw: st.DrawFn, base: bytes) -> bytes:
    data = bytearray(base)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(0, len(data) - 1)))
        match draw(st.integers(0, 4)):
            case 0 if data:
                data[at] ^= 1 << draw(st.integers(0, 7))
            case 1 if data:
                data[at] = draw(st.integers(0, 255))
            case 2:
                del data[at:]
            case 3:
                del data[at : at + draw(st.integers(1, 20))]
            case _:
                data[at:at] = draw(st.binary(max_size=12) | st.just(bytes(data[at : at + 30])))
    return bytes(data)


def survive(data: bytes) -> None:
    """Reads, describes, hashes and writes; only our own errors may come."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a"
        path.write_bytes(data)
        try:
            checkpoint = read(path)
            with checkpoint.source.open() as descriptor:
                for _, tensor in tensors(checkpoint.root):
                    if tensor.storage is not None and tensor.storage.key in checkpoint.extents:
                        digest(checkpoint, descriptor, tensor)
            write_ckpt(checkpoint, checkpoint.root, Path(folder) / "b", {}, check=True)
        except CheckpointError as error:
            assert len(str(error)) < 5000
            assert not (Path(folder) / "b").exists()
            return
        again = read(Path(folder) / "b")
        assert Emitter().emit(again.root) == Emitter().emit(checkpoint.root)


fuzzed = settings(max_examples=EXAMPLES, deadline=5000, suppress_health_check=list(HealthCheck))


@given(mutated(ZIP) | mutated(OLD) | mutated(SAFETENSORS))
@fuzzed
def test_files(data: bytes) -> None:
    survive(data)


@given(mutated(PICKLE))
@fuzzed
def test_pickles_in_a_sound_archive(code: bytes) -> None:
    survive(packed([(name, code if name.endswith("data.pkl") else data) for name, data in records(ZIP).items()]))


@given(st.sampled_from(PLAIN).flatmap(mutated) | st.binary(max_size=60))
@fuzzed
def test_bare_pickles(code: bytes) -> None:
    survive(code)
