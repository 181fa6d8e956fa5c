"""The cells of a Jupyter notebook, read and edited in the file's own text.

Every tool lays a notebook's JSON out in its own way, so writing it out again would change bytes that nobody asked to
change. Strings are found with their offsets instead, and only the changed characters of a changed line are written.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from difflib import SequenceMatcher

from migration.analysis.source import BOM, splice
from migration.errors import BadInput

SPACE = re.compile(r"[ \t\r\n]*")
STRING = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
SCALAR = re.compile(r"[^\s,\]}]+")
CHARACTER = re.compile(r"\\u[dD][89abAB]..\\u[dD][c-fC-F]..|\\u....|\\.|.", re.DOTALL)

# Cell magics whose body is still Python of this notebook; the body of any other one is another language or a file.
PYTHON_CELLS = frozenset(
    {"time", "timeit", "capture", "prun", "debug", "python", "python3", "px", "memit", "mprun", "scalene"}
)
CELL_MAGIC = re.compile(r"\s*%%(\w+)")
MAGIC = re.compile(r"(?P<lead>[ \t]*)(?P<magic>(?:[%!?]|[\w.]+\?{1,2}[ \t]*(?=\r?\n|\Z))(?:\\\r?\n|[^\n])*)")
ASSIGNED = re.compile(r"(?P<lead>[ \t]*[\w., \t\[\]'\"*]+=[ \t]*)(?P<magic>[%!](?:\\\r?\n|[^\n])*)")
# What may hold a newline, a bracket or a quote without ending a statement.
PYTHON_TOKEN = re.compile(
    r"""(?P<string>\"{3}(?:\\.|[^\\])*?(?:\"{3}|\Z)|'{3}(?:\\.|[^\\])*?(?:'{3}|\Z)|"(?:\\.|[^"\\\n])*"?|'(?:\\.|[^'\\\n])*'?)"""
    r"""|(?P<comment>\#[^\n]*)|(?P<joined>\\\r?\n)|(?P<open>[(\[{])|(?P<close>[)\]}])|(?P<newline>\n)|[^"'\#\\()\[\]{}\n]+|.""",
    re.DOTALL | re.VERBOSE,
)


@dataclass(frozen=True)
class CellSource:
    """A cell: its place among all cells of the notebook, its kind (`code`, `markdown`, `raw`) and its text."""

    index: int
    kind: str
    text: str
    node: Node = field(repr=False)

    def offsets(self, document: str) -> list[tuple[int, int]]:
        """Where each character of `text` stands in the notebook's own text, as (start, end)."""
        return [span for literal in self.node.literals for span in _characters(document, literal)]


@dataclass(frozen=True, slots=True)
class Node:
    """A JSON value by its place in the text, with its parts where it has any."""

    start: int
    end: int
    items: tuple[Node, ...] | None = None
    members: Mapping[str, Node] | None = None

    @property
    def literals(self) -> tuple[Node, ...]:
        return (self,) if self.items is None else self.items


def cells(raw: bytes, kind: str = "code") -> list[CellSource]:
    """The cells of one kind. Raises BadInput where `raw` is not a notebook."""
    return [cell for cell in _cells(decoded(raw)) if cell.kind == kind]


def with_cell_texts(raw: bytes, texts: Mapping[int, str]) -> bytes:
    """The notebook with the text of some cells (by index) replaced; every byte outside the changed lines stays.

    Raises BadInput where `raw` is not a notebook.
    """
    document = decoded(raw)
    edits = [
        edit
        for cell in _cells(document)
        if texts.get(cell.index, cell.text) != cell.text
        for edit in _edits(document, cell, texts[cell.index])
    ]
    return splice(document, edits).encode()


def python_text(cell: CellSource) -> str:
    """The cell's text with magics and shell lines blanked: as long as the text and with the same lines.

    A magic inside a block becomes a `0`, so that the block keeps a statement; so does one that is assigned.
    """
    text = re.sub("[\ud800-\udfff]", "?", cell.text)
    if (magic := CELL_MAGIC.match(text)) and magic[1] not in PYTHON_CELLS:
        return _blank(text)
    blanked = [(m.start("magic"), m.end("magic"), _filler(m)) for m in magics(text)]
    return splice(text, blanked)


def magics(text: str) -> Iterator[re.Match[str]]:
    """Every line magic and shell line as a match with the groups `lead` and `magic`, continuation lines included."""
    position, depth, fresh = 0, 0, True
    while position < len(text):
        found = fresh and not depth and (MAGIC.match(text, position) or ASSIGNED.match(text, position))
        if found:
            yield found
            position, fresh = found.end(), False
            continue
        token = PYTHON_TOKEN.match(text, position)
        assert token is not None  # its last alternative takes any character
        depth = max(0, depth + (token.lastgroup == "open") - (token.lastgroup == "close"))
        fresh = token.lastgroup == "newline"
        position = token.end()


def _filler(magic: re.Match[str]) -> str:
    blank = _blank(magic["magic"])
    return "0" + blank[1:] if magic["lead"] else blank


def _blank(text: str) -> str:
    return re.sub(r"[^\r\n]", " ", text)


def decoded(raw: bytes) -> str:
    """The notebook's own text. Raises BadInput."""
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise BadInput(f"not a notebook that can be read ({error})") from error


def _cells(document: str) -> list[CellSource]:
    begin = len(BOM) if document.startswith(BOM) else 0
    try:
        json.loads(document[begin:])
        top = _scan(document, SPACE.match(document, begin).end())  # type: ignore[union-attr]
        sheets = [top, *(_member(top, "worksheets").items or ())]  # format 3 had its cells in worksheets
        nodes = [node for sheet in sheets for node in _member(sheet, "cells").items or ()]
        return [_cell(document, index, node) for index, node in enumerate(nodes)]
    except (ValueError, RecursionError, TypeError) as error:
        raise BadInput(f"not a notebook that can be read ({error})") from error


def _cell(document: str, index: int, node: Node) -> CellSource:
    kind, source = _member(node, "cell_type"), _member(node, "source")
    if source is NOTHING:
        source = _member(node, "input")
    parts = [json.loads(document[n.start : n.end]) for n in source.literals if source is not NOTHING]
    return CellSource(index, json.loads(document[kind.start : kind.end] or '""'), "".join(parts), source)


NOTHING = Node(0, 0, ())


def _member(node: Node, name: str) -> Node:
    return (node.members or {}).get(name, NOTHING)


def _scan(text: str, at: int) -> Node:
    """The value that begins at `at`, in text that is known to be valid JSON."""

    def skip(position: int) -> int:
        return SPACE.match(text, position).end()  # type: ignore[union-attr]

    if text[at] == '"':
        return Node(at, STRING.match(text, at).end())  # type: ignore[union-attr]
    if text[at] not in "{[":
        return Node(at, SCALAR.match(text, at).end())  # type: ignore[union-attr]
    closing = "}" if text[at] == "{" else "]"
    items: list[Node] = []
    members: dict[str, Node] = {}
    position = skip(at + 1)
    while text[position] != closing:
        value = _scan(text, position)
        if closing == "}":
            key = json.loads(text[value.start : value.end])
            value = members[key] = _scan(text, skip(skip(value.end) + 1))
        else:
            items.append(value)
        position = skip(value.end)
        if text[position] == ",":
            position = skip(position + 1)
    return Node(at, position + 1, tuple(items) if closing == "]" else None, members if closing == "}" else None)


def _characters(document: str, literal: Node) -> list[tuple[int, int]]:
    return [m.span() for m in CHARACTER.finditer(document, literal.start + 1, literal.end - 1)]


def _edits(document: str, cell: CellSource, new: str) -> Iterator[tuple[int, int, str]]:
    """Edits of `document` that give `cell` the text `new`."""
    node = cell.node
    if node.items is None:
        places = [*cell.offsets(document), (node.end - 1, node.end - 1)]
        for start, end, piece in _changes(_lines(cell.text), _lines(new)):
            yield places[start][0], places[end][0], _escaped(document, piece)
        return
    old, lines, items = [json.loads(document[n.start : n.end]) for n in node.items], _lines(new), node.items
    if old != _lines(cell.text) or not old or not lines:  # empty, or cut elsewhere than at line ends
        yield node.start, node.end, "[" + ", ".join(f'"{_escaped(document, line)}"' for line in lines) + "]"
        return
    between = (
        document[items[0].end : items[1].start] if len(items) > 1 else "," + document[node.start + 1 : items[0].start]
    )
    for tag, i1, i2, j1, j2 in SequenceMatcher(None, old, lines, autojunk=False).get_opcodes():
        if tag == "equal":
            continue
        paired = min(i2 - i1, j2 - j1)
        for i, j in zip(range(i1, i1 + paired), range(j1, j1 + paired), strict=True):
            places = [*_characters(document, items[i]), (items[i].end - 1, items[i].end - 1)]
            start, end, piece = _trimmed(old[i], lines[j])
            yield places[start][0], places[end][0], _escaped(document, piece)
        added = [f'"{_escaped(document, line)}"' for line in lines[j1 + paired : j2]]
        at = i1 + paired
        if added and at:
            yield items[at - 1].end, items[at - 1].end, "".join(between + literal for literal in added)
        elif added:
            yield items[0].start, items[0].start, "".join(literal + between for literal in added)
        if at < i2:
            yield (items[at - 1].end, items[i2 - 1].end, "") if at else (items[0].start, items[i2].start, "")


def _changes(old: list[str], new: list[str]) -> Iterator[tuple[int, int, str]]:
    """(start, end, replacement) in the joined `old`, as small as whole lines that stay allow."""
    starts = [0]
    for line in old:
        starts.append(starts[-1] + len(line))
    for tag, i1, i2, j1, j2 in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if tag != "equal":
            pairs = list(zip(range(i1, i2), range(j1, j2), strict=True)) if i2 - i1 == j2 - j1 else []
            blocks = [(starts[i], old[i], new[j]) for i, j in pairs] or [
                (starts[i1], "".join(old[i1:i2]), "".join(new[j1:j2]))
            ]
            for base, before, after in blocks:
                start, end, piece = _trimmed(before, after)
                yield base + start, base + end, piece


def _trimmed(old: str, new: str) -> tuple[int, int, str]:
    """The one edit from `old` to `new`, without the ends that both share."""
    shortest = min(len(old), len(new))
    head = next((i for i in range(shortest) if old[i] != new[i]), shortest)
    tail = next((i for i in range(shortest - head) if old[-1 - i] != new[-1 - i]), shortest - head)
    return head, len(old) - tail, new[head : len(new) - tail]


def _lines(text: str) -> list[str]:
    return re.findall(r"[^\n]*\n|[^\n]+", text)


def _escaped(document: str, text: str) -> str:
    """`text` inside a JSON string; written in ASCII where the whole notebook is, and where UTF-8 has no bytes for it."""
    inside = json.dumps(text, ensure_ascii=document.isascii())[1:-1]
    return re.sub("[\ud800-\udfff]", lambda half: f"\\u{ord(half[0]):04x}", inside)
