"""remove-commented-code: comment lines that hold code go; prose next to them stays.

A run of own-line comments goes where, without its `#`, it parses as statements and contains the asked-for text. Comments behind
code are never touched.
"""

from __future__ import annotations

import ast
import io
import textwrap
import tokenize

from migration.analysis.source import Source, splice
from migration.codemods import Context, Finding, Outcome, codemod
from migration.errors import BadInput
from migration.plan import RemoveCommentedCode
from migration.tree import Overlay

# What a sentence of prose may parse as by chance: `# note`, `# x, y`, `# shape: time`.
PROSE = (
    ast.Name,
    ast.Constant,
    ast.Attribute,
    ast.Tuple,
    ast.Compare,
    ast.BoolOp,
    ast.BinOp,
    ast.UnaryOp,
    ast.Subscript,
    ast.Starred,
)


@codemod(RemoveCommentedCode)
def remove_commented_code(step: RemoveCommentedCode, tree: Overlay, context: Context) -> Outcome:
    """Remove every block of commented-out code that contains one of `blocks`. Raises BadInput for a missing or unreadable file."""
    where = f"{context.plan.file}: step {step.id!r}"
    if not tree.exists(step.file):
        raise BadInput(f"{where}: field 'file': {step.file}: {tree.absence(step.file)}")
    source = tree.source(step.file)
    if not source.parses:
        raise BadInput(
            f"{where}: field 'file': {step.file} does not parse, so its comments cannot be told from its strings"
        )
    comments = own_line_comments(source)
    outcome = Outcome()
    gone: set[int] = set()
    for block in step.blocks:
        runs = {
            run
            for line in comments
            if block in comments[line][1] and line not in gone
            if (run := _code_around(comments, line))
        }
        for first, last in sorted(runs):
            gone.update(range(first, last + 1))
            text = _lines(source, first, last)
            outcome.findings.append(
                Finding("change", step.file, first, f"commented-out code ({block}) removed, lines {first}–{last}", text)
            )
            outcome.removed_comments += [comments[n][1] for n in range(first, last + 1) if n in comments]
        if not runs:
            outcome.findings.append(Finding("note", step.file, None, f"no commented-out code contains {block!r}"))
    if not gone:
        return Outcome("already done", "no such code in comments", findings=outcome.findings)
    outcome.edits[step.file] = source.encode(splice(source.text, _cuts(source, gone)))
    outcome.summary = f"{len(gone)} lines of commented-out code removed"
    return outcome


def own_line_comments(source: Source) -> dict[int, tuple[int, str]]:
    """Line number → (column, comment) of comments that have their line to themselves."""
    found = {}
    for token in tokenize.generate_tokens(io.StringIO(source.text, newline="").readline):
        if token.type == tokenize.COMMENT and not token.line[: token.start[1]].strip():
            found[token.start[0]] = (token.start[1], token.string)
    return found


def _code_around(comments: dict[int, tuple[int, str]], line: int) -> tuple[int, int] | None:
    """The widest run of comment lines around `line` that is code, blank lines within one statement included."""
    column = comments[line][0]
    same = {n for n, (c, _) in comments.items() if c == column}
    first = last = line
    while first - 1 in same or (first - 2 in same and first - 1 not in comments):
        first -= 1 if first - 1 in same else 2
    while last + 1 in same or (last + 2 in same and last + 1 not in comments):
        last += 1 if last + 1 in same else 2
    spans = sorted(
        ((b - a, -a, a, b) for a in range(first, line + 1) for b in range(line, last + 1) if a in same and b in same),
        reverse=True,
    )
    return next(
        (
            (a, b)
            for _, _, a, b in spans
            if _is_code([comments[n][1] if n in comments else "" for n in range(a, b + 1)], line - a + 1)
        ),
        None,
    )


def _is_code(lines: list[str], match: int) -> bool:
    """Whether comment lines are statements, the one on line `match` more than a phrase that happens to parse."""
    bare = [text[2:] if text.startswith("# ") else text[1:] for text in lines]
    text = textwrap.dedent("\n".join(bare))
    last = next((b for b in reversed(text.splitlines()) if b.strip()), "")
    if last.rstrip().endswith(":"):
        text += "\n" + " " * (len(last) - len(last.lstrip()) + 4) + "pass"
    try:
        body = ast.parse(text).body
    except (SyntaxError, ValueError):
        return False
    if not body or any(_is_phrase(node) for node in (body[0], body[-1])):
        return False
    blank = {i for i, b in enumerate(lines, 1) if not b}
    inside = {i for node in body for i in range(node.lineno, (node.end_lineno or node.lineno) + 1)}
    return blank <= inside and any(
        node.lineno <= match <= (node.end_lineno or node.lineno) and not _is_phrase(node) for node in body
    )


def _is_phrase(node: ast.stmt) -> bool:
    if isinstance(node, ast.AnnAssign):
        return node.value is None
    return isinstance(node, ast.Expr) and isinstance(node.value, PROSE)


def _lines(source: Source, first: int, last: int) -> str:
    return source.text[source.line_starts[first - 1] : _line_end(source, last)]


def _line_end(source: Source, line: int) -> int:
    return source.line_starts[line] if line < len(source.line_starts) else len(source.text)


def _cuts(source: Source, gone: set[int]) -> list[tuple[int, int, str]]:
    """The removed lines, and of the blank lines that come together as many as the larger side had."""
    edits = []
    lines = sorted(gone)
    while lines:
        first = last = lines.pop(0)
        while lines and lines[0] == last + 1:
            last = lines.pop(0)
        above = _blank_run(source, first - 1, -1)
        below = _blank_run(source, last + 1, 1)
        last += min(above, below)
        edits.append((source.line_starts[first - 1], _line_end(source, last), ""))
    return edits


def _blank_run(source: Source, line: int, step: int) -> int:
    count = 0
    while 1 <= line <= len(source.line_starts) and (text := _lines(source, line, line)) and not text.strip():
        count, line = count + 1, line + step
    return count
