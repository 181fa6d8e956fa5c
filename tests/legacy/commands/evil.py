"""Files that would run something, or waste something, or hide something, if they were read as pickle and zip usually are."""

from __future__ import annotations

import io
import os
import pickle
import shutil
import socket
import struct
import subprocess
import zipfile
import zlib
from collections.abc import Callable
from typing import Any

import torch

from tests.legacy.commands.support import checkpoint


class Calls:
    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self.call


def text(value: str) -> bytes:
    return b"X" + len(value).to_bytes(4, "little") + value.encode("utf-8", "surrogatepass")


def name(module: str, attribute: str) -> bytes:
    return f"c{module}\n{attribute}\n".encode()


def call(function: bytes, *arguments: bytes) -> bytes:
    return function + b"(" + b"".join(arguments) + b"tR"


def zipped(parts: list[tuple[str, bytes]], method: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for path, data in parts:
            archive.writestr(path, data)
    return buffer.getvalue()


def saved(value: Any, **how: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer, **how)
    return buffer.getvalue()


def records(data: bytes) -> list[tuple[str, bytes]]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return [(path, archive.read(path)) for path in archive.namelist()]


def archived(program: bytes, method: int = zipfile.ZIP_STORED) -> bytes:
    """A checkpoint around a pickle program."""
    return zipped([(p, program if p.endswith("data.pkl") else d) for p, d in records(saved(checkpoint()))], method)


def programs(canary: str) -> dict[str, bytes]:
    """Pickles that call, and that `pickle` would call for."""
    touch, write = f"touch {canary}", f"open({canary!r}, 'w')"
    system, evaluate = name("posix", "system"), name("builtins", "eval")
    run = call(system, text(touch))
    inner = pickle.dumps(Calls(os.system, touch), 2)
    binary = b"B" + len(inner).to_bytes(4, "little") + inner
    get = name("builtins", "getattr")
    chain = call(get, call(name("builtins", "__import__"), text("os")), text("system"))
    lines = {
        "os.system": inner[:-1],
        "os.popen": call(name("os", "popen"), text(touch)),
        "nt.system": call(name("nt", "system"), text(touch)),
        "subprocess.Popen": call(name("subprocess", "Popen"), text(touch)),
        "subprocess.run": pickle.dumps(Calls(subprocess.run, ["touch", canary]), 2)[:-1],
        "builtins.eval": call(evaluate, text(write)),
        "builtins.exec": call(name("builtins", "exec"), text(write)),
        "builtins.open": call(name("io", "open"), text(canary), text("w")),
        "__builtin__.eval": call(name("__builtin__", "eval"), text(write)),
        "__builtin__.execfile": call(name("__builtin__", "execfile"), text(canary)),
        "compile": call(name("builtins", "compile"), text(write), text("x"), text("exec")),
        "breakpoint": call(name("builtins", "breakpoint")),
        "getattr chain": call(chain, text(touch)),
        "attrgetter": call(call(name("operator", "attrgetter"), text("system")), name("os", "path")),
        "methodcaller": call(call(name("operator", "methodcaller"), text("system"), text(touch)), name("os", "path")),
        "importlib": call(name("importlib", "import_module"), text("antigravity")),
        "runpy": call(name("runpy", "run_path"), text(canary)),
        "pty.spawn": call(name("pty", "spawn"), text("sh")),
        "webbrowser": call(name("webbrowser", "open"), text("http://localhost")),
        "socket": pickle.dumps(Calls(socket.create_connection, ("127.0.0.1", 9)), 2)[:-1],
        "shutil.rmtree": pickle.dumps(Calls(shutil.rmtree, canary), 2)[:-1],
        "os.remove": pickle.dumps(Calls(os.remove, canary), 2)[:-1],
        "timeit": call(name("timeit", "timeit"), text(write)),
        "cProfile.run": call(name("cProfile", "run"), text(write)),
        "code.interact": call(name("code", "interact")),
        "pdb.run": call(name("pdb", "run"), text(write)),
        "ctypes": call(name("ctypes", "CDLL"), text("libc.so.6")),
        "types.CodeType": call(name("types", "CodeType")),
        "types.FunctionType": call(name("types", "FunctionType")),
        "marshal": call(name("marshal", "loads"), b"C\x01N"),
        "functools.partial": call(name("functools", "partial"), system, text(touch)),
        "map": call(name("builtins", "map"), system, b"]" + text(touch) + b"a"),
        "logging.config": call(name("logging.config", "listen")),
        "numpy's runstring": call(name("numpy.testing._private.utils", "runstring"), text(write), b"}"),
        "numpy.load": call(name("numpy", "load"), text(canary)),
        "torch.load": call(name("torch.serialization", "load"), text(canary)),
        "torch.hub": call(name("torch.hub", "load"), text("evil/evil"), text("evil")),
        "torch's unpickler": call(name("torch._utils", "_import_dotted_name"), text("os.system")),
        "torch's exec": call(name("torch.fx.graph_module", "_exec_with_source"), text(write), b"}"),
        "torch.jit": call(name("torch.jit._serialization", "load"), text(canary)),
        "torch.storage's load": call(name("torch.storage", "_load_from_bytes"), binary),
        "pip": call(name("pip._internal.cli.main", "main"), b"]" + text("install") + b"a"),
        "distutils": call(name("distutils.file_util", "write_file"), text(canary), b"]"),
        "a nested pickle": call(name("_pickle", "loads"), binary),
        "a nested pickle of Python 2": call(name("cPickle", "loads"), binary),
        "numpy's own unpickler": call(name("numpy.core.multiarray", "_reconstruct"), name("os", "system"), b"(K\x00t", b"C\x01b"),
        "built names": b"\x8c\x05posix\x94\x8c\x06system\x94\x93" + text(touch) + b"\x85R",
        "names out of the memo": text("posix") + b"q\x000" + text("system") + b"q\x010h\x00h\x01\x93" + text(touch) + b"\x85R",
        "a dotted name": b"\x8c\x07os.path\x8c\x09os.system\x93" + text(touch) + b"\x85R",
        "a name that is no text": b"K\x01\x8c\x06system\x93",
        "a name with a null": name("os\0", "system"),
        "a name that looks like another": name("torch._utils", "_rebuild_tensor_v2\u200b"),
        "INST": b"(" + text(touch) + b"iposix\nsystem\n",
        "OBJ": b"(" + system + text(touch) + b"o",
        "NEWOBJ": name("subprocess", "Popen") + text(touch) + b"\x85\x81",
        "NEWOBJ_EX": name("subprocess", "Popen") + text(touch) + b"\x85}\x92",
        "EXT1": b"\x82\x01",
        "EXT2": b"\x83\x01\x00",
        "EXT4": b"\x84\x01\x00\x00\x00",
        "PERSID": b"Pposix.system\n",
        "NEXT_BUFFER": b"\x97",
        "BUILD with __setstate__": name("tests", "Evil") + b")\x81" + text(touch) + b"b",
        "BUILD of attributes": b"ctypes\nSimpleNamespace\n)\x81}" + text("x") + run + b"sb",
        "BUILD of a builtin": name("builtins", "print") + b"}" + text("x") + b"K\x01sb",
        "a tensor's subclass": call(name("torch._tensor", "_rebuild_from_type_v2"), system, name("torch", "Tensor"), b"(" + text(touch) + b"t", b"}"),
        "a tensor's hooks": call(name("torch._utils", "_rebuild_tensor_v2"), run, b"K\x00", b")", b")", b"\x89", b"}"),
        "a storage's class": b"(" + text("storage") + system + text("0") + text("cpu") + b"K\x01tQ",
        "a default factory": name("collections", "defaultdict") + b"(" + system + b"tR",
        "a key": b"}" + run + b"Ns",
        "a member of a set": b"\x8f(" + run + b"\x90",
        "thrown away": run + b"0N",
        "in the memo only": run + b"q\x000N",
        "after a mark": b"(" + run + b"1N",
        "an object array": pickle.dumps(__import__("numpy").array([Calls(os.system, touch)], dtype=object), 2)[:-1],
    }  # fmt: skip
    return {title: b"\x80\x04" + body + b"." if body[:1] != b"\x80" else body + b"." for title, body in lines.items()}


def bombs() -> dict[str, bytes]:
    """Pickles that would take all the memory, all the time, or the stack."""
    billion = b"]" + b"".join(b"(" + b"h%c" % i * 10 + b"lq%c" % (i + 1) for i in range(9))
    tuples = b"K\x01\x85q\x00" + b"".join(b"0h%c\x30h%c" % (i, i) + b"h%c\x86q%c" % (i, i + 1) for i in range(60))
    return {
        "a billion laughs": b"\x80\x02]q\x00" + billion[1:] + b".",
        "tuples of tuples as a key": b"}" + tuples + b"Ns.",
        "nested deep": b"(" * 100_000 + b"l" * 100_000 + b".",
        "lists in lists": b"\x80\x02" + b"]q\x00" * 1 + b"(" * 0 + b"".join(b"]" for _ in range(9000)) + b"a" * 9000 + b".",
        "an absurd length": b"\x8d" + (1 << 60).to_bytes(8, "little") + b"x.",
        "a negative length": b"T\xff\xff\xff\xffx.",
        "an absurd number": b"\x8b" + (1 << 30).to_bytes(4, "little") + b"x.",
        "an absurd decimal": b"I" + b"9" * 100_000 + b"\n.",
        "an absurd frame": b"\x80\x04\x95" + (1 << 50).to_bytes(8, "little") + b"N.",
        "a far place in the memo": b"Nr\xff\xff\xff\xff0j\xff\xff\xff\x00.",
        "keys that collide": b"}(" + b"".join(b"\x8a\x0a" + (i * ((1 << 61) - 1) + (1 << 72)).to_bytes(10, "little") + b"N" for i in range(30_000)) + b"u.",
        "large numbers that collide, as members": b"\x80\x04\x8f(" + b"".join(b"\x8a\x0a" + (i * ((1 << 61) - 1)).to_bytes(10, "little") for i in range(1, 20_001)) + b"\x90.",
        "a text that can be read in many ways": b"S'" + rb"\000" * 40 + b"x\n.",
        "a text encoded over and over": name("_codecs", "encode") + b"q\x00" + text("a" * 500_000) + b"q\x01" + text("latin1") + b"q\x02000" + b"h\x00h\x01h\x02\x86R0" * 100_000 + b"N.",
        "a set made over and over": name("builtins", "set") + b"q\x00]q\x01(" + b"".join(b"J" + i.to_bytes(4, "little") for i in range(100_000)) + b"e00](" + b"h\x00h\x01\x85R" * 5_000 + b"e.",
        "an endless name": b"](" + name("models", "a" * 1_000_000) + b"q\x05" + b"h\x05" * 300_000 + b"e.",
        "names without number": b"](" + b"".join(name(f"models.m{i}", "x") for i in range(200_000)) + b"e.",
        "operations without number": b"\x80\x02" + b"N0" * 2_500_000 + b"N.",
        "lists without number": b"\x80\x02](" + b"]" * 3_900_000 + b"e.",
        "sets without number": b"\x80\x04](" + b"\x8f" * 3_900_000 + b"e.",
        "tuples without number": b"\x80\x02](" + b"N\x85" * 1_900_000 + b"e.",
        "marks without number": b"\x80\x02" + b"(" * 3_900_000,
        "no end": b"\x80\x02]q\x00(",
        "no beginning": b"0.",
        "nothing": b".",
        "something behind": b"N." + b"cos\nsystem\n.",
        "no such opcode": b"\xff.",
        "protocol 99": b"\x80\x63N.",
    }  # fmt: skip


def amplified() -> dict[str, bytes]:
    """Sound pickles that name one large thing at many places: looked through once, they take no time."""
    size = name("torch", "Size") + b"(" + b"K\x01" * 100_000 + b"t\x85Rq\x05"
    weights = b"}q\x05(" + b"".join(b"J" + i.to_bytes(4, "little") + b"N" for i in range(100_000)) + b"u0"
    keys = b"".join(b"J" + i.to_bytes(4, "little") + b"h\x05" for i in range(100_000))
    return {
        "a shape": b"\x80\x02](" + size + b"h\x05" * 100_000 + b"e.",
        "weights": b"\x80\x02" + weights + b"}(" + keys + b"u.",
        "a list of optimisers": b"\x80\x02](" + b"}" * 100_000 + b"eq\x050}(" + keys + b"u.",
    }


def tensors() -> dict[str, bytes]:
    """Sound pickles whose tensors reach outside of their storages, or whose storages are not there."""
    made = {}
    for title, size, shape, key in (
        ("a tensor beyond its storage", 6, 9999, "0"),
        ("a negative shape", 6, -3, "0"),
        ("a storage that is not there", 6, 6, "77"),
        ("a storage that is not so long", 1 << 50, 6, "0"),
        ("a storage from above", 6, 6, "../data.pkl"),
    ):
        storage = (
            b"(" + text("storage") + name("torch", "FloatStorage") + text(key) + text("cpu") + integer(size) + b"tQ"
        )
        body = call(name("torch._utils", "_rebuild_tensor_v2"), storage, b"K\x00", integer(shape) + b"\x85", b"K\x01\x85", b"\x89", b"}")  # fmt: skip
        made[title] = archived(b"\x80\x02" + body + b".")
    storage = b"(" + text("storage") + name("torch", "FloatStorage") + text("0") + text("cpu") + b"K\x06tQ"
    parts = storage, b"K\x00", b"K\x06\x85", b"K\x01\x85", b"\x89", b"}"
    tensor = call(name("torch._utils", "_rebuild_tensor_v2"), *parts)
    layout = call(name("torch.serialization", "_get_layout"), text("torch.sparse_csr"))
    for title, code in (
        ("a tensor that is called", call(tensor, b"K\x00")),
        ("a tensor that is filled like a dict", tensor + text("a") + b"K\x00s"),
        ("a tensor whose flags are a number", call(name("torch._utils", "_rebuild_tensor_v2"), *parts, b"K\x07")),
        (
            "a sparse tensor of other parts",
            call(name("torch._utils", "_rebuild_sparse_tensor"), layout, tensor * 2 + b"\x86"),
        ),
        ("a type that is called", call(name("torch", "FloatStorage"), b"K\x00")),
    ):
        made[title] = archived(b"\x80\x02" + code + b".")
    return made


def integer(value: int) -> bytes:
    return b"\x8a\x08" + value.to_bytes(8, "little", signed=True)


def archives(canary: str) -> dict[str, bytes]:
    """Zip tricks around a sound checkpoint, and around an evil pickle."""
    good = saved(checkpoint())
    parts = records(good)
    program = pickle.dumps(Calls(os.system, f"touch {canary}"), 2)
    directory = good.rindex(b"PK\5\6")

    def again(**more: bytes) -> bytes:
        return zipped([*parts, *more.items()])

    twice = zipped([(p.replace("data.pkl", "data.pkm"), d) for p, d in parts] + [("archive/data.pkl", program)])
    twice = twice.replace(b"data.pkm", b"data.pkl")
    bomb = zipped([("archive/data.pkl", b"N" * 50_000_000), ("archive/version", b"3\n")], zipfile.ZIP_DEFLATED)
    wrong_crc = bytearray(good)
    at = good.index(b"PK\1\2")
    wrong_crc[at + 16] ^= 1
    inside = bytearray(good)
    inside[good.index(b"data.pkl") + 4] ^= 0x20
    flagged = bytearray(good)
    flagged[at + 8] |= 1
    overlapping = bytearray(good)
    second = good.index(b"PK\1\2", at + 4)
    overlapping[second + 42 : second + 46] = overlapping[at + 42 : at + 46]
    return {
        "an evil pickle": archived(program),
        "an evil pickle, deflated": archived(program, zipfile.ZIP_DEFLATED),
        "a second data.pkl": twice,
        "a data.pkl in another folder": again(**{"other/data.pkl": program}),
        "a path out of it": again(**{"archive/../../evil": b"x"}),
        "an absolute path": again(**{"/etc/evil": b"x"}),
        "a path with a backslash": again(**{"archive\\evil": b"x"}),
        "an inflating pickle": bomb,
        "a wrong CRC": bytes(wrong_crc),
        "another name inside": bytes(inside),
        "encrypted": bytes(flagged),
        "overlapping": bytes(overlapping),
        "something before": b"MZ" + good,
        "a pickle before": program + good,
        "something behind": good + b"evil",
        "a comment": good[:-2] + b"\4\0evil",
        "another archive behind": good + zipped([("archive/data.pkl", program)]),
        "two directories": good[:directory] + good[good.index(b"PK\1\2") :],
        "too many entries": good[: directory + 8] + struct.pack("<2H", 60_000, 60_000) + good[directory + 12 :],
        "the old magic number before": pickle.dumps(0x1950A86A20F9469CFC6C, 2) + good,
        "TorchScript": again(**{"archive/constants.pkl": b"N."}),
        "no data.pkl": zipped([(p, d) for p, d in parts if not p.endswith("data.pkl")]),
        "a byte order of its own": zipped([(p, b"middle" if p.endswith("byteorder") else d) for p, d in parts]),
        "a tar": _tar(program),
        "raw deflate": zlib.compress(good),
    }


def _tar(program: bytes) -> bytes:
    import tarfile

    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        info = tarfile.TarInfo("pickle")
        info.size = len(program)
        tar.addfile(info, io.BytesIO(program))
    return buffer.getvalue()


def safetensors() -> dict[str, bytes]:
    def made(header: str, data: bytes = b"1234") -> bytes:
        return len(header).to_bytes(8, "little") + header.encode() + data

    entry = '"dtype":"F32","shape":[1],"data_offsets":[%d,%d]'
    return {
        "a huge header": (1 << 62).to_bytes(8, "little") + b"{}",
        "tensors that overlap": made("{" + f'"a":{{{entry % (0, 4)}}},"b":{{{entry % (0, 4)}}}' + "}"),
        "a tensor beyond the end": made("{" + f'"a":{{{entry % (0, 400)}}}' + "}"),
        "a name twice": made("{" + f'"a":{{{entry % (0, 4)}}},"a":{{{entry % (0, 4)}}}' + "}"),
        "nested JSON": made('{"a":' + "[" * 100_000 + "]" * 100_000 + "}"),
        "a shape that overflows": made('{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,4]}}'),
    }


def old_format(canary: str) -> dict[str, bytes]:
    program = pickle.dumps(Calls(os.system, f"touch {canary}"), 2)
    good = saved(checkpoint(), _use_new_zipfile_serialization=False)
    single = saved({"w": torch.zeros(4)}, _use_new_zipfile_serialization=False)
    head = b"".join(pickle.dumps(part, 2) for part in (0x1950A86A20F9469CFC6C, 1001))
    return {
        "an evil object": head + pickle.dumps({}, 2) + program + pickle.dumps([], 2),
        "an evil machine": head + program + pickle.dumps(None, 2) + pickle.dumps([], 2),
        "an evil list of storages": head + pickle.dumps({}, 2) + pickle.dumps(None, 2) + program,
        "an evil magic number": program + good,
        "cut off": good[:-5],
        "too long": good + b"evil",
        "a count of its own": single[:-24] + b"\xff" * 8 + single[-16:],
    }


def corpus(canary: str) -> dict[str, bytes]:
    """Every file by its title."""
    found = {f"pickle: {title}": data for title, data in (programs(canary) | bombs()).items()}
    found |= {f"zip of pickle: {title}": archived(data) for title, data in programs(canary).items() if len(data) < 5000}
    for sort, files in (
        ("zip", archives(canary)),
        ("tensor", tensors()),
        ("safetensors", safetensors()),
        ("old", old_format(canary)),
    ):
        found |= {f"{sort}: {title}": data for title, data in files.items()}
    return found
