"""A script's path, or a dotted name, in any text file of a repository: where it stands, and putting another in its place."""

from __future__ import annotations

import io
import posixpath
import re
import shlex
import tokenize
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import replace

from migration.analysis import notebooks, shell
from migration.analysis.commands import SHOWING, Mention, Role, Token, shown, tokens
from migration.analysis.source import splice
from migration.errors import BadInput

SHELL_SUFFIXES = (".sh", ".bash", ".zsh", ".ksh", ".slurm", ".sbatch", ".pbs", ".sge", ".lsf")
SHEBANG = re.compile(r"\ufeff?#!.*?\b(?:(?P<shell>(?:ba|z|da|k)?sh)|(?P<python>python[\d.]*))\b")
PROSE_SUFFIXES = (".txt", ".rst", ".tex", ".org", ".adoc")
# Settings whose value is a script that something runs.
RUN_KEYS = frozenset(["program", "script", "entrypoint", "entry_point", "command", "cmd", "run", "exec", "main"])
KEY = r"""^[ \t]*(?:-[ \t]+)*(?:["']?(?P<key>[\w.$-]+)["']?[ \t]*[:=][ \t]*)?$"""
WORD_LINE = re.compile(r"""[ \t]*(?:-[ \t]+)?\[?["']?[^\s"':\[\]]+["']?,?[ \t]*\r?$|.*[:=][ \t]*\[[ \t]*\r?$""")
FENCE = re.compile(r"^[ \t>]*(?:(?:[-*+]|\d+[.)])[ \t]+)?(?P<ticks>`{3,}|~{3,})[ \t]*\{?\.?(?P<language>[\w+-]*)")
PROMPT = re.compile(r"^([ \t]*)(?:\([\w.-]+\)[ \t]*)?(?:[$%>](?=[ \t])|>>>)", re.MULTILINE)
CD = re.compile(r"(?:^|[;&|({]|[ \t])cd[ \t]+[\"']?([\w./+-]+)[\"']?[ \t\r]*(?=$|[;&|)])", re.MULTILINE)
ASSIGNED_RECIPE = re.compile(r"^\t[ \t]*[@+-]*")

Scan = Callable[[str, str], list[Mention]]


def references(path: str, raw: bytes, script: str) -> list[Mention]:
    """Every place in the file `path` that names `script`; offsets are indices into `decoded(raw)`.

    For a notebook they are places in its JSON text.
    """
    text = decoded(raw)
    return sorted(_scanner(path, text)(text, script), key=lambda mention: mention.start)


def rewrite(
    path: str, raw: bytes, script: str, to: str, roles: Collection[Role], unless: Callable[[Mention], bool] = lambda mention: False
) -> tuple[bytes, list[Mention], list[Mention]]:
    """The file with `to` in place of `script` where that has one of `roles`; then the places done, and those left.

    `to` is a path or `-m package.module`. The latter takes a path's place only directly behind an interpreter and its
    options, or a launcher that knows it.
    """
    found = references(path, raw, script)
    done = [m for m in found if m.role in roles and (m.module or not to.startswith("-m ")) and not unless(m)]
    return replaced(path, raw, [(m, to) for m in done]), done, [m for m in found if m not in done]


def replaced(path: str, raw: bytes, targets: Iterable[tuple[Mention, str]]) -> bytes:
    """The file with each mention's path replaced; `./` and quotes stay as they are."""
    text = decoded(raw)
    quoted = _scanner(path, text) in (_in_shell, _in_makefile)
    return encoded(splice(text, [_replacement(mention, to, quoted) for mention, to in targets]))


def decoded(raw: bytes) -> str:
    """Any bytes as text that `encoded` turns back into the same bytes."""
    return raw.decode("utf-8", "surrogateescape")


def encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def line_at(text: str, offset: int) -> str:
    """The line around `offset`, without its newline."""
    end = text.find("\n", offset)
    return text[text.rfind("\n", 0, offset) + 1 : end if end >= 0 else len(text)].rstrip("\r")


def _replacement(mention: Mention, to: str, quoted: bool) -> tuple[int, int, str]:
    if to.startswith("-m "):
        return *mention.outer, to
    if mention.path.startswith("./") and not to.startswith((".", "/")):
        to = "./" + to
    if quoted and mention.outer == (mention.start, mention.end) and mention.role != "call-in-string":
        to = shlex.quote(to)
    return mention.start, mention.end, to


# dotted names


def dotted_references(raw: bytes | str, dotted: str, prefix: bool = False) -> list[tuple[int, int]]:
    """(start, end) of `dotted` as a whole dotted token; with `prefix` also where a longer name begins with it."""
    text = raw if isinstance(raw, str) else decoded(raw)
    return [m.span() for m in re.finditer(_dotted([dotted], prefix), text)]


def rewrite_dotted(raw: bytes, renames: Mapping[str, str]) -> bytes:
    """Every dotted name that is, or begins with, a key of `renames` with the value in its place; the longest key wins."""
    if not renames:
        return raw
    pattern = _dotted(sorted(renames, key=len, reverse=True), prefix=True)
    return encoded(re.sub(pattern, lambda m: renames[m[0]], decoded(raw)))


def _dotted(names: Iterable[str], prefix: bool) -> str:
    behind = r"(?!\w)(?!\.py\b)" if prefix else r"(?!\w|\.\w)"
    return rf"(?<![\w./-])(?:{'|'.join(map(re.escape, names))}){behind}(?![/-]\w)"


# kinds of files


def _scanner(path: str, text: str) -> Scan:
    name = posixpath.basename(path).lower()
    shebang = SHEBANG.match(text)
    if name.endswith(".ipynb"):
        return _in_notebook
    if name.endswith((".py", ".pyw", ".pyi")) or (shebang and shebang["python"]):
        return _in_python
    if name.endswith(SHELL_SUFFIXES) or shebang:
        return _in_shell
    if name in ("makefile", "gnumakefile") or name.endswith((".mk", ".make")):
        return _in_makefile
    if name.endswith((".md", ".markdown", ".mdx", ".qmd", ".rmd")):
        return _in_markdown
    return _in_prose if name.endswith(PROSE_SUFFIXES) or ("." not in name and name in ("readme", "changelog", "notes")) else _in_config


def _in_shell(text: str, script: str) -> list[Mention]:
    return shell.mentions(text, script)


def _in_config(text: str, script: str) -> list[Mention]:
    """YAML, TOML, JSON, INI, Dockerfiles and what is like them: a value that is the path, or a command."""
    return _by_lines(text, script, "call")


def _in_prose(text: str, script: str) -> list[Mention]:
    return _by_lines(text, script, "shown-call")


def _in_makefile(text: str, script: str) -> list[Mention]:
    """Recipes are shell; elsewhere (prerequisites, variables) the path is a value."""
    found = [replace(m, role="value" if m.role != "variable" else m.role) for m in _by_lines(text, script, "call") if not _commented(text, m.start)]
    found += [m for m in _by_lines(text, script, "call") if _commented(text, m.start)]
    recipes = []
    for recipe in re.finditer(r"(?:^\t(?:[^\n]*\\\r?\n)*[^\n]*)", text, re.MULTILINE):
        plain = ASSIGNED_RECIPE.sub(lambda m: " " * len(m[0]), recipe[0])
        recipes.append(recipe.span())
        found = [m for m in found if not recipe.start() <= m.start < recipe.end()]
        found += _moved(shell.mentions(plain, script), text, recipe.start())
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
            plain = PROMPT.sub(lambda m: m[1] + " " * (len(m[0]) - len(m[1])), block)
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
    try:
        found = notebooks.cells(encoded(text))
        prose = notebooks.cells(encoded(text), "markdown")
    except BadInput:
        return _in_config(text, script)
    mentions = []
    for cell, scan in [*((c, _in_cell) for c in found), *((c, _in_markdown) for c in prose)]:
        inside = scan(cell.text, script)
        places = cell.offsets(text) if inside else []
        for m in inside:
            start, end, outer = places[m.start][0], places[m.end - 1][1], (places[m.outer[0]][0], places[m.outer[1] - 1][1])
            mentions.append(replace(m, start=start, end=end, outer=outer, line=_line(text, start)))
    return mentions


def _in_cell(text: str, script: str) -> list[Mention]:
    """Python with magics: `!command` is shell, `%run x.py` is a call, `%%bash` makes the whole cell shell."""
    if magic := notebooks.CELL_MAGIC.match(text):
        if magic[1] in ("bash", "sh", "zsh", "script", "system", "sx") or magic[0].endswith("%%!"):
            plain = " " * len(magic[0]) + text[magic.end() :]
            return shell.mentions(re.sub(r"^[^\n]*", lambda m: " " * len(m[0]), plain, count=1), script)
        if magic[1] not in notebooks.PYTHON_CELLS:
            return _by_lines(text, script, "call-in-string")
    found: list[Mention] = []
    plain = text
    for line in notebooks.magics(text):
        begin, end = line.span("magic")
        command = re.sub(r"^(!{1,2}|%%?(?!run\b)\w*)", lambda m: " " * len(m[0]), line["magic"])
        found += _moved(shell.mentions(command, script), text, begin)
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
        for begin, end, kind in literals:
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
    if re.fullmatch(r"[rRbBuUfF]{0,2}(\"{3}|'{3}|[\"'])", text[begin : token.start]) and len(text[token.end : end].strip("\"'")) == 0:
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
        begin, end = starts[token.start[0] - 1] + token.start[1], starts[token.end[0] - 1] + token.end[1] if token.end[0] <= len(starts) else len(text)
        if name.endswith("STRING_START"):
            opened.append(begin)
        elif name.endswith("STRING_END"):
            begin = opened.pop()
        if name == "COMMENT":
            yield begin, end, "comment"
        elif (name == "STRING" or name.endswith("STRING_END")) and not opened:
            yield begin, end, "docstring" if fresh else "string"
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
        elif value := _whole_value(text, token):
            listed = shown(_listed(text, token), script)
            role = "call" if listed or (value["key"] or "").lower() in RUN_KEYS else "value"
            if call == "shown-call":
                role = "mention"
        elif command := shown(line, script):
            role = call
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
    while begin and (above := text[text.rfind("\n", 0, begin - 1) + 1 : begin]).strip() and len(above) - len(above.lstrip()) >= indent > 0:
        begin -= len(above)
    folder = ""
    for move in CD.finditer(text[begin:offset]):
        folder = posixpath.normpath(posixpath.join(folder, move[1]))
    return folder


def _mention(text: str, token: Token, role: Role, module: bool = False) -> Mention:
    return Mention(token.start, token.end, _line(text, token.start), role, text[token.start : token.end], token.outer, module)


def _moved(found: list[Mention], text: str, by: int) -> list[Mention]:
    """Mentions found in a piece of `text` that begins at `by`."""
    return [replace(m, start=m.start + by, end=m.end + by, outer=(m.outer[0] + by, m.outer[1] + by), line=_line(text, m.start + by)) for m in found]


def _line(text: str, offset: int) -> int:
    return text.count("\n", 0, offset) + 1
