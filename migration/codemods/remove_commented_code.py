"""remove-commented-code: comment lines that hold code go; prose next to them stays.

A run of own-line comments goes where, without its `#`, it parses as statements and contains the asked-for text. Comments behind
code are never touched.
"""

from __future__ import annotations

import ast
import io
import tokenize
from dataclasses import dataclass

from migration.analysis.source import Source, splice
from migration.codemods import Context, Finding, Outcome, codemod, named_source
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
# What has to stand above a branch for it to parse without the statement that it belongs to.
BRANCHES = {"elif": "if 0: pass\n", "else": "if 0: pass\n", "except": "try: pass\n", "finally": "try: pass\n"}


@codemod(RemoveCommentedCode)
def remove_commented_code(step: RemoveCommentedCode, tree: Overlay, context: Context) -> Outcome:
    """Remove every block of commented-out code that contains one of `blocks`. Raises BadInput for a missing or unreadable file."""
    source = named_source(step, "file", tree, context)
    comments = own_line_comments(source)
    starts: dict[int, _Code] = {}
    outcome = Outcome()
    gone: set[int] = set()
    for block in step.blocks:
        runs = {
            run
            for line in comments
            if block in comments[line][1] and line not in gone
            if (run := _code_around(source, comments, line, starts))
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


@dataclass(frozen=True)
class _Code:
    """How many lines from a first one on are statements, and which of them belong to more than a phrase that happens to parse."""

    count: int = 0
    lines: frozenset[int] = frozenset()


def _code_around(
    source: Source, comments: dict[int, tuple[int, str]], line: int, starts: dict[int, _Code]
) -> tuple[int, int] | None:
    """The widest run of comment lines around `line` that is code, blank lines within one statement included.

    `starts` remembers what was found from each first line on.
    """
    same = {n for n, (column, _) in comments.items() if column == comments[line][0]}
    blank = {n for n in (m + step for m in same for step in (-1, 1)) if _blank_run(source, n, 1)}
    first = last = line
    while first - 1 in same or (first - 1 in blank and first - 2 in same):
        first -= 1 if first - 1 in same else 2
    while last + 1 in same or (last + 1 in blank and last + 2 in same):
        last += 1 if last + 1 in same else 2
    bare = [_bare(comments[n][1]) if n in same else "" for n in range(first, last + 1)]
    found = []
    for start in (n for n in range(first, line + 1) if n in same):
        if start not in starts:
            starts[start] = _code(bare[start - first :])
        if line - start in starts[start].lines:
            found.append((starts[start].count, -start))
    count, start = max(found, default=(0, 0))
    return (-start, -start + count - 1) if count else None


def _bare(comment: str) -> str:
    return comment[2:] if comment.startswith("# ") else comment[1:]


def _code(lines: list[str]) -> _Code:
    """As many of the lines as are statements. A line at which the parser gives up spoils every longer run too."""
    margin = len(lines[0]) - len(lines[0].lstrip())
    above = BRANCHES.get(lines[0].lstrip().partition(":")[0].partition(" ")[0], "")
    count = next((i for i, text in enumerate(lines) if text.strip() and text[:margin].strip()), len(lines))
    while count:
        text = above + "\n".join(text[margin:] for text in lines[:count])
        last = next((t for t in reversed(text.splitlines()) if t.strip()), "")
        if last.rstrip().endswith(":"):
            text += "\n" + " " * (len(last) - len(last.lstrip()) + 4) + "pass"
        try:
            body = ast.parse(text).body
        except SyntaxError as error:
            count = min(count, (error.lineno or 1) - bool(above)) - 1
            continue
        except ValueError:
            break
        spans = [range(n.lineno - 1 - bool(above), (n.end_lineno or n.lineno) - bool(above)) for n in body]
        inside = {i for span in spans for i in span}
        outside = next((i for i in range(count) if not lines[i].strip() and i not in inside), None)
        if not body or _is_phrase(body[0]):
            break
        if outside is not None or _is_phrase(body[-1]):
            count = outside if outside is not None else spans[-1].start
            continue
        code = (span for node, span in zip(body, spans, strict=True) if not _is_phrase(node))
        return _Code(count, frozenset(i for span in code for i in span))
    return _Code()


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
