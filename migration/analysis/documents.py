"""Where a script's path stands in each kind of text file, and what it is there for: one function a kind.

Offsets are indices into the file's text; a notebook's are places in its JSON text.
"""

from __future__ import annotations

import io
import posixpath
import re
import tokenize
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import replace

from migration.analysis import notebooks, shell
from migration.analysis.commands import SHOWING, Mention, Role, Token, shown, tokens
from migration.errors import BadInput

SHELL_SUFFIXES = (".sh", ".bash", ".zsh", ".ksh", ".slurm", ".sbatch", ".pbs", ".sge", ".lsf")
SHEBANG = re.compile(r"\ufeff?#!.*?\b(?:(?P<shell>(?:ba|z|da|k)?sh)|(?P<python>python[\d.]*))\b")
PROSE_SUFFIXES = (".txt", ".rst", ".tex", ".org", ".adoc")
# Settings whose value is a script that something runs.
RUN_KEYS = frozenset(["program", "script", "entrypoint", "entry_point", "command", "cmd", "run", "exec", "main"])
KEY = r"""^[ \t]*(?:-[ \t]+)*(?:["']?(?P<key>[\w.$-]+)["']?[ \t]*[:=][ \t]*)?$"""
WORD_LINE = re.compile(r"""[ \t]*(?:-[ \t]+)?\[?["']?[^\s"':\[\]]+["']?,?[ \t]*\r?$|.*[:=][ \t]*\[[ \t]*\r?$""")
FENCE = re.compile(r"^[ \t>]*(?:(?:[-*+]|\d+[.)])[ \t]+)?(?P<ticks>`{3,}|~{3,})[ \t]*\{?\.?(?P<language>[\w+-]*)")
PROMPT = re.compile(r"^[ \t]*(?:\([\w.-]+\)[ \t]*)?(?:[$%>](?=[ \t])|>>>)", re.MULTILINE)
CD = re.compile(r"(?:^|[;&|({]|[ \t])cd[ \t]+[\"']?([\w./+-]+)[\"']?[ \t\r]*(?=$|[;&|)])", re.MULTILINE)
FIRST_LINE = re.compile(r"^\s*[^\n]*")
LINE_MAGIC = re.compile(r"^(?:!{1,2}|%%?(?!run\b)\w*)")
RECIPE = re.compile(r"^\t(?:[^\n]*\\\r?\n)*[^\n]*", re.MULTILINE)
RECIPE_PREFIX = re.compile(r"^[ \t]*[@+-]*")

Scan = Callable[[str, str], list[Mention]]


def scanner(path: str, text: str) -> Scan:
    """The function that reads a file of this name and text."""
    name = posixpath.basename(path).lower()
    shebang = SHEBANG.match(text)
    if name.endswith(".ipynb"):
        return _in_notebook
    if name.endswith((".py", ".pyw", ".pyi")) or (shebang and shebang["python"]):
        return _in_python
    if name.endswith(SHELL_SUFFIXES) or shebang:
        return in_shell
    if name in ("makefile", "gnumakefile") or name.endswith((".mk", ".make")):
        return in_makefile
    if name.endswith((".md", ".markdown", ".mdx", ".qmd", ".rmd")):
        return _in_markdown
    return (
        _in_prose
        if name.endswith(PROSE_SUFFIXES) or ("." not in name and name in ("readme", "changelog", "notes"))
        else _in_config
    )


def in_shell(text: str, script: str) -> list[Mention]:
    return shell.mentions(text, script)


def _in_config(text: str, script: str) -> list[Mention]:
    """YAML, TOML, JSON, INI, Dockerfiles and what is like them: a value that is the path, or a command."""
    return _by_lines(text, script, "call")


def _in_prose(text: str, script: str) -> list[Mention]:
    return _by_lines(text, script, "shown-call")


def in_makefile(text: str, script: str) -> list[Mention]:
    """Recipes are shell; elsewhere (prerequisites, variables) the path is a value."""
    found: list[Mention] = []
    recipes = []
    for recipe in RECIPE.finditer(text):
        recipes.append(recipe)
        found += _moved(shell.mentions(RECIPE_PREFIX.sub(_blank, recipe[0]), script), text, recipe.start())
    for m in _by_lines(text, script, "call"):
        if not any(recipe.start() <= m.start < recipe.end() for recipe in recipes):
            found.append(m if m.role == "variable" or _commented(text, m.start) else replace(m, role="value"))
    return found


def _in_markdown(text: str, script: str) -> list[Mention]:
    """Fenced commands are calls; a command in the running text is one that is shown."""
    found: list[Mention] = []
    for begin, end, language in _fences(text):
        block = text[begin:end]
        if language is None:
            inside = _by_lines(block, script, "shown-call")
        elif language in ("python", "py", "ipython", "pycon"):
            inside = _in_python(block, script)
        elif language in ("yaml", "yml", "toml", "json", "ini", "dockerfile", "docker"):
            inside = _in_config(block, script)
        else:
            plain = PROMPT.sub(_blank, block)
            inside = shell.mentions(plain, script, prose=True)
        found += _moved(inside, text, begin)
    return found


def _fences(text: str) -> Iterator[tuple[int, int, str | None]]:
    """(begin, end, language) of every piece of Markdown; the language is None outside fences."""
    begin, position = 0, 0
    ticks, language = "", None
    for line in text.splitlines(keepends=True):
        fence = FENCE.match(line)
        if fence and (not ticks or (fence["ticks"].startswith(ticks) and not line.strip().strip("`~"))):
            yield begin, position, language
            begin = position + len(line)
            ticks, language = ("", None) if ticks else (fence["ticks"], fence["language"].lower())
        position += len(line)
    yield begin, position, language


def _in_notebook(text: str, script: str) -> list[Mention]:
    raw = text.encode("utf-8", "surrogateescape")
    try:
        found = notebooks.cells(raw)
        prose = notebooks.cells(raw, "markdown")
    except BadInput:
        return _in_config(text, script)
    mentions = []
    for cell, scan in [*((c, _in_cell) for c in found), *((c, _in_markdown) for c in prose)]:
        inside = scan(cell.text, script)
        places = cell.offsets(text) if inside else []
        for m in inside:
            start, end, outer = (
                places[m.start][0],
                places[m.end - 1][1],
                (places[m.outer[0]][0], places[m.outer[1] - 1][1]),
            )
            mentions.append(replace(m, start=start, end=end, outer=outer, line=_line(text, start)))
    return mentions


def _in_cell(text: str, script: str) -> list[Mention]:
    """Python with magics: `!command` is shell, `%run x.py` is a call, `%%bash` makes the whole cell shell."""
    if magic := notebooks.CELL_MAGIC.match(text):
        if magic[1] in ("bash", "sh", "zsh", "script", "system", "sx") or magic[0].endswith("%%!"):
            return shell.mentions(FIRST_LINE.sub(_blank, text, count=1), script)
        if magic[1] not in notebooks.PYTHON_CELLS:
            return _by_lines(text, script, "call-in-string")
    found: list[Mention] = []
    plain = text
    for line in notebooks.magics(text):
        begin, end = line.span("magic")
        found += _moved(shell.mentions(LINE_MAGIC.sub(_blank, line["magic"]), script), text, begin)
        plain = plain[:begin] + re.sub(r"[^\r\n]", " ", line["magic"]) + plain[end:]
    return found + _in_python(plain, script)


def _in_python(text: str, script: str) -> list[Mention]:
    """String literals that are the path, commands in strings, docstrings and comments. What does not tokenize is read line by line."""
    wanted = list(tokens(text, script))
    if not wanted:
        return []
    try:
        literals = list(_literals(text))
    except (tokenize.TokenError, SyntaxError):
        return _by_lines(text, script, "call-in-string")
    found = []
    for token in wanted:
        begin, end, kind = literals[max(0, bisect_right(literals, (token.start + 1,)) - 1)] if literals else (0, 0, "")
        if begin <= token.start and token.end <= end:
            role, module = _python_role(text, begin, end, kind, token, script)
            found.append(_mention(text, token, role, module))
    return found


def _python_role(text: str, begin: int, end: int, kind: str, token: Token, script: str) -> tuple[Role, bool]:
    if token.variable:
        return "variable", False
    inside = _logical(text, token.start, begin)
    if kind == "comment":
        command = shown(inside.lstrip("# \t"), script)
        return ("commented-call" if command.leads else "shown-call", command.module) if command else ("mention", False)
    if (
        re.fullmatch(r"[rRbBuUfF]{0,2}(\"{3}|'{3}|[\"'])", text[begin : token.start])
        and len(text[token.end : end].strip("\"'")) == 0
    ):
        before = text[max(0, begin - 300) : begin]
        return "call" if shown(before, script) or re.search(r"\brun_path\(\s*$", before) else "value", False
    command = shown(re.sub(r"^[rRbBuUfF]{0,2}[\"']+", "", inside), script)
    if not command:
        return "mention", False
    caller = re.search(r"(\w+)\(\s*$|\b(?:help|usage|epilog|description)\s*=\s*$", text[max(0, begin - 80) : begin])
    for_people = kind == "docstring" or (caller is not None and (caller[1] is None or caller[1] in SHOWING))
    return "shown-call" if for_people else "call-in-string", command.module


def _literals(text: str) -> Iterator[tuple[int, int, str]]:
    """(begin, end, kind) of every string and comment: `string`, `docstring`, `comment`. Raises what tokenize raises."""
    starts = [0, *(m.end() for m in re.finditer("\n", text))]
    opened: list[int] = []
    fresh = True  # a statement begins here
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        name = tokenize.tok_name[token.type]
        if name == "COMMENT" or "STRING" in name:  # since Python 3.12 an f-string is several tokens
            begin, end = (starts[line - 1] + column for line, column in (token.start, token.end))
            if name.endswith("STRING_START"):
                opened.append(begin)
            elif name.endswith("STRING_END"):
                begin = opened.pop()
            if not opened:
                yield begin, end, "comment" if name == "COMMENT" else "docstring" if fresh else "string"
        if name not in ("COMMENT", "NL", "ENCODING"):
            fresh = name in ("NEWLINE", "INDENT", "DEDENT")


def _by_lines(text: str, script: str, call: Role) -> list[Mention]:
    """The role of a path by the line it stands on, for text whose grammar is not read; a command amounts to `call`."""
    found = []
    for token in tokens(text, script):
        line = _logical(text, token.start)
        role: Role = "mention"
        command = None
        if token.variable:
            role = "variable"
        elif _commented(text, token.start):
            command = shown(line.lstrip("#;/ \t"), script)
            role = ("commented-call" if command.leads else "shown-call") if command else "mention"
        elif command := shown(line, script):
            role = call
        elif call != "shown-call" and (value := _whole_value(text, token)):
            listed = shown(_listed(text, token), script)
            role = "call" if listed or (value["key"] or "").lower() in RUN_KEYS else "value"
        folder = _folder(text, token.start)
        mention = _mention(text, token, role, command is not None and command.module and _bare(text, token))
        found.append(replace(mention, folder=folder))
    return found


def _whole_value(text: str, token: Token) -> re.Match[str] | None:
    begin = text.rfind("\n", 0, token.outer[0]) + 1
    end = text.find("\n", token.outer[1])
    behind = text[token.outer[1] : end if end >= 0 else len(text)]
    return re.match(KEY, text[begin : token.outer[0]]) if re.fullmatch(r"[ \t]*,?[ \t]*(#.*)?\r?", behind) else None


def _listed(text: str, token: Token) -> str:
    """The items of a list that stand on lines of their own above the path."""
    lines = text[: text.rfind("\n", 0, token.start) + 1].splitlines()
    above: list[str] = []
    while lines and len(above) < 8 and WORD_LINE.match(lines[-1]):
        above.insert(0, re.sub(r"^\s*-\s+", "", lines.pop()).strip())
    return " ".join(above)


def _logical(text: str, offset: int, floor: int = 0) -> str:
    """What stands before `offset` on its line, with the lines above that are continued into it."""
    begin = max(floor, text.rfind("\n", 0, offset) + 1)
    while begin > floor and re.search(r"\\\r?\n$", text[max(floor, begin - 3) : begin]):
        begin = max(floor, text.rfind("\n", 0, begin - 1) + 1)
    return text[begin:offset]


def _commented(text: str, offset: int) -> bool:
    return _logical(text, offset).lstrip().startswith(("#", ";", "//"))


def _bare(text: str, token: Token) -> bool:
    """Whether two words can stand here: not in a list such as `["python", "x.py"]`, where each word has its own quotes."""
    return not re.search(r"[\"'],\s*$", text[: token.outer[0]][-20:])


def _folder(text: str, offset: int) -> str:
    """Where the `cd` commands above in the same block, or before on the line, lead."""
    begin = text.rfind("\n", 0, offset) + 1
    indent = len(text[begin:offset]) - len(text[begin:offset].lstrip())
    while (
        begin
        and (above := text[text.rfind("\n", 0, begin - 1) + 1 : begin]).strip()
        and len(above) - len(above.lstrip()) >= indent > 0
    ):
        begin -= len(above)
    folder = ""
    for move in CD.finditer(text[begin:offset]):
        folder = posixpath.normpath(posixpath.join(folder, move[1]))
    return folder


def _mention(text: str, token: Token, role: Role, module: bool = False) -> Mention:
    return Mention(
        token.start, token.end, _line(text, token.start), role, text[token.start : token.end], token.outer, module
    )


def _moved(found: list[Mention], text: str, by: int) -> list[Mention]:
    """Mentions found in a piece of `text` that begins at `by`."""
    return [
        replace(
            m,
            start=m.start + by,
            end=m.end + by,
            outer=(m.outer[0] + by, m.outer[1] + by),
            line=_line(text, m.start + by),
        )
        for m in found
    ]


def _blank(found: re.Match[str]) -> str:
    return " " * len(found[0])


def _line(text: str, offset: int) -> int:
    return text.count("\n", 0, offset) + 1
