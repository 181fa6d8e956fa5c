"""document-arguments: `add_argument` calls get their help texts, and a misleading comment above them its correction."""

from __future__ import annotations

import ast
import io
import json
import re
import tokenize

from migration.analysis.source import Source, splice
from migration.codemods import Context, Finding, Outcome, codemod, named_source
from migration.errors import BadInput, nearest
from migration.plan import DocumentArguments, ReplaceComment
from migration.tree import Overlay

WIDTH = 100
Edit = tuple[int, int, str]


@codemod(DocumentArguments)
def document_arguments(step: DocumentArguments, tree: Overlay, context: Context) -> Outcome:
    """Give the options of `step` their help. Raises BadInput for an option that no `add_argument` call names."""
    where = f"{context.plan.file}: step {step.id!r}"
    source = named_source(step, "file", tree, context)
    calls = _calls(source)
    outcome, edits = Outcome(), []
    for flag, text in step.options.items():
        if flag not in calls:
            raise BadInput(
                f"{where}: field 'options': no add_argument call in {step.file} names {flag!r}{nearest(flag, calls)}"
            )
        for call in calls[flag]:
            if (edit := _help_edit(source, call, _escaped(text))) is not None:
                edits.append(edit)
                start, end = source.span(call)
                old, new = (
                    source.text[start:end],
                    splice(source.text[start:end], [(edit[0] - start, edit[1] - start, edit[2])]),
                )
                outcome.findings.append(
                    Finding("change", step.file, call.lineno, f"{flag} gets its help text", old, new)
                )
    if step.replace_comment is not None:
        if not _writable(source, step.replace_comment.to):
            raise BadInput(
                f"{where}: field 'replace_comment': {step.file} is written in {source.encoding}, which lacks a character of {step.replace_comment.to!r}"
            )
        edits += _comment_edits(source, step.replace_comment, step.file, outcome)
    if not edits:
        return Outcome("already done", "the options say what they do", findings=outcome.findings)
    outcome.edits[step.file] = source.encode(
        splice(source.text, [(a, b, t.replace("\n", source.newline)) for a, b, t in edits])
    )
    outcome.summary = f"{len(edits)} help texts and comments in {step.file}"
    return outcome


def _calls(source: Source) -> dict[str, list[ast.Call]]:
    """`add_argument` calls by each of their option strings."""
    found: dict[str, list[ast.Call]] = {}
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "add_argument":
            for argument in node.args:
                if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                    found.setdefault(argument.value, []).append(node)
    return found


def _escaped(text: str) -> str:
    """`%` doubled where argparse would take it for a format that it is not."""
    return re.sub(r"%(?!%|\([a-z_]+\)[a-z])(?<!%%)", "%%", text)


def _help_edit(source: Source, call: ast.Call, text: str) -> Edit | None:
    """The edit that sets `help=`, on a line of its own where the call's line would grow too long."""
    literal = json.dumps(text, ensure_ascii=not _writable(source, text))
    for keyword in call.keywords:
        if keyword.arg == "help":
            same = isinstance(keyword.value, ast.Constant) and keyword.value.value == text
            return None if same else (*source.span(keyword.value), literal)
    arguments: list[ast.expr | ast.keyword] = [*call.args, *call.keywords]
    last = max(arguments, key=lambda a: (a.end_lineno or 0, a.end_col_offset or 0))
    place = behind(source, source.span(last)[1], source.span(call)[1] - 1)
    start = source.line_starts[source.line_of(place) - 1]
    end = source.text.find("\n", place)
    if len(source.text[start : end if end >= 0 else None].rstrip()) + len(f", help={literal}") <= WIDTH:
        return place, place, f", help={literal}"
    first = source.span(min(arguments, key=lambda a: (a.lineno, a.col_offset)))[0]
    line = source.text[source.line_starts[source.line_of(first) - 1] : first]
    indent = re.sub(r"[^\t]", " ", line)
    return place, place, f",\n{indent}help={literal}"


def _writable(source: Source, text: str) -> bool:
    """Whether the file's encoding has every character of `text`."""
    try:
        source.encode(text)
    except UnicodeEncodeError:
        return False
    return True


def behind(source: Source, position: int, closing: int) -> int:
    """The place behind the last argument, the brackets around its value included, before a trailing comma or comment."""
    between = re.sub(r"#[^\r\n]*", lambda m: " " * len(m.group()), source.text[position:closing])
    return position + between.rindex(")") + 1 if ")" in between else position


def _comment_edits(source: Source, replace: ReplaceComment, path: str, outcome: Outcome) -> list[Edit]:
    wanted, new = replace.from_.lstrip("# ").strip(), "# " + replace.to.lstrip("# ").strip()
    edits = []
    for token in tokenize.generate_tokens(io.StringIO(source.text, newline="").readline):
        if token.type == tokenize.COMMENT and token.string.lstrip("# ").strip() == wanted and token.string != new:
            start = source.line_starts[token.start[0] - 1] + token.start[1]
            edits.append((start, start + len(token.string), new))
            outcome.findings.append(
                Finding("change", path, token.start[0], "a misleading comment is corrected", token.string, new)
            )
            outcome.removed_comments.append(token.string)
    if not edits:
        outcome.findings.append(Finding("note", path, None, f"no comment reads {wanted!r}"))
    return edits
