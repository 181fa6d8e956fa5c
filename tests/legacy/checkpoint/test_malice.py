"""Nothing in a checkpoint is run: each of these would, under `pickle`, and the watch is shown to see it there."""

from __future__ import annotations

import contextlib
import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from legacy.checkpoint import Refused, read, write_ckpt
from tests.legacy.checkpoint.support import torch_bytes
from tests.legacy.checkpoint.test_zip import packed, records

WATCHED = ("import", "exec", "compile", "os.", "subprocess.", "socket.", "pickle.", "ctypes.", "marshal.", "code.")
ALLOWED = ("os.scandir", "os.listdir")
seen: list[str] | None = None


def watch(event: str, arguments: tuple[object, ...]) -> None:
    if seen is None or event in ALLOWED:
        return
    writing = (
        event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
    )
    if event.startswith(WATCHED) or writing:
        seen.append(f"{event} {arguments[:1]}")


sys.addaudithook(watch)


@contextlib.contextmanager
def watched() -> Iterator[list[str]]:
    global seen
    seen = []
    modules = set(sys.modules)
    try:
        yield seen
    finally:
        found, seen = seen, None
        found.extend(f"imported {name}" for name in set(sys.modules) - modules)


class Reduced:
    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self.call


def text(value: str) -> bytes:
    return b"X" + len(value).to_bytes(4, "little") + value.encode()


def corpus(canary: str) -> dict[str, bytes]:
    touch = f"touch {canary}"
    write = f"open({canary!r}, 'w')"
    system = b"cposix\nsystem\n"
    return {
        "os.system": pickle.dumps(Reduced(os.system, touch), 2),
        "os.system, protocol 0": pickle.dumps(Reduced(os.system, touch), 0),
        "os.system, protocol 5": pickle.dumps(Reduced(os.system, touch), 5),
        "eval": pickle.dumps(Reduced(eval, write), 2),
        "exec": pickle.dumps(Reduced(exec, write), 4),
        "open": pickle.dumps(Reduced(open, canary, "w"), 2),
        "subprocess": pickle.dumps(Reduced(subprocess.call, touch, -1, None, None, None, None, None, True, True), 2),
        "eval by its old name": b"c__builtin__\neval\n(" + text(write) + b"tR.",
        "INST": b"(" + text(touch) + b"iposix\nsystem\n.",
        "OBJ": b"(" + system + text(touch) + b"o.",
        "NEWOBJ_EX": b"\x80\x04cbuiltins\nobject\n)}\x92" + system + text(touch) + b"\x85R\x86.",
        "built names": b"\x80\x04\x8c\x05posix\x94\x8c\x06system\x94\x93" + text(touch) + b"\x85R.",
        "dotted name": b"\x80\x04\x8c\x02os\x8c\x06system\x93" + text(touch) + b"\x85R.",
        "thrown away": system + text(touch) + b"\x85R0N.",
        "in the memo": system + text(touch) + b"\x85Rq\x000N.",
        "a key": b"}" + system + text(touch) + b"\x85RNs.",
        "a member": b"(" + system + text(touch) + b"\x85RK\x01l.",
        "state": b"ctypes\nSimpleNamespace\n)\x81}(" + text("x") + system + text(touch) + b"\x85Rub.",
        "nested": pickle.dumps(Reduced(pickle.loads, pickle.dumps(Reduced(os.system, touch))), 2),
        "a default factory": b"ccollections\ndefaultdict\n(c__builtin__\nlist\ntR("
        + text("a")
        + system
        + text(touch)
        + b"\x85Ru.",
    }


NAMES = list(corpus(""))
DANGEROUS = {
    "posix.system",
    "os.system",
    "builtins.eval",
    "builtins.exec",
    "io.open",
    "subprocess.call",
    "pickle.loads",  # protocol 2 names it by its Python 2 home, cPickle
}


@pytest.mark.parametrize("name", NAMES)
def test_the_positive_control_runs_under_pickle(tmp_path: Path, name: str) -> None:
    with watched() as events:
        pickle.loads(corpus(str(tmp_path / "canary"))[name])
    assert events
    assert (tmp_path / "canary").exists()


@pytest.mark.parametrize("shape", ["bare", "zip", "old"])
@pytest.mark.parametrize("name", NAMES)
def test_nothing_runs_and_it_is_named(tmp_path: Path, name: str, shape: str) -> None:
    code = corpus(str(tmp_path / "canary"))[name]
    if shape == "zip":
        code = packed([*records(torch_bytes({})).items(), ("archive/data.pkl", code)][1:])
    elif shape == "old":
        parts = [pickle.dumps(part, 2) for part in (0x1950A86A20F9469CFC6C, 1001, {})]
        code = b"".join([*parts, code, pickle.dumps([])])
    (tmp_path / "a").write_bytes(code)
    with watched() as events:
        checkpoint = read(tmp_path / "a")
    assert events == []
    assert DANGEROUS & set(checkpoint.globals.refused)
    with watched() as events, contextlib.suppress(Refused):
        write_ckpt(checkpoint, checkpoint.root, tmp_path / "b", {})
    assert (tmp_path / "b").exists() == (name in ("thrown away", "in the memo"))
    assert all(event.startswith(("open", "os.rename", "os.utime")) and str(tmp_path) in event for event in events)
    if (tmp_path / "b").exists():
        assert torch.load(tmp_path / "b", weights_only=True) is None
    assert not (tmp_path / "canary").exists()
