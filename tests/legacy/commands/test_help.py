"""Help, options and exit statuses of the commands."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.legacy.commands.support import ROOT, legacy, save


@pytest.mark.parametrize("command", ["inspect", "translate", "verify"])
def test_every_command_has_help_with_an_example(command: str) -> None:
    done = legacy(command, "--help")
    assert done.status == 0 and f"example: python -m legacy {command} " in " ".join(done.out.split())
    assert "exit status: 0 done" in " ".join(done.out.split())


def test_the_whole_has_help_too() -> None:
    done = legacy("--help")
    assert done.status == 0 and all(name in done.out for name in ("inspect", "translate", "verify", "example:"))


@pytest.mark.parametrize(
    "arguments, told",
    [
        ([], "COMMAND"),
        (["inspect"], "CKPT"),
        (["translate", "a"], "DST"),
        (["translate", "a", "b", "--to", "onnx"], "safetensors"),
        (["translate", "a", "b", "--jobs", "0"], "1 or more is expected"),
        (["translate", "a", "b", "--shard", "3/2"], "I from 1 to N"),
        (["translate", "a", "b", "--shard", "one"], "I/N is expected"),
    ],
)
def test_bad_options_are_told(arguments: list[str], told: str) -> None:
    done = legacy(*arguments)
    assert done.status == 2 and told in done.err and not done.out


def test_nothing_of_torch_is_imported(tmp_path: Path) -> None:
    path = save(tmp_path / "old.ckpt")
    code = (
        "import sys; from legacy.cli import main; "
        f"main(['inspect', {str(path)!r}]); main(['translate', {str(path)!r}, {str(tmp_path / 'new.ckpt')!r}]); "
        f"main(['verify', {str(path)!r}, {str(tmp_path / 'new.ckpt')!r}]); "
        "print(sorted({'torch', 'numpy', 'visioncore', 'rich', 'lightning'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_help_reads_no_code_that_it_does_not_need() -> None:
    code = (
        "import sys, contextlib, legacy.cli\n"
        "with contextlib.suppress(SystemExit): legacy.cli.main(['--help'])\n"
        "print([name for name in sys.modules if name.startswith('legacy.checkpoint.')])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "['legacy.checkpoint.errors']"


@pytest.mark.parametrize("command", [["inspect"], ["translate"], ["verify"]])
def test_a_file_that_is_not_there(tmp_path: Path, command: list[str]) -> None:
    more = [] if command == ["inspect"] else [tmp_path / "new.ckpt"]
    done = legacy(*command, tmp_path / "none.ckpt", *more, "--json")
    assert done.status == 2 and "No such file" in done.err
    assert done.json["ok"] is False and done.json["status"] == 2


def test_a_folder_where_a_file_is_meant(tmp_path: Path) -> None:
    done = legacy("inspect", tmp_path)
    assert done.status == 2 and "is not a file" in done.err


@pytest.mark.parametrize("limit, told", [("much", "a number of megabytes"), ("40", "40 MB of memory")])
def test_memory_is_limited(tmp_path: Path, limit: str, told: str) -> None:
    (tmp_path / "bomb.pt").write_bytes(b"(" + b"]" * 3_000_000 + b"l.")
    done = legacy("inspect", tmp_path / "bomb.pt", LEGACY_MEMORY_MB=limit)
    assert done.status == 2 and told in done.err
