"""One Python file: its bytes, its text, and its top-level statements as slices of that text.

libcst finds the statements, but what moves is a slice of the file, never a tree printed again: libcst does not give
back every byte of every file.
"""

from __future__ import annotations

import ast
import bisect
import io
import re
import tokenize
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import libcst as cst

BOM = "\ufeff"
NEWLINE = re.compile(r"\r\n|\r|\n")


class Unparsable(ValueError):
    """The file is not Python this interpreter can read."""

    def __init__(self, path: str, line: int, why: str) -> None:
        super().__init__(f"{path}:{line}: does not parse ({why})")
        self.path, self.line, self.why = path, line, why


@dataclass(frozen=True)
class Statement:
    """A top-level statement. `text[lead:end]` is the statement with the comments and blank lines above it.

    `start` is where its first decorator or keyword begins, `end` is behind its newline. `node` is the ast node, or None
    for a line of several small statements, whose nodes are then in `nodes` like everyone's.
    """

    lead: int
    start: int
    end: int
    nodes: tuple[ast.stmt, ...]

    @property
    def node(self) -> ast.stmt:
        return self.nodes[0]


class Source:
    """A file's bytes seen as Python. Offsets are indices into `text`."""

    def __init__(self, path: str, raw: bytes) -> None:
        self.path = path
        self.raw = raw

    @cached_property
    def encoding(self) -> str:
        try:
            return tokenize.detect_encoding(io.BytesIO(self.raw).readline)[0]
        except SyntaxError as error:
            raise Unparsable(self.path, 1, str(error)) from error

    @cached_property
    def text(self) -> str:
        """The decoded text without its byte order mark; newlines as they are in the file."""
        try:
            return self.raw.decode("utf-8" if self.encoding == "utf-8-sig" else self.encoding).removeprefix(BOM)
        except UnicodeDecodeError as error:
            raise Unparsable(self.path, self.raw[: error.start].count(b"\n") + 1, str(error)) from error

    def encode(self, text: str) -> bytes:
        """`text` as bytes of a file like this one (same encoding, same byte order mark)."""
        encoding = "utf-8" if self.encoding == "utf-8-sig" else self.encoding
        return ((BOM if self.raw.startswith(BOM.encode()) else "") + text).encode(encoding)

    @cached_property
    def newline(self) -> str:
        found = NEWLINE.search(self.text)
        return found.group() if found else "\n"

    @cached_property
    def line_starts(self) -> list[int]:
        return [0, *(m.end() for m in NEWLINE.finditer(self.text))]

    @cached_property
    def tree(self) -> ast.Module:
        """The abstract tree, for names and positions. Raises Unparsable."""
        try:
            return ast.parse(self.text, type_comments=False)
        except (SyntaxError, ValueError, RecursionError) as error:
            raise Unparsable(
                self.path, getattr(error, "lineno", None) or 1, getattr(error, "msg", str(error))
            ) from error

    @cached_property
    def imports(self) -> tuple[ast.Import | ast.ImportFrom, ...]:
        """Every import statement at whatever depth, in order of the text. Raises Unparsable."""
        return tuple(n for n in statements_in(self.tree.body) if isinstance(n, ast.Import | ast.ImportFrom))

    @cached_property
    def memo(self) -> dict[str, Any]:
        """What others have found out about this file, under a key of theirs: a Source never changes."""
        return {}

    @cached_property
    def strings(self) -> tuple[tuple[str, int], ...]:
        """Every string literal that is used for something, and its line. Raises Unparsable."""
        prose = {id(n.value) for n in statements_in(self.tree.body) if isinstance(n, ast.Expr)}
        constants = (n for n in self._expressions if isinstance(n, ast.Constant) and id(n) not in prose)
        return tuple((n.value, n.lineno) for n in constants if isinstance(n.value, str))

    @cached_property
    def attributes(self) -> frozenset[tuple[str, str]]:
        """(`a.b`, `c`) for every dotted expression `a.b.c`. Raises Unparsable."""
        found = ((dotted(n.value), n.attr) for n in self._expressions if isinstance(n, ast.Attribute))
        return frozenset((value, name) for value, name in found if value)

    @cached_property
    def _expressions(self) -> tuple[ast.Constant | ast.Attribute, ...]:
        """Literals and attributes: the tree is walked once for both."""
        return tuple(n for n in ast.walk(self.tree) if isinstance(n, ast.Attribute | ast.Constant))

    @cached_property
    def module(self) -> cst.Module:
        """The concrete tree, for statements with their trivia. Raises Unparsable."""
        try:
            return cst.parse_module(self.text)
        except (cst.ParserSyntaxError, RecursionError, ValueError) as error:
            raise Unparsable(self.path, getattr(error, "raw_line", 1), getattr(error, "message", str(error))) from error

    @property
    def parses(self) -> bool:
        try:
            return self.tree is not None
        except Unparsable:
            return False

    def offset(self, line: int, byte_column: int) -> int:
        """Index into `text` of an ast position (1-based line, 0-based UTF-8 byte column)."""
        begin = self.line_starts[line - 1]
        head = self.text[begin : begin + byte_column]
        if head.isascii():
            return begin + byte_column
        end = self.line_starts[line] if line < len(self.line_starts) else len(self.text)
        return begin + len(self.text[begin:end].encode()[:byte_column].decode())

    def span(self, node: Any) -> tuple[int, int]:
        """(start, end) of an ast node in `text`; decorators are part of a definition."""
        first = min([node, *getattr(node, "decorator_list", [])], key=lambda n: (n.lineno, n.col_offset))
        start = self.offset(first.lineno, first.col_offset)
        if first is not node:
            start = self.text.rindex("@", 0, start)
        return start, self.offset(node.end_lineno, node.end_col_offset)

    def line_of(self, offset: int) -> int:
        """1-based line number of an offset."""
        return bisect.bisect_right(self.line_starts, offset)

    @cached_property
    def statements(self) -> tuple[Statement, ...]:
        """The top-level statements in order, each with the trivia above it. Raises Unparsable.

        libcst says how many lines above a statement are its own, and by that which comments end the body before it; it is
        not asked to print them, since it does not give back every byte of every file.
        """
        leads: list[int] = []
        groups: list[tuple[ast.stmt, ...]] = []
        nodes = list(self.tree.body)
        for piece in self.module.body:
            size = len(piece.body) if isinstance(piece, cst.SimpleStatementLine) else 1
            group, nodes = tuple(nodes[:size]), nodes[size:]
            if len(group) < size:
                return self._statements_by_line()
            first = self.line_of(self.span(group[0])[0]) - len(getattr(piece, "leading_lines", ()))
            leads.append(self.line_starts[max(first, 1) - 1] if leads else 0)
            groups.append(group)
        lines = len(self.line_starts) - self.text.endswith(("\n", "\r"))
        footer = lines - len(self.module.footer)
        ends = [*leads[1:], self.line_starts[footer] if footer < len(self.line_starts) else len(self.text)]
        if nodes or any(self.span(g[-1])[1] > end for g, end in zip(groups, ends, strict=False)):
            return self._statements_by_line()
        return tuple(
            Statement(lead, self.span(group[0])[0], end, group)
            for lead, group, end in zip(leads, groups, ends, strict=False)
        )

    def _statements_by_line(self) -> tuple[Statement, ...]:
        """The same from ast positions alone, for files that libcst does not give back letter for letter."""
        found: list[Statement] = []
        lead = 0
        for node in self.tree.body:
            start, stop = self.span(node)
            line = self.line_of(stop)
            end = self.line_starts[line] if line < len(self.line_starts) else len(self.text)
            if found and start < found[-1].end:
                last = found.pop()
                found.append(Statement(last.lead, last.start, max(end, last.end), (*last.nodes, node)))
            else:
                found.append(Statement(lead, start, end, (node,)))
            lead = found[-1].end
        return tuple(found)


def dotted(node: ast.expr) -> str:
    """`a.b.c` as text, empty for what is not names and attributes only."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (value := dotted(node.value)):
        return f"{value}.{node.attr}"
    return ""


def blocks_of(node: ast.AST) -> Iterator[ast.AST]:
    """The statements, handlers and cases right below a node; expressions are not looked into."""
    for name in ("body", "handlers", "orelse", "finalbody", "cases"):
        inner = getattr(node, name, None)
        if isinstance(inner, list):
            yield from inner


def statements_in(body: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """Statements at whatever depth, in order of the text."""
    for node in body:
        yield node
        yield from statements_in(blocks_of(node))


def splice(text: str, edits: Iterable[tuple[int, int, str]]) -> str:
    """`text` with every (start, end, replacement) applied; edits may not overlap."""
    pieces: list[str] = []
    position = 0
    for start, end, new in sorted(edits, key=lambda e: (e[0], e[1])):
        if start < position:
            raise ValueError(f"overlapping edits at offset {start}")
        pieces += (text[position:start], new)
        position = end
    return "".join([*pieces, text[position:]])
