"""A command line to time, taken apart, so that a Python script can be run with a clock in it."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from regression.record import RecordingError

# the interpreter's own, before the script: https://docs.python.org/3/using/cmdline.html; -S would hide torch, -i waits for a person
FLAGS = re.compile(r"-[bBdEIOPqRsuv]+")
WITH_VALUE = re.compile(r"-[WX](.*)")


@dataclass(frozen=True)
class Command:
    """`VARIABLE=value … python OPTIONS SCRIPT ARGS…`. `arguments` begin with the script or `-m`, `options` are the interpreter's."""

    text: str
    python: str
    arguments: tuple[str, ...]
    environment: Mapping[str, str]
    folder: Path | None = None
    options: tuple[str, ...] = ()

    @property
    def is_python(self) -> bool:
        return bool(self.python)


def parse(text: str, folder: Path | None = None) -> Command:
    """
    Raises:
        RecordingError: nothing to run, a script that is not there, or quotes that do not close
    """
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise RecordingError(f"{text!r}: not a command line ({error})") from error
    environment = {}
    while words and "=" in words[0] and words[0].split("=")[0].isidentifier():
        name, _, value = words.pop(0).partition("=")
        environment[name] = value
    if not words:
        raise RecordingError(f"{text!r}: a command is expected, as in --old 'python train.py --steps 20'")
    python = ""
    if Path(words[0]).name.startswith("python"):
        python, words = words[0], words[1:]
    elif words[0].endswith(".py") or words[0] == "-m":
        python = sys.executable
    if python in ("python", "python3"):
        python = sys.executable  # the one that has what the harness has
    options = _interpreters(words) if python else ()
    words = words[len(options) :]
    if python:
        _check(text, words, folder or Path())
    return Command(text, python, tuple(words), environment, folder, options)


def _interpreters(words: list[str]) -> tuple[str, ...]:
    """Those of the first words that are options of the interpreter."""
    n = 0
    while n < len(words):
        valued = WITH_VALUE.fullmatch(words[n])
        if not (valued or FLAGS.fullmatch(words[n])):
            break
        n += 2 if valued and not valued[1] else 1  # the value is a word of its own
    return tuple(words[:n])


def _check(text: str, words: list[str], folder: Path) -> None:
    if not words or words == ["-m"] or (words[0].startswith("-") and words[0] != "-m"):
        raise RecordingError(f"{text!r}: a script, or -m and a module, is expected behind python and its options")
    if words[0] != "-m" and not (folder / words[0]).is_file():
        raise RecordingError(f"{text!r}: there is no script {words[0]}; name a Python file, or -m and a module")
