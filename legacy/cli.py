"""`python -m legacy inspect|translate|verify`: checkpoints of the old classes looked at, made new, and compared."""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import sys
from importlib import import_module
from pathlib import Path
from typing import Final

from legacy.limits import limited_memory
from legacy.terminal import failure, visible

_STATUS: Final = (
    "exit status: 0 done · 1 verification failed · 2 unreadable or damaged input · 3 refused (globals nobody allowed)"
)
COMMANDS: Final = {
    "inspect": ("what is in a checkpoint, without running any of it", "python -m legacy inspect old.ckpt --json"),
    "translate": (
        "write a checkpoint, or a folder of them, anew: for today's torch and Lightning",
        "python -m legacy translate runs/ translated/ --jobs 4",
    ),
    "verify": (
        "compare two checkpoints, tensor by tensor, under the rules that translation follows",
        "python -m legacy verify old.ckpt new.ckpt",
    ),
}


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(
        prog="python -m legacy", description=__doc__, epilog=f"example: {COMMANDS['translate'][1]}; {_STATUS}"
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    made = {}
    for name, (summary, example) in COMMANDS.items():
        sub = commands.add_parser(name, help=summary, description=summary, epilog=f"example: {example}; {_STATUS}")
        sub.add_argument("--json", action="store_true", help="one JSON object on stdout, everything else on stderr")
        made[name] = sub
    made["inspect"].add_argument("checkpoint", type=Path, metavar="CKPT")
    _translate(made["translate"])
    for name in ("source", "destination"):
        made["verify"].add_argument(name, type=Path, metavar="SRC" if name == "source" else "DST")
    made["verify"].add_argument("--rules", type=Path, metavar="FILE", help="the rules file of the translation")
    made["verify"].add_argument(
        "--builder",
        metavar="MODULE:NAME",
        help="also build both networks with it, such as visioncore.models:build_model, and run them: the same rates, the same next step",
    )
    for name, what in (("model-config", "a model YAML"), ("dataset-configs", "a folder of dataset YAMLs")):
        made["verify"].add_argument(
            f"--{name}", type=Path, metavar="PATH", help=f"with --builder: {what}, for checkpoints that hold none"
        )
    return top


def _translate(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "source",
        type=Path,
        metavar="SRC",
        help="a checkpoint, or a folder of .ckpt, .pt, .pth, .th, .pth.tar, .bin and .safetensors",
    )
    sub.add_argument("destination", type=Path, metavar="DST", help="a file or folder to write; never SRC itself")
    sub.add_argument(
        "--to",
        choices=["ckpt", "safetensors"],
        help="safetensors: weights, and JSON beside them (default: ckpt, unless DST is a file called .safetensors)",
    )
    sub.add_argument("--rules", type=Path, metavar="FILE", help="a TOML file of rules to add to the built-in ones")
    sub.add_argument(
        "--allow",
        nargs="+",
        action="extend",
        default=[],
        metavar="GLOBAL",
        help="names that may stay in the file, as records that nothing here runs",
    )
    sub.add_argument("--jobs", type=_positive, metavar="N", help="files at a time, of a folder (default: one a core)")
    sub.add_argument(
        "--shard", type=_shard, metavar="I/N", help="of a folder, every Nth file from the Ith on (1/N to N/N)"
    )
    sub.add_argument("--dry-run", action="store_true", help="say what would be done and write nothing")
    sub.add_argument(
        "--check",
        action=argparse.BooleanOptionalAction,
        help="compare every record's CRC on the way (default: for folders, not for a single file)",
    )
    sub.add_argument(
        "--sha256",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="put the source's SHA-256 into the provenance; it takes about as long as copying twice (default: yes)",
    )
    sub.add_argument(
        "--sync",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="wait until a file is on the disk, which takes longer than copying it (default: yes; of a folder, always)",
    )


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of processes: 1 or more is expected")
    return int(text)


def _shard(text: str) -> tuple[int, int]:
    index, _, count = text.partition("/")
    if not (index.isdecimal() and count.isdecimal() and 1 <= int(index) <= int(count)):
        raise argparse.ArgumentTypeError(f"{text!r} is no shard: I/N is expected, with I from 1 to N, such as 3/8")
    return int(index), int(count)


def main(argv: list[str] | None = None) -> int:
    """Run one command and return its exit status."""
    arguments = parser().parse_args(argv)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        with contextlib.nullcontext() if getattr(arguments, "builder", None) else limited_memory():
            status: int = import_module(f"legacy.commands.{arguments.command}").run(arguments)
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    except Exception as error:
        return _failed(arguments, *failure(getattr(arguments, "source", None) or arguments.checkpoint, error))
    except KeyboardInterrupt:
        print(f"{arguments.command}: interrupted; run it again to go on", file=sys.stderr)
        return 130
    return status


def _failed(arguments: argparse.Namespace, message: str, status: int) -> int:
    if arguments.json:
        print(json.dumps({"ok": False, "status": status, "error": message}))
    lines = message.split("\n")  # ours; what stands in them may be the file's
    print(f"{arguments.command}: " + "\n".join(map(visible, lines)), file=sys.stderr)
    return status
