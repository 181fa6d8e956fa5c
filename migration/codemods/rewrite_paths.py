"""rewrite-paths: `python x.py` becomes `python folder/x.py`, or `python -m package.x`, in the files a step names.

Rewritten is what runs the script or shows how to: commands, commands in strings and here-documents, commented-out and shown
commands, a variable that is run later, settings that are the path. Left and reported is what only looks at the file (`[[ -f x.py ]]`,
`grep x.py`), takes it away (`rm x.py`) or speaks of it: there the old file may be meant.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable
from functools import partial

from migration.analysis import modules
from migration.analysis.callers import changed_lines, folders
from migration.analysis.commands import CALLS, Mention, Role
from migration.analysis.paths import decoded, line_at, references, rewrite
from migration.codemods import codemod
from migration.errors import BadInput
from migration.outcome import Context, Finding, Outcome
from migration.plan import RewritePaths
from migration.tree import Overlay, is_record

REWRITTEN: frozenset[Role] = CALLS | {"shown-call", "assigned", "value"}
MODULE = re.compile(r"-m[ \t]+([^\W\d]\w*(?:\.[^\W\d]\w*)*)")


@codemod(RewritePaths)
def rewrite_paths(step: RewritePaths, tree: Overlay, context: Context) -> Outcome:
    """Put `to` in place of `from` in every file of `files`. Raises BadInput for a `to` that is neither a path nor `-m package.module`."""
    to = _target(step, context)
    outcome = Outcome()
    files = [path for path in tree.glob(step.files) if not is_record(path) and b"\0" not in tree.read(path)[:8192]]
    for pattern in step.files:
        if not tree.glob([pattern]):
            outcome.findings.append(Finding("note", pattern, None, "no file matches this pattern"))
    lines = 0
    for path in files:
        raw = tree.read(path)
        new, _, left = rewrite(
            path, raw, step.from_, to, REWRITTEN, unless=partial(_at_home, tree, path, step.from_, to)
        )
        if new != raw:
            outcome.edits[path] = new
            changed = changed_lines(path, raw, new, f"{step.from_} → {to}")
            outcome.findings += changed
            lines += len(changed)
        outcome.findings += [_left(path, raw, mention, to) for mention in left]
    if outcome.edits:
        outcome.summary = f"{_count(lines, 'line')} in {_count(len(outcome.edits), 'file')}"
        if not _leads_somewhere(tree, to, outcome.edits, context.roots):
            what = "no import root leads to this module" if to.startswith("-m ") else "the new path leads to no file"
            outcome.findings.append(Finding("warning", to, None, f"{what} of the repository"))
        return outcome
    if any(_uses(path, tree.read(path), to) for path in files):
        outcome.status, outcome.summary = "already done", f"{to} is called already"
    else:
        outcome.status = "nothing to do"
        outcome.summary = f"nothing calls {step.from_}" if files else f"no file matches {', '.join(step.files)}"
        if all(finding.line is None for finding in outcome.findings):  # else what names the script was left, and told
            message = f"{outcome.summary}, nor {to}, so it is not done already: are 'files' and 'from' spelt right?"
            outcome.findings.append(Finding("warning", ", ".join(step.files), None, message))
    return outcome


def _leads_somewhere(tree: Overlay, to: str, callers: Iterable[str], roots: list[str]) -> bool:
    if to.startswith("-m "):
        return any(modules.find_module(tree, to[3:], root) for root in roots)
    return any(tree.exists(_join(base, to)) for path in callers for base in ("", posixpath.dirname(path)))


def _target(step: RewritePaths, context: Context) -> str:
    where = f"{context.plan.file}: step {step.id!r}: field 'to': {step.to!r}"
    if module := MODULE.fullmatch(step.to):
        return f"-m {module[1]}"
    if step.to.startswith("-") or "\n" in step.to or step.to.endswith("/"):
        raise BadInput(f'{where} is neither; expected a path ("training/x.py") or "-m package.module"')
    old, new = (posixpath.normpath(path) for path in (step.from_, step.to))
    if new.count("../") > old.count("../") or (new[0] in "/~") > (old[0] in "/~"):
        raise BadInput(f"{where} leads out of the repository; expected a path inside it, written as 'from' is")
    return step.to


def _at_home(tree: Overlay, path: str, script: str, to: str, mention: Mention) -> bool:
    """Whether a `cd` before it makes the call work as it stands, and the new path would not."""
    if not mention.folder:
        return False
    bases = [base for base in folders(path, mention) if tree.exists(_join(base, script))]
    return bool(bases) and not any(
        base == "" if to.startswith("-m ") else tree.exists(_join(base, to)) for base in bases
    )


def _left(path: str, raw: bytes, mention: Mention, to: str) -> Finding:
    line = line_at(decoded(raw), mention.start)
    if mention.role == "variable":
        return Finding(
            "warning", path, mention.line, "left: the folder in front of it is a variable; look at it by hand", line
        )
    if mention.role not in REWRITTEN:
        return Finding("note", path, mention.line, "left: names the script without running it", line)
    if mention.folder and not (to.startswith("-m ") and not mention.module):
        return Finding(
            "warning",
            path,
            mention.line,
            f"left: the call works from {mention.folder!r}, where a `cd` leads, and {to} would not",
            line,
        )
    return Finding(
        "warning",
        path,
        mention.line,
        f"left: {to} can stand only behind an interpreter and its options, such as `python -u`",
        line,
    )


def _uses(path: str, raw: bytes, to: str) -> bool:
    if to.startswith("-m "):
        return re.search(rf"-m[\s\"',]+{re.escape(to[3:])}(?![\w.])", decoded(raw)) is not None
    return any(mention.role in REWRITTEN for mention in references(path, raw, to))


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _join(base: str, path: str) -> str:
    return posixpath.normpath(posixpath.join(base, path))
