"""Two files that are not Python, or not readable as such, compared: shell scripts by their grammar, anything else by its lines."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator

import tree_sitter

from migration.analysis.comments import SHELL, comments_of, shell_tree
from migration.analysis.entries import Category, Entry
from migration.analysis.source import BOM, NEWLINE

# Nodes whose children blanks only separate. Any other node counts as it is written: strings and here-documents, where a blank matters.
LOOSE = frozenset(
    "program command command_name pipeline list redirected_statement if_statement elif_clause else_clause for_statement while_statement "
    "do_group case_statement case_item function_definition compound_statement subshell variable_assignment declaration_command "
    "negated_command array".split()
)
SCRIPT = r"(?P<name>[\w.-]+\.(?:py|sh|bash))(?![\w/-])"
FOLDERS = re.compile(rf"(?<![\w./~${{}}-])(?:(?:~|\.{{1,2}}|\$\w+|\$\{{\w+\}}|[\w.-]+)?/)+{SCRIPT}")
MODULE = re.compile(r"(?<![\w-])-m[ \t]+(?:[^\W\d]\w*\.)+(?P<name>[^\W\d]\w*)(?![\w./-])")


def compare_text(path: str, canonical: bytes, duplicate: bytes) -> list[Entry]:
    """One entry for the file where it is the same in all that matters, else one a run of lines that differ.

    `path` says by its ending what sort of file both are. A line that only one of two scripts has changes what the script does.
    """
    ours, theirs = (_text(raw) for raw in (canonical, duplicate))
    if ours == theirs:
        return [_whole("identical", ours, theirs)]
    verdict = _verdict(path, ours, theirs)
    entries = list(_hunks(path, ours, theirs, verdict))
    if verdict == "different" and not any(e.matters for e in entries):
        entries = [_whole("different", ours, theirs)]
    return entries or [_whole(verdict, ours, theirs)]


def spelt_by_name(text: str) -> str:
    """`text` with scripts named without their folders: `../a/run.sh` and `-m a.run` become `run.sh` and `run.py`."""
    return MODULE.sub(r"\g<name>.py", FOLDERS.sub(r"\g<name>", text))


def _verdict(path: str, ours: str, theirs: str) -> Category:
    """What the whole file differs in; a script that its grammar does not understand is only compared as text."""
    if not path.endswith(SHELL):
        return "different"
    if _same(_structure(ours), _structure(theirs)):
        return "cosmetic"
    return "path-only" if _same(_structure(spelt_by_name(ours)), _structure(spelt_by_name(theirs))) else "different"


def _same(ours: object, theirs: object) -> bool:
    return ours is not None and ours == theirs


def _structure(text: str) -> object:
    """A shell script without its comments and the blanks between its words; None where it is not understood."""
    root = shell_tree(text.encode()).root_node
    return None if root.has_error else _shape(root)


def _shape(node: tree_sitter.Node) -> object:
    if node.type not in LOOSE:
        return (node.text or b"").decode()
    inner = [child for child in node.children if child.type != "comment"]
    return node.type, tuple(_shape(child) for child in inner if child.type in LOOSE or (child.text or b"").strip())


def _hunks(path: str, ours: str, theirs: str, verdict: Category) -> Iterator[Entry]:
    """The runs of lines that differ, one by one."""
    left, right = ours.split("\n"), theirs.split("\n")
    comments = [{c.line for c in comments_of(path, text.encode())} if path.endswith(SHELL) else set() for text in (ours, theirs)]
    for tag, i, k, j, m in difflib.SequenceMatcher(None, left, right, autojunk=False).get_opcodes():
        if tag == "equal":
            continue
        a, b = left[i:k], right[j:m]
        bare = all(
            not line.strip() or (line.lstrip().startswith("#") and number in known)
            for lines, first, known in ((a, i, comments[0]), (b, j, comments[1]))
            for number, line in enumerate(lines, first + 1)
        )
        category: Category
        if bare and path.endswith(SHELL) and verdict != "different":
            category = "comment-only" if any(line.strip() for line in [*a, *b]) else "cosmetic"
        elif [spelt_by_name(line).split() for line in a] == [spelt_by_name(line).split() for line in b]:
            category = "path-only" if [line.split() for line in a] != [line.split() for line in b] else "cosmetic"
        else:
            category = verdict
        where = "end" if not b and j >= len(right) else str(j + 1)
        name = f"line {where}" if m - j <= 1 else f"lines {j + 1}–{m}"
        lines = (i + 1, k) if k > i else None, (j + 1, m) if m > j else None
        yield Entry(name, category, "\n".join(a), "\n".join(b), *lines)


def _whole(category: Category, ours: str, theirs: str) -> Entry:
    return Entry("the file", category, ours, theirs, *((1, max(1, len(t.splitlines()))) for t in (ours, theirs)))


def _text(raw: bytes) -> str:
    return NEWLINE.sub("\n", raw.decode("utf-8", "surrogateescape").removeprefix(BOM))
