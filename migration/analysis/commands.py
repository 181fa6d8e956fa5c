"""Where a script's path stands in a text as a whole token, and whether the words before it run it.

This is what shell scripts, Makefiles, configurations, notebooks and documents share; who reads which is in `paths`.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

Role = Literal["call", "call-in-string", "commented-call", "shown-call", "assigned", "value", "variable", "mention"]
"""What a path is there for.

`call`: it is run. `call-in-string`: it is run by a command kept in a string or a here-document. `commented-call`: a
commented-out call. `shown-call`: a command shown to a person (echo, usage text, inline code). `assigned`: put into a
variable that is run. `value`: the whole of a setting or of a Python string. `variable`: below a folder that a variable
names. `mention`: anything else (`rm x.py`, `[[ -f x.py ]]`, prose).
"""

CALLS: frozenset[Role] = frozenset({"call", "call-in-string", "commented-call"})


@dataclass(frozen=True)
class Mention:
    """A path at `[start, end)` of a text. `outer` takes in the quotes that are around it alone. `module` says that
    `-m package.module` can take its place. `folder` is the working directory there: relative to where the script is
    started, `@` and what follows for the script's own folder, None where it cannot be told."""

    start: int
    end: int
    line: int
    role: Role
    path: str
    outer: tuple[int, int]
    module: bool = False
    folder: str | None = ""


@dataclass(frozen=True)
class Token:
    """An occurrence of a path as a whole token; `variable` where a variable stands for the folder it is in."""

    start: int
    end: int
    outer: tuple[int, int]
    variable: bool


@dataclass(frozen=True)
class Runner:
    """What runs a script: whether it takes `-m` in the script's place, and whether the command begins with it."""

    module: bool
    leads: bool


_VARIABLE = r"(?:\$\w+|\$\{\{[^{}\n]*\}\}|\$?\{[^{}\n]*\}|\$\((?:[^()\n]|\([^()\n]*\))*\)|`[^`\n]*`)"
_STRANGE = "\udc80-\udcff"  # bytes that are not UTF-8, as decoded with surrogateescape
_BEFORE = rf"(?:(?<![\w.+@%~*?${{}})/\\{_STRANGE}-])(?<!\\ )|(?<=\\[nrt])|(?<=\*\*)|(?<=:-))"
_AFTER = rf"(?![\w+@~?${{/{_STRANGE}-])(?!\*(?!\*))(?!\.[\w*?{{])(?!\\ )"
_QUOTES = ('\\"', "\\'", '"', "'")


def tokens(text: str, script: str) -> Iterator[Token]:
    """Every place where `script` is a whole path. `./script` is the same path; `a/script`, `script.bak`, `my_script` are not."""
    path = r"/+(?:\./+)*".join(map(re.escape, posixpath.normpath(script).split("/")))
    dots = "" if script.startswith("/") else r"(?:\./+)*"
    for found in re.finditer(
        rf"(?:(?P<variable>{_VARIABLE}[\"']?/+[\"']?)|{_BEFORE})(?P<path>{dots}{path}){_AFTER}", text
    ):
        start, end = found.span("path")
        quote = next((q for q in _QUOTES if text.startswith(q, end) and text.endswith(q, 0, start)), "")
        yield Token(start, end, (start - len(quote), end + len(quote)), found["variable"] is not None)


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


PYTHON = re.compile(
    r"(?:.*[^\w.])?(?:i?python|pypy)w?[\d.]*(?:\.exe)?|py|sys\.executable|%run|\$\{?\(?\w*(?:PY|py)\w*\W*"
)
SHELLS = frozenset({"bash", "sh", "zsh", "dash", "ksh", "source", "."})
# Launchers of a script, by whether they take `-m package.module` in its place.
LAUNCHERS = {"torchrun": True, "debugpy": True, "ipython": True} | dict.fromkeys(
    (
        "deepspeed",
        "horovodrun",
        "kernprof",
        "viztracer",
        "scalene",
        "mpirun",
        "mpiexec",
        "srun",
        "sbatch",
        "qsub",
        "qsh",
        "bsub",
        "condor_submit",
    ),
    False,
)
RUNS = {
    "accelerate": True,
    "coverage": True,
    "uv": True,
    "streamlit": False,
    "poetry": False,
    "pdm": False,
    "pixi": False,
    "hatch": False,
    "pipenv": False,
}
MODULE_LAUNCHERS = re.compile(
    r"torch\.distributed\.(run|launch)|accelerate\.commands\.launch|pdb|cProfile|profile|coverage|debugpy|trace|IPython|deepspeed.*"
)
WRAPPERS = _words(
    "exec nohup time env sudo nice ionice timeout setsid stdbuf taskset numactl command builtin eval caffeinate xvfb-run strace "
    "then do else if while until !"
)
ASSIGNMENT = re.compile(r"\w+\+?=.*", re.DOTALL)
# What shows text, what only looks at a file or changes it, and what would take the file away.
SHOWING = _words("echo printf print cat logger say log info warn warning error die fail usage")
REMOVING = _words("rm unlink mv shred trash truncate git rsync tee dd")
LOOKING = REMOVING | _words(
    "cp ln ls test [ find basename dirname readlink realpath stat file head tail less more wc diff cmp comm grep egrep fgrep rg ag sed awk gawk perl "
    "pgrep pkill killall chmod chown touch mkdir md5sum sha256sum scp cd pushd tar zip cut sort uniq tr which type dos2unix black ruff flake8 pylint "
    "mypy isort vim vi nano emacs code open kill ps COPY ADD"
)


def program(words: Sequence[str]) -> str:
    """The name of the command that `words` are, behind assignments and wrappers such as `sudo` and `nohup`."""
    position = 0
    while position < len(words) and (
        words[position] in WRAPPERS or ASSIGNMENT.fullmatch(words[position]) or (position and _option(words, position))
    ):
        position += 1
    return posixpath.basename(words[position].lstrip("\\@")) if position < len(words) else ""


def runner(words: Sequence[str], script: str, prose: bool = False) -> Runner | None:
    """What runs `script` where it follows `words`, or None. In `prose` ordinary words such as `time` run nothing."""
    for position in range(len(words) - 1, -1, -1):
        word, rest = words[position], words[position + 1 :]
        name = posixpath.basename(word)
        leads = all(
            w in WRAPPERS or w in LAUNCHERS or ASSIGNMENT.fullmatch(w) or _option(words, i)
            for i, w in enumerate(words[:position])
        )
        python = PYTHON.fullmatch(word) or (position == 0 and not prose and word.startswith("$"))
        if python and (found := _python(rest, script)) is not None:
            return Runner(found, leads)
        if python and script.endswith(".py"):
            return None
        if name in SHELLS and (not prose or leads or name in ("bash", "sh")):
            return Runner(False, leads) if _shell_options(rest) else None
        if name in LAUNCHERS and _options(rest):
            return Runner(LAUNCHERS[name], leads)
        if word in ("run", "launch") and position and words[position - 1] in RUNS and _options(rest):
            return Runner(RUNS[words[position - 1]], leads)
        if word in WRAPPERS and not prose and leads and _options(rest):
            return Runner(False, True)
    return None


def _python(rest: Sequence[str], script: str) -> bool | None:
    """Whether `-m` can take the script's place, where `rest` are the interpreter's own options; None where they are not."""
    if not script.endswith(".py"):
        return None
    for position, word in enumerate(rest):
        if re.fullmatch(r"-[a-zA-Z]*m", word) and position + 1 < len(rest):
            after = rest[position + 2 :]
            after = after[1:] if after[:1] == ["run"] else after
            return True if MODULE_LAUNCHERS.fullmatch(rest[position + 1]) and _options(after) else None
        value = position and rest[position - 1] in ("-W", "-X", "--check-hash-based-pycs")
        if not value and (not word.startswith(("-", "$")) or re.fullmatch(r"-(\w*c)?", word)):
            return None
    return True


def _shell_options(rest: Sequence[str]) -> bool:
    values = (re.fullmatch(r"[-+]\w*[oO]|--rcfile|--init-file", rest[i - 1]) for i in range(1, len(rest)))
    plain = all(value or word.startswith(("-", "+")) for word, value in zip(rest, [None, *values], strict=False))
    return plain and not any(re.fullmatch(r"-\w*c", word) for word in rest)


def _options(rest: Sequence[str]) -> bool:
    return all(_option(rest, i) for i in range(len(rest)))


def _option(words: Sequence[str], position: int) -> bool:
    """Whether a word is an option, an option's value, a setting or a number: not a program and not a script."""
    word = words[position]
    if word.startswith(("-", "$")) or ASSIGNMENT.fullmatch(word) or re.fullmatch(r"[\d.:,-]+[smhdkKMG]?", word):
        return True
    return (
        position > 0
        and words[position - 1].startswith("-")
        and "=" not in words[position - 1]
        and not word.endswith((".py", ".sh"))
    )


OPTION_FOLLOWS = re.compile(r"[ \t]+--?[A-Za-z]")

_SEPARATOR = re.compile(r"&&|\|\|?|[;&]|\$\(|(?<!\w)\((?=\w)")
_SPACE = re.compile(r"(?:\\[nrt](?!\w*[/.])|\\(?=\s)|[\s\"'`,\[\](){}<>#*])+")


def shown(before: str, script: str) -> Runner | None:
    """What runs `script` where `before` is the text in front of it, read word by word: lists and quotes count as spaces."""
    command = _SEPARATOR.split(before)[-1]
    words = [
        word for word in _SPACE.split(command) if word not in ("", "$", "-", "!", "%", "@", "RUN", "CMD", "ENTRYPOINT")
    ]
    if any(word in LOOKING for word in words[:2]):  # the program, or the one behind a key
        return None
    return runner([w.removeprefix("!").removeprefix("@") for w in words], script, prose=True)
