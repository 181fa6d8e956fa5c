"""Two files that are not Python, or not readable as such, compared: shell scripts by their grammar, anything else by its lines."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator

import tree_sitter

from migration.analysis.callers import POINTED as CALLED
from migration.analysis.comments import SHELL, comments_of, shell_tree
from migration.analysis.entries import Category, Entry
from migration.analysis.paths import decoded, encoded, references
from migration.analysis.source import BOM, NEWLINE, splice

# Nodes whose children blanks only separate. Any other node counts as it is written: strings and here-documents, where a blank matters.
LOOSE = frozenset(
    [
        "program",
        "command",
        "command_name",
        "pipeline",
        "list",
        "redirected_statement",
        "if_statement",
        "elif_clause",
        "else_clause",
        "for_statement",
        "while_statement",
        "do_group",
        "case_statement",
        "case_item",
        "function_definition",
        "compound_statement",
        "subshell",
        "variable_assignment",
        "declaration_command",
        "negated_command",
        "array",
    ]
)
PATH = re.compile(r"(?<![\w./~${}-])(?:(?:~|[\w.-]+)?/)+[\w.-]+\.(?:py|sh|bash)(?![\w/-])")
MODULE = re.compile(r"(?<=\s)-m[ \t]+(?:[^\W\d]\w*\.)+(?P<name>[^\W\d]\w*)(?![\w./-])")


def compare_text(path: str, canonical: bytes, duplicate: bytes) -> list[Entry]:
    """One entry for the file where it is the same in all that matters, else one a run of lines that differ.

    `path` says by its ending what sort of file both are. A line that only one of two scripts has changes what the script does.
    """
    ours, theirs = (NEWLINE.sub("\n", decoded(raw).removeprefix(BOM)) for raw in (canonical, duplicate))
    if path.endswith(SHELL) and b"\r" in canonical and b"\r" not in duplicate:
        return [
            _whole(
                "different", ours, theirs, ("lines end in carriage returns, which a shell takes for part of the words",)
            )
        ]
    if ours == theirs:
        return [_whole("identical", ours, theirs)]
    pair = _Pair(path, ours, theirs)
    entries = list(pair.hunks())
    if pair.verdict == "different" and not any(e.matters for e in entries):
        return [_whole("different", ours, theirs)]
    return entries


class _Pair:
    """Two different texts of one sort, newlines as "\\n"."""

    def __init__(self, path: str, ours: str, theirs: str) -> None:
        self.texts = (ours, theirs)
        self.named = tuple(spelt_by_name(path, text) for text in self.texts)
        self.shell = path.endswith(SHELL) and all(_structure(text) is not None for text in self.texts)
        self.comments = [{c.line for c in comments_of(path, encoded(t))} if self.shell else set() for t in self.texts]
        self.verdict = self._verdict()

    def _verdict(self) -> Category:
        """What the files differ in; only of scripts that their grammar understands is more known than that they do."""
        if self.shell and _structure(self.texts[0]) == _structure(self.texts[1]):
            return "cosmetic"
        return "path-only" if self.shell and _structure(self.named[0]) == _structure(self.named[1]) else "different"

    def hunks(self) -> Iterator[Entry]:
        """The runs of lines that differ."""
        left, right = (text.split("\n") for text in self.texts)
        for tag, i, k, j, m in difflib.SequenceMatcher(None, left, right, autojunk=False).get_opcodes():
            if tag != "equal":
                name = f"lines {j + 1}–{m}" if m - j > 1 else f"line {min(j, len(right) - 1) + 1}"
                lines = (i + 1, k) if k > i else None, (j + 1, m) if m > j else None
                yield Entry(
                    name,
                    self._category((i, k), (j, m)),
                    shown("\n".join(left[i:k])),
                    shown("\n".join(right[j:m])),
                    *lines,
                )

    def _category(self, ours: tuple[int, int], theirs: tuple[int, int]) -> Category:
        words, named = (
            [
                [line.split() for line in t.split("\n")[a:b] if line.strip()]
                for t, (a, b) in zip(texts, (ours, theirs), strict=True)
            ]
            for texts in (self.texts, self.named)
        )
        if words[0] == words[1]:
            return "cosmetic"
        if all(
            line[0].startswith("#") and n in known
            for lines, known in zip(self._numbered(ours, theirs), self.comments, strict=True)
            for n, line in lines
        ):
            return "comment-only"
        return "path-only" if named[0] == named[1] else self.verdict

    def _numbered(self, *ranges: tuple[int, int]) -> Iterator[list[tuple[int, list[str]]]]:
        """The lines that are not blank, each with its number."""
        for text, (a, b) in zip(self.texts, ranges, strict=True):
            yield [(n, line.split()) for n, line in enumerate(text.split("\n")[a:b], a + 1) if line.strip()]


def spelt_by_name(path: str, text: str) -> str:
    """`text` with the scripts that it calls named without their folders: `../a/run.sh` and `-m a.run` become `run.sh` and `run.py`."""
    raw = encoded(text)
    calls = {
        (m.start, m.end)
        for spelling in set(PATH.findall(text))
        for m in references(path, raw, spelling)
        if m.role in CALLED
    }
    short = splice(text, [(start, end, text[start:end].rpartition("/")[2]) for start, end in calls])
    return MODULE.sub(r"\g<name>.py", short) if path.endswith(SHELL) else short


def _structure(text: str) -> object:
    """A shell script without its comments and the blanks between its words; None where it is not understood."""
    root = shell_tree(encoded(text)).root_node
    return None if root.has_error else _shape(root)


def _shape(node: tree_sitter.Node) -> object:
    if node.type not in LOOSE:
        return node.text
    inner = [child for child in node.children if child.type != "comment"]
    return node.type, tuple(_shape(child) for child in inner if child.type in LOOSE or (child.text or b"").strip())


def shown(text: str) -> str:
    """Text that may hold undecodable bytes, fit for printing."""
    return encoded(text).decode("utf-8", "replace")


def _whole(category: Category, ours: str, theirs: str, notes: tuple[str, ...] = ()) -> Entry:
    lines = [(1, max(1, len(text.splitlines()))) for text in (ours, theirs)]
    return Entry("the file", category, shown(ours), shown(theirs), lines[0], lines[1], notes)
