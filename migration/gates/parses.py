"""Every touched file still parses, by the parser of its kind."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Iterator

import tree_sitter

from migration.analysis.comments import SHELL, shell_tree
from migration.analysis.source import Source, Unparsable
from migration.gates import Check, Failure, gate
from migration.tree import Overlay

Problem = tuple[int | None, str]


@gate("parses", "Every touched file parses")
def parses(check: Check) -> Iterator[Failure]:
    for path in check.touched:
        if not check.after.exists(path):
            continue
        problem = _problem(check, path)
        if problem is None:
            continue
        line, why = problem
        if check.before.exists(path) and _broken(check.before, path):
            sentence = f"did not parse before the migration either ({why}), so no edit to it can be checked; repair it first, or leave it out"
        else:
            sentence = (
                f"parsed before and does not afterwards ({why})"
                if check.before.exists(path)
                else f"is new and does not parse ({why})"
            )
        yield Failure(path, line, sentence)


def _problem(check: Check, path: str) -> Problem | None:
    """What is wrong with the file afterwards. A shell script may be as odd as it was."""
    if not path.endswith(SHELL):
        return _broken(check.after, path)
    errors = list(_shell_errors(shell_tree(check.after.read(path)).root_node))
    allowed = (
        len(list(_shell_errors(shell_tree(check.before.read(path)).root_node))) if check.before.exists(path) else 0
    )
    return (errors[allowed], "bash does not understand it from here") if len(errors) > allowed else None


def _broken(tree: Overlay, path: str) -> Problem | None:
    raw = tree.read(path)
    if path.endswith(".py"):
        return _python(tree.source(path))
    checks: dict[str, Callable[[str], object]] = {"toml": tomllib.loads, "json": json.loads, "ipynb": _notebook}
    loads = checks.get(path.rpartition(".")[2])
    if loads is None:
        return _yaml(raw) if path.endswith((".yaml", ".yml")) else None
    try:
        loads(raw.decode("utf-8-sig" if path.endswith(".json") else "utf-8"))
    except Exception as error:  # nbformat raises whatever its validators raise
        return getattr(error, "lineno", None), str(error).partition("\n")[0] or type(error).__name__
    return None


def _python(source: Source) -> Problem | None:
    """Compiled, not only parsed: a late `from __future__`, a `return` outside a function are the compiler's to find."""
    try:
        compile(source.tree, source.path, "exec", dont_inherit=True)
    except Unparsable as error:
        return error.line, error.why
    except (SyntaxError, ValueError, RecursionError) as error:
        return getattr(error, "lineno", None), getattr(error, "msg", str(error))
    return None


def _notebook(text: str) -> None:
    import nbformat  # brings a JSON schema library in: only where there is a notebook

    nbformat.validate(nbformat.reads(text, as_version=nbformat.NO_CONVERT))  # type: ignore[no-untyped-call]


def _yaml(raw: bytes) -> Problem | None:
    """The two things that an edit inside a line can break in any YAML: the encoding, and tabs used for indentation."""
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        return raw[: error.start].count(b"\n") + 1, "it is not UTF-8"
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("\t") and line.strip() and not line.strip().startswith("#"):
            return number, "a tab indents it"
    return None


def _shell_errors(node: tree_sitter.Node) -> Iterator[int]:
    """The lines of ERROR and missing nodes."""
    if node.is_error or node.is_missing:
        yield node.start_point[0] + 1
    for child in node.children:
        if child.has_error:
            yield from _shell_errors(child)
