"""Moved definitions are the text they were: decorators, body, and the comments and banner above them.

The old tree is asked, not the codemod. Where the text differs, every differing line has to be one that a step accounts for:
a comment in `removed_comments`, a line of a "change" finding, an import that binds the same names, or a method that a
duplicate gave, letter for letter the duplicate's.
"""

from __future__ import annotations

import ast
import difflib
import itertools
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from migration.analysis.bound_names import bound_names
from migration.analysis.source import NEWLINE, Source, Statement, splice
from migration.codemods import Moved
from migration.extraction.header import header_end
from migration.gates import Check, Failure, gate
from migration.plan import MoveModule, RemoveDuplicate
from migration.tree import Overlay


@dataclass(frozen=True)
class Definition:
    """A top-level statement that defines `names`; `lead` is what stands above it, `text` the rest, newlines as "\\n"."""

    source: Source
    index: int
    line: int
    names: frozenset[str]
    lead: str
    text: str


@gate("definitions-intact", "Moved definitions are the same text and the same tree")
def definitions_intact(check: Check) -> Iterator[Failure]:
    pairs: dict[tuple[str, str], list[tuple[Definition, Definition]]] = {}
    for source, target, name in _moves(check):
        old = _defining(check.before, source, name)
        new = _defining(check.after, target, name)
        left = _defining(check.after, source, name) if source != target else []
        if not old and _imported(check.before, source, name):
            continue  # part of a statement that moved; an import is no definition
        if not old:
            yield Failure(
                source,
                None,
                f"{name} is said to have moved from here to {target}, but the old tree does not define it here",
            )
            continue
        there = len(_defining(check.before, target, name)) if source != target else 0
        if len(new) - there != len(old):
            yield Failure(
                target,
                None,
                f"{name} should be defined here {_times(len(old) + there)}, as it was in {source}, and is {_times(len(new))}",
            )
            continue
        for definition in left:
            yield Failure(source, definition.line, f"{name} has moved to {target} and is still defined here as well")
        for before, after in zip(old, new[there:], strict=True):
            if (before, after) not in pairs.setdefault((source, target), []):
                pairs[source, target].append((before, after))
    for (source, target), moved in pairs.items():
        for before, after in moved:
            yield from _compared(check, before, after)
        yield from _order(target, moved)
        yield from _banners(check, source, moved)


def _times(count: int) -> str:
    return {0: "not at all", 1: "once", 2: "twice"}.get(count, f"{count} times")


# what moved where


def _moves(check: Check) -> list[tuple[str, str, str]]:
    """(file in the old tree, file in the new tree, name), following what moved more than once."""
    files = {
        s.source: s.target for s in check.plan.step if isinstance(s, MoveModule) and not check.after.exists(s.source)
    }
    hops = {(m.source, name): m.target for m in check.moved for name in _names(m)}
    arrived = {(m.target, name) for m in check.moved for name in _names(m)}
    found = []
    for source, name in hops:
        if (source, name) in arrived:
            continue
        target, seen = hops[source, name], {source}
        while target not in seen and ((target, name) in hops or (target in files and not check.after.exists(target))):
            seen.add(target)
            target = hops.get((target, name)) or files[target]
        origin = (
            source
            if check.before.exists(source)
            else next((old for old, new in files.items() if new == source), source)
        )
        found.append((origin, target, name))
    return found


def _names(moved: Moved) -> list[str]:
    return [
        name
        for name in moved.name.split(", ")
        if name.isidentifier() and re.search(rf"\b{re.escape(name)}\b", moved.text)
    ]


def _definitions(source: Source) -> list[Definition]:
    """The top-level statements; a file that does not parse has none (another gate says so)."""
    return [_definition(source, i, s) for i, s in enumerate(source.statements)] if source.parses else []


def _definition(source: Source, index: int, statement: Statement) -> Definition:
    lead = NEWLINE.sub("\n", source.text[statement.lead : statement.start])
    text = NEWLINE.sub("\n", source.text[statement.start : statement.end]).rstrip("\n") + "\n"
    names = frozenset().union(*(bound_names(node, imports=False) for node in statement.nodes))
    return Definition(
        source, index, source.line_of(statement.start), names, lead[header_end(lead) :] if index == 0 else lead, text
    )


def _defining(tree: Overlay, path: str, name: str) -> list[Definition]:
    return [d for d in _definitions(tree.source(path)) if name in d.names] if tree.exists(path) else []


def _imported(tree: Overlay, path: str, name: str) -> bool:
    return (
        tree.exists(path)
        and tree.source(path).parses
        and any(name in bound_names(node) for node in tree.source(path).tree.body)
    )


# one definition, before and after


def _compared(check: Check, before: Definition, after: Definition) -> Iterator[Failure]:
    old_lead, new_lead = before.lead.strip("\n"), after.lead.strip("\n")
    if footer := _footer(check.before, after.source.path):
        new_lead = new_lead.removeprefix(footer).strip("\n")
    old, new = before.text, after.text
    for path, part in _adopted(check, before.names):
        given = [_part(d.text, part) for d in _defining(check.before, path, part.partition(".")[0])]
        mine = _part(new, part)
        if mine is None or mine not in given:
            yield Failure(
                after.source.path,
                after.line,
                f"{part} should be, letter for letter, the one of {path}, from which a step took it over",
            )
        old, new = _without(old, part), _without(new, part)
    if (old_lead, old) == (new_lead, new):
        return
    name, was = ", ".join(sorted(before.names)), f"{before.source.path}:{before.line}"
    masked = f"{old_lead}\n{_imports_masked(old)}", f"{new_lead}\n{_imports_masked(new)}"
    if _unexplained(check, *masked, changed=[]) is None:  # comments and imports apart, it is the same code
        if _dump(old) != _dump(new):
            yield Failure(
                after.source.path, after.line, f"{name} reads alike but does not parse to the tree it was at {was}"
            )
    elif _unexplained(check, *masked, _changes(check)) and (
        wrong := _unexplained(check, f"{old_lead}\n{old}", f"{new_lead}\n{new}", _changes(check))
    ):
        yield Failure(
            after.source.path, after.line, f"{name} is not the text it was at {was}; the first difference: {wrong}"
        )


def _footer(tree: Overlay, path: str) -> str:
    """The comments at the end of a file that was there before, which now stand above the first definition to arrive."""
    if not tree.exists(path) or not tree.source(path).parses:
        return ""
    source = tree.source(path)
    return NEWLINE.sub("\n", source.text[source.statements[-1].end if source.statements else 0 :]).strip("\n")


def _unexplained(check: Check, old: str, new: str, changed: list[tuple[str, str]]) -> str | None:
    """The first difference that neither `removed_comments` nor a line in `changed` accounts for, in words."""
    removed = Counter(
        line.strip() for o in check.outcomes.values() for block in o.removed_comments for line in block.splitlines()
    )
    old_lines, new_lines = old.splitlines(), new.splitlines()
    for tag, i, j, k, m in difflib.SequenceMatcher(None, old_lines, new_lines, autojunk=False).get_opcodes():
        gone, come = [s.strip() for s in old_lines[i:j]], [s.strip() for s in new_lines[k:m]]
        if tag == "equal" or _accounted(gone, come, removed, changed):
            continue
        was, now = next(filter(None, gone), ""), next(filter(None, come), "")
        return (
            f"{was!r} has become {now!r}"
            if was and now
            else f"{was!r} is gone"
            if was
            else f"{now!r} is new"
            if now
            else "blank lines"
        )
    return None


def _accounted(gone: list[str], come: list[str], removed: Counter[str], changed: list[tuple[str, str]]) -> bool:
    """Whether the lines gone are removed comments, or they and those in their place are a reported change."""
    gone, come = list(filter(None, gone)), list(filter(None, come))
    if gone and not come and all(line.startswith("#") and removed[line] > 0 for line in gone):
        removed.subtract(gone)
        return True
    return bool(gone and come) and any(
        all(g in before for g in gone) and all(c in after for c in come) for before, after in changed
    )


def _changes(check: Check) -> list[tuple[str, str]]:
    """What steps report of lines that they rewrote."""
    return [
        (f.before, f.after)
        for o in check.outcomes.values()
        for f in o.findings
        if f.level == "change" and f.before and f.after
    ]


def _dump(text: str) -> str:
    return ast.dump(ast.parse(_imports_masked(text)))


def _imports_masked(text: str) -> str:
    """Each import without its module: that may be another now, the names may not."""
    source = Source("", text.encode())
    nodes = [n for n in ast.walk(source.tree) if isinstance(n, ast.Import | ast.ImportFrom)]
    return splice(text, [(*source.span(n), f"import {', '.join(sorted(_spelt(n)))}") for n in nodes])


def _spelt(node: ast.Import | ast.ImportFrom) -> set[str]:
    if isinstance(node, ast.Import):
        return set(bound_names(node))
    return {a.name.replace("*", "star") + (f" as {a.asname}" if a.asname else "") for a in node.names}


# methods that a duplicate gave


def _adopted(check: Check, names: frozenset[str]) -> Iterator[tuple[str, str]]:
    """(duplicate, "Class.method" or "function") for the parts of these definitions that a step says it took over."""
    for step in check.plan.step:
        if isinstance(step, RemoveDuplicate) and step.id in check.outcomes:
            said = [f.message for f in check.outcomes[step.id].findings if f.level == "behaviour"]
            for part in step.adopt:
                if part.partition(".")[0] in names and any(
                    re.search(rf"(?<![\w.]){re.escape(part)}(?!\w)", message) for message in said
                ):
                    yield step.duplicate, part


def _span(text: str, part: str) -> tuple[int, int] | None:
    """Where `Class.method` stands in the text of its class, from its first decorator to its last character."""
    source = Source("", text.encode())
    body, found = source.tree.body, None
    for name in part.split("."):
        found = next(
            (
                n
                for n in body
                if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and n.name == name
            ),
            None,
        )
        if found is None:
            return None
        body = found.body
    return source.span(found) if found is not None else None


def _part(text: str, part: str) -> str | None:
    span = _span(text, part)
    return text[slice(*span)] if span else None


def _without(text: str, part: str) -> str:
    """The text with the part, and the blank lines above it, cut out; `...` where nothing else would be left of its class."""
    span = _span(text, part)
    if span is None:
        return text
    head, tail = text[: span[0]].rstrip(" \t\n"), text[span[1] :]
    return head + (" ..." if head.endswith(":") and not tail.strip() else "") + tail


# the row of definitions


def _order(target: str, moved: list[tuple[Definition, Definition]]) -> Iterator[Failure]:
    """Definitions that moved together stand in the order they stood in."""
    ordered = sorted(moved, key=lambda pair: pair[0].index)
    for (first_old, first), (second_old, second) in itertools.pairwise(ordered):
        if first.index > second.index:
            names = [", ".join(sorted(d.names)) for d in (second_old, first_old)]
            yield Failure(
                target,
                second.line,
                f"{names[0]} stands before {names[1]}; in {first_old.source.path} it was the other way round",
            )


def _banners(check: Check, source: str, moved: list[tuple[Definition, Definition]]) -> Iterator[Failure]:
    """What stays behind does not inherit the comments that stood above what left."""
    if not check.after.exists(source):
        return
    once = _definitions(check.before.source(source))
    left = {line: before for before, _ in moved for line in _comment_lines(before.lead)}
    for definition in _definitions(check.after.source(source)):
        own = {line for d in once if d.names & definition.names for line in _comment_lines(d.lead)}
        for line in sorted(_comment_lines(definition.lead) - own):
            if line in left and definition.names:
                name, owner = ", ".join(sorted(definition.names)), ", ".join(sorted(left[line].names))
                yield Failure(source, definition.line, f"{name} now stands under {line!r}, which belongs to {owner}")


def _comment_lines(lead: str) -> set[str]:
    return {line.strip() for line in lead.splitlines() if line.strip().startswith("#")}
