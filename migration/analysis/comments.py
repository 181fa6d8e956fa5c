"""The comments of a Python file or a shell script, found by their grammars: a `#` in a string is none."""

from __future__ import annotations

import io
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass

import tree_sitter
import tree_sitter_bash

from migration.analysis.source import NEWLINE, Source, Unparsable

SHELL = (".sh", ".bash")


@dataclass(frozen=True)
class Comment:
    """`text` is the comment from its `#` on, without surrounding blanks; `line` counts from 1."""

    line: int
    text: str


def comments_of(path: str, raw: bytes) -> list[Comment]:
    """The comments of a `.py`, `.sh` or `.bash` file in order; none of any other. Raises Unparsable."""
    if path.endswith(".py"):
        return list(_python(Source(path, raw)))
    return list(_shell(shell_tree(raw).root_node)) if path.endswith(SHELL) else []


def shell_tree(raw: bytes) -> tree_sitter.Tree:
    """A shell script as a tree; tree-sitter marks what it does not understand with ERROR nodes and goes on."""
    return tree_sitter.Parser(tree_sitter.Language(tree_sitter_bash.language())).parse(raw)


def _python(source: Source) -> Iterator[Comment]:
    text = NEWLINE.sub("\n", source.text)
    try:
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type == tokenize.COMMENT:
                yield Comment(token.start[0], token.string.strip())
    except (tokenize.TokenError, SyntaxError) as error:
        line = error.args[1][0] if isinstance(error, tokenize.TokenError) else error.lineno or 1
        raise Unparsable(source.path, line, str(error.args[0])) from error


def _shell(node: tree_sitter.Node) -> Iterator[Comment]:
    if node.type == "comment":
        yield Comment(node.start_point[0] + 1, (node.text or b"").decode(errors="replace").strip())
    for child in node.children:
        yield from _shell(child)
