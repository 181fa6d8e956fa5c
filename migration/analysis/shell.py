"""Scripts named in shell text: what runs them, what only mentions them.

The grammar is tree-sitter's, which tolerates errors; inside an error the words of the line decide. Commands in strings,
here-documents and comments are read as shell in their turn.
"""

from __future__ import annotations

import posixpath
import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache, cached_property

import tree_sitter_bash
from tree_sitter import Language, Node, Parser

from migration.analysis import commands
from migration.analysis.commands import Mention, Role, Token, program, runner, shown, tokens

# What ends the climb from a path to what it is there for.
CONTEXTS = frozenset(
    [
        "command",
        "comment",
        "heredoc_body",
        "variable_assignment",
        "for_statement",
        "file_redirect",
        "test_command",
        "case_item",
        "unset_command",
        "ERROR",
    ]
)
STRINGS = frozenset(["string", "raw_string", "ansi_c_string"])
# A `cd` in one of these does not outlive it.
SCOPES = frozenset(["subshell", "command_substitution", "process_substitution", "function_definition"])
JOINS = re.compile(r"(\\\r\n)|\r\n|\ufeff|[^\x00-\x7f]")
ESCAPED = re.compile(r'\\(["$`])')
HASHES = re.compile(r"^[ \t]*#+", re.MULTILINE)
OWN_FOLDER = re.compile(
    r"""(?:dirname\W[^)]*(?:\$\{?0|BASH_SOURCE)[^)]*\)+|\$\{(?:0|BASH_SOURCE(?:\[0\])?)%/\*\})["']*(?P<tail>(?:/[\w.-]+)*)"""
)


@dataclass(frozen=True)
class Place:
    """What a path is there for; `leads`: the command begins with what runs it; `tool`: the command it is an argument of."""

    role: Role
    module: bool = False
    leads: bool = False
    tool: str = ""
    folder: str | None = ""


MENTION = Place("mention")
LONGEST_CHAIN = 8  # of variables that hold one another
REMOVED = Place("mention", tool="rm")
REMOVER = re.compile(r"(?i).*(remove|delete|clean|purge)")


def mentions(text: str, script: str, prose: bool = False) -> list[Mention]:
    """Every place in shell `text` that names `script`, in order; offsets are indices into `text`.

    In `prose`, text that is only partly shell, a bare name where a command would stand is not a call.
    """
    shell = _Shell(text, prose)
    return [
        Mention(
            token.start,
            token.end,
            shell.line(token.start),
            place.role,
            text[token.start : token.end],
            token.outer,
            place.module,
            place.folder,
        )
        for token in tokens(text, script)
        if (place := shell.place(token, script)) is not None
    ]


@cache
def _parser() -> Parser:
    return Parser(Language(tree_sitter_bash.language()))


class _Shell:
    def __init__(self, text: str, prose: bool = False) -> None:
        self.text, self.prose = text, prose
        # One byte a character, so that the grammar's offsets are ours; and it does not know CRLF.
        plain = JOINS.sub(lambda m: " \\\n" if m[1] else {"\r\n": "\n\n", "\ufeff": " "}.get(m[0], "_"), text)
        self.root = _parser().parse(plain.encode("ascii")).root_node

    @cached_property
    def _starts(self) -> list[int]:
        return [0, *(m.end() for m in re.finditer("\n", self.text))]

    def line(self, offset: int) -> int:
        return bisect_right(self._starts, offset)

    def slice(self, node: Node) -> str:
        return self.text[node.start_byte : node.end_byte]

    # what a path is there for

    def place(self, token: Token, script: str, seen: frozenset[str] = frozenset()) -> Place | None:
        """None where the token is part of a longer word."""
        if token.variable:
            return Place("variable")
        token = self._default(token)
        node, string = self.root.descendant_for_byte_range(token.start, token.end), None
        while node is not None and node.type not in CONTEXTS:
            if node.type in STRINGS and (node.start_byte, node.end_byte) != token.outer:
                string = node
            if node.type == "concatenation" and string is None and not self._whole(node, token):
                return None
            node = node.parent
        place: Place | None
        if node is None or node.type == "ERROR":
            place = self._by_words(token, script)
        else:
            place = self._in_context(node, string, token, script, seen)
        if place is not None and place.role != "mention" and (own := self._folder(token.start)) != "":
            place = replace(place, folder=_joined(own, place.folder))
        return place

    def _default(self, token: Token) -> Token:
        """`${NAME:-train.py}` as a whole is the word that holds the path."""
        found = re.search(r"[\"']?\$\{\w+:?[-=]$", self.text[: token.outer[0]][-80:])
        if not found or not self.text.startswith("}", token.outer[1]):
            return token
        end = token.outer[1] + 1
        quoted = found[0][0] in "\"'" and self.text.startswith(found[0][0], end)
        return replace(
            token, outer=(token.outer[0] - len(found[0]) + (found[0][0] in "\"'" and not quoted), end + quoted)
        )

    def _whole(self, word: Node, token: Token) -> bool:
        """Whether a word made of several pieces is the path, or ends in `=` and the path."""
        before = self.text[word.start_byte : token.outer[0]]
        return (not before or before.endswith("=")) and token.outer[1] == word.end_byte

    def _in_context(
        self, node: Node, string: Node | None, token: Token, script: str, seen: frozenset[str]
    ) -> Place | None:
        match node.type:
            case "command":
                return self._in_command(node, string, token, script, seen)
            case "comment":
                return self._in_comment(node, token, script)
            case "heredoc_body":
                return self._in_heredoc(node, token, script)
            case "variable_assignment":
                return self._in_assignment(node, string, token, script, seen)
            case "for_statement":
                return self._in_variable(node.child_by_field_name("variable"), script, seen)
            case "file_redirect" if ">" in self.slice(node):
                return REMOVED
        return MENTION

    def _in_command(
        self, node: Node, string: Node | None, token: Token, script: str, seen: frozenset[str]
    ) -> Place | None:
        words = [
            child
            for child in node.children
            if child.type not in ("variable_assignment", "file_redirect", "heredoc_redirect")
        ]
        position = next((i for i, child in enumerate(words) if child.start_byte <= token.start < child.end_byte), 0)
        before = [_unquoted(self.slice(child)) for child in words[:position]]
        before = before[max((i + 1 for i, word in enumerate(before) if word in ("-exec", "-execdir")), default=0) :]
        name = program(before)
        if string is not None:
            role: Role = (
                "shown-call"
                if name in commands.SHOWING
                else "mention"
                if name in commands.LOOKING
                else "call-in-string"
            )
            return self._in_text(
                string.start_byte + 1,
                string.end_byte - 1,
                token,
                script,
                role,
                prose=name not in commands.SHELLS and name != "eval",
            )
        if (words[position].start_byte, words[position].end_byte) != token.outer:
            return Place("mention", tool=name)
        if position == 0:
            return Place("call", leads=True) if not self.prose or self.text.startswith("./", token.start) else MENTION
        if name in commands.LOOKING:
            return Place("mention", tool=name)
        found = runner(before[1:] if name in commands.SHOWING else before, script, prose=name in commands.SHOWING)
        if found:
            return Place(
                "shown-call" if name in commands.SHOWING else "call", found.module and self._plain(token), found.leads
            )
        inside = self._fate(str(position), script, seen, self._functions[name]) if name in self._functions else MENTION
        return Place("call") if inside.role == "assigned" else Place("mention", tool=inside.tool or name)

    def _in_assignment(
        self, node: Node, string: Node | None, token: Token, script: str, seen: frozenset[str]
    ) -> Place | None:
        variable = node.child_by_field_name("name")
        value = node.child_by_field_name("value")
        if string is not None:
            place = self._in_text(
                string.start_byte + 1, string.end_byte - 1, token, script, "call-in-string", prose=True
            )
            begins = not self.text[string.start_byte + 1 : token.start].strip()
            return (
                self._in_variable(variable, script, seen)
                if place is not None and place.role == "mention" and begins
                else place
            )
        if value is not None and value.type == "array":
            words = [_unquoted(self.slice(child)) for child in value.named_children if child.end_byte <= token.start]
            if found := runner(words, script):
                return Place("call", found.module and self._plain(token), found.leads)
        return self._in_variable(variable, script, seen)

    def _in_variable(self, variable: Node | None, script: str, seen: frozenset[str]) -> Place:
        return self._fate(self.slice(variable).partition("[")[0], script, seen) if variable is not None else MENTION

    def _in_heredoc(self, node: Node, token: Token, script: str) -> Place | None:
        statement = node.parent
        while statement is not None and statement.type != "redirected_statement":
            statement = statement.parent
        begin = statement.start_byte if statement is not None else node.start_byte
        header = self.text[begin : node.start_byte]
        name = program([_unquoted(word) for word in header.replace("<", " <").split()])
        role: Role = "shown-call" if name in commands.SHOWING and not re.search(r"[>|]", header) else "call-in-string"
        return self._in_text(
            node.start_byte,
            node.end_byte,
            token,
            script,
            role,
            prose=name not in commands.SHELLS and name not in commands.LAUNCHERS,
        )

    def _in_comment(self, node: Node, token: Token, script: str) -> Place | None:
        """The commented lines that are one command: those above that end in a backslash belong to it."""
        first = self.line(node.start_byte) - 1
        begin = node.start_byte
        if not self.text[self._starts[first] : begin].strip():
            while first and re.match(r"[ \t]*#.*\\\r?$", self.text[self._starts[first - 1] : self._starts[first] - 1]):
                first -= 1
            begin = self._starts[first]
        place = self._in_text(begin, node.end_byte, token, script, "commented-call", prose=True)
        return (
            replace(place, role="shown-call")
            if place is not None and place.role == "commented-call" and not place.leads
            else place
        )

    def _in_text(self, begin: int, end: int, token: Token, script: str, role: Role, prose: bool) -> Place | None:
        """The place in a piece that is shell in itself; `role` is what a call in there amounts to."""
        piece = self.text[begin:end]
        plain = HASHES.sub(_spaces, piece) if role == "commented-call" else ESCAPED.sub(_unescaped, piece)
        if plain == piece and role == "commented-call":  # behind a stray carriage return, say
            plain = piece.replace("#", " ")
        if role == "shown-call":
            plain = re.sub(r"\\[nt]", "  ", plain)
        outer = token.outer if token.outer[0] == token.start - 1 else (token.start, token.end)
        inner = replace(
            token, start=token.start - begin, end=token.end - begin, outer=(outer[0] - begin, outer[1] - begin)
        )
        place = _Shell(plain, prose).place(inner, script)
        if place is None:
            return None
        if (
            place.role == "mention"
            and role in ("shown-call", "commented-call")
            and commands.OPTION_FOLLOWS.match(self.text, token.outer[1])
        ):
            return replace(place, role="shown-call")  # "see x.py --help"
        return place if place.role in ("mention", "variable", "assigned") else replace(place, role=role)

    def _by_words(self, token: Token, script: str) -> Place:
        line = self.text[self._starts[self.line(token.start) - 1] : token.outer[0]]
        found = shown(line.lstrip(" \t#"), script)
        if not found:
            return MENTION
        return Place(
            "commented-call" if line.lstrip().startswith("#") else "call",
            found.module and self._plain(token),
            found.leads,
        )

    def _plain(self, token: Token) -> bool:
        """Whether the word is the path and its quotes and nothing else, so that two words can take its place."""
        return token.outer[1] - token.outer[0] - (token.end - token.start) in (0, 2)

    # variables and functions

    @cached_property
    def _functions(self) -> dict[str, Node]:
        return {
            self.slice(name): node
            for node in _walk(self.root, "function_definition")
            if (name := node.child_by_field_name("name"))
        }

    def _fate(self, variable: str, script: str, seen: frozenset[str], within: Node | None = None) -> Place:
        """What becomes of what `variable` holds: REMOVED where any use may take the file away, `assigned` where one runs it."""
        if variable in seen or len(seen) > LONGEST_CHAIN:
            return MENTION
        area, ran = within or self.root, False
        name = re.escape(variable)
        for use in re.finditer(rf"\$(?:{name}(?!\w)|\{{{name}(?:\[[^\]\n]*\])?\}})", self.text):
            if not area.start_byte <= use.start() < area.end_byte:
                continue
            start, end = use.span()
            quote = next(
                (q for q in ('\\"', '"') if self.text.endswith(q, 0, start) and self.text.startswith(q, end)), ""
            )
            place = (
                self.place(Token(start, end, (start - len(quote), end + len(quote)), False), script, seen | {variable})
                or MENTION
            )
            if place.tool in commands.REMOVING or REMOVER.match(place.tool):
                return REMOVED
            ran = ran or place.role in ("call", "call-in-string", "assigned")
        return Place("assigned", leads=True) if ran else MENTION

    # the working directory

    @cached_property
    def _moves(self) -> list[tuple[int, Node | None, str | None]]:
        """(offset behind, scope, where to) of every `cd` and `pushd`; None where it cannot be told."""
        found = []
        for node in _walk(self.root, "command") if re.search(r"\b(cd|pushd|popd)\b", self.text) else ():
            words = [_unquoted(self.slice(child)) for child in node.children if child.type != "file_redirect"]
            if words[0] not in ("cd", "pushd", "popd"):
                continue
            scope = node.parent
            while scope is not None and scope.type not in SCOPES:
                scope = scope.parent
            found.append((node.end_byte, scope, self._where(words[-1]) if len(words) > 1 else None))
        return found

    def _where(self, word: str) -> str | None:
        if own := OWN_FOLDER.search(word):
            return posixpath.join("@", *[".."] * (word.count("dirname") - 1), own["tail"].lstrip("/")).rstrip("/")
        if variable := re.fullmatch(r"\$\{?(\w+)\}?\"?((?:/[\w.-]+)*)", word):
            assigned = re.search(
                rf"^[ \t]*(?:\w+[ \t]+)?{variable[1]}=(.*(?:dirname|%/\*).*)$", self.text, re.MULTILINE
            )
            base = self._where(assigned[1]) if assigned else None
            return base + variable[2] if base is not None else None
        return word if re.fullmatch(r"[\w.+-][\w./+-]*", word) and not word.startswith("-") else None

    def _folder(self, offset: int) -> str | None:
        folder: str | None = ""
        for behind, scope, where in self._moves:
            if behind <= offset and (scope is None or scope.start_byte <= offset < scope.end_byte):
                folder = _joined(folder, where)
        return folder


def _joined(folder: str | None, more: str | None) -> str | None:
    """The folder that `cd more` leads to from `folder`."""
    if more == "" or (folder is None and more and not more.startswith("@")):
        return folder
    if more is None or folder is None or more.startswith("@"):
        return more
    if folder.startswith("@"):
        return f"{folder}/{more}"
    joined = posixpath.normpath(posixpath.join(folder, more))
    return "" if joined == "." else joined


def _unquoted(word: str) -> str:
    return word[1:-1] if len(word) > 1 and word[0] in "\"'" and word[-1] == word[0] else word


def _unescaped(found: re.Match[str]) -> str:
    """What an escape in a string stands for, as long as it; quotes become spaces, as words are all that matters."""
    return "  " if found[1] == '"' else " " + found[1]


def _spaces(found: re.Match[str]) -> str:
    return " " * len(found[0])


def _walk(node: Node, kind: str) -> Iterator[Node]:
    stack = [node]
    while stack:
        node = stack.pop()
        if node.type == kind:
            yield node
        stack += reversed(node.children)
