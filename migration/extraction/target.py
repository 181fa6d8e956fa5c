"""The text of a target module: its imports, taken from the source's own statements, and the definitions letter for letter."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter

from migration.analysis import modules
from migration.analysis.imports import (
    Binding,
    bindings,
    bound_by,
    rehome_text,
    rehomed,
    render,
    render_from,
    without,
)
from migration.analysis.source import Source, splice
from migration.analysis.units import BUILTINS, Unit, units_of
from migration.errors import BadInput
from migration.extraction.header import header_end
from migration.extraction.layout import Layout
from migration.extraction.texts import attached_comment, below, literal_all, merged, new_module
from migration.tree import Overlay


@dataclass
class Piece:
    """A statement for the head of a target, and where in the source it stood (for order)."""

    index: int
    text: str
    binds: frozenset[str]


@dataclass
class Composer:
    """Composes one target of a layout. `carried` collects comments that came along with import statements."""

    tree: Overlay
    layout: Layout
    target: str
    roots: list[str]
    carried: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.source = self.layout.scope.units[0].source
        self.hints = modules.path_hints(self.source)
        self.units = self.layout.moving(self.target)

    def text(self) -> str:
        """The whole new text of the target, with the target's own line endings. Raises BadInput where names collide."""
        old = self.tree.source(self.target) if self.tree.exists(self.target) else None
        newline = old.newline if old is not None and old.text else self.source.newline
        head, tail = self._imports()
        if self.target == self.layout.setup and (old is None or not old.text.strip()):
            text = self._setup(head)
        elif old is None or not old.text.strip():
            imports = [piece.text for piece in head]
            text = new_module(self._docstring(), self._futures(), imports, self._all(), self._definitions(), tail)
        else:
            text = self._extend(old, head, tail)
        return re.sub(r"\r\n|\r|\n", lambda _: newline, text) if newline != "\n" or "\r" in text else text

    # -- what is needed ------------------------------------------------------------------------------------------------

    def _needs(self) -> tuple[dict[int, set[str]], set[str]]:
        """Names wanted of each import unit, by its index; and names that no unit binds."""
        wanted: dict[int, set[str]] = {}
        unbound: set[str] = set()
        todo = [(unit, name) for unit in self.units for name in sorted(unit.needs)]
        done: set[tuple[int, str]] = set()
        while todo:
            unit, name = todo.pop()
            provider = self.layout.scope.provider(name, unit)
            if provider is None:
                unbound |= {name} - BUILTINS
            elif provider.sort in ("import", "guarded import") and (provider.index, name) not in done:
                done.add((provider.index, name))
                wanted.setdefault(provider.index, set()).add(name)
                for other in self.layout.scope.binders[name]:
                    if (
                        other.sort == "import"
                        and other is not provider
                        and _dotted_part(other, name, self._moved_text())
                    ):
                        wanted.setdefault(other.index, set()).add(name)
                if provider.sort == "guarded import":
                    todo += [(provider, n) for n in provider.needs - provider.binds]
        return wanted, unbound

    def _moved_text(self) -> str:
        return "\n".join(u.text for u in self.units)

    def _imports(self) -> tuple[list[Piece], list[str]]:
        """The statements above the definitions, and those that must stand below them (homes that lean on each other)."""
        wanted, unbound = self._needs()
        pieces = []
        for index, names in wanted.items():
            unit = self.layout.scope.units[index]
            text = self._guarded(unit, names) if unit.sort == "guarded import" else self._plain(unit, names)
            pieces.append(Piece(index, self._attached(unit) + text, frozenset(names)))
        if unbound:
            pieces += self._stars()
        tail = []
        mutual, late = self.layout.mutual(self.target), self.layout.late(self.target)
        for home, names in sorted(self.layout.leans(self.target).items()):
            line = render_from(self.module(home), sorted(names))
            if home in late:
                tail.append(self._awaited(home, sorted(names)))
            elif home in mutual and not names & self.layout.leans(self.target, now_only=True).get(home, set()):
                tail.append(line + "  # noqa: E402 (below: each leans on the other)" if "\n" not in line else line)
            else:
                pieces.append(Piece(1 << 30, line, frozenset(names)))
        early = {(other, name) for unit in self.units for other, name in self._early(unit)}
        for other, awaited in sorted(self._awaiting().items()):
            if below := sorted(name for name in awaited if (other, name) not in early):
                tail.append(self._handed_over(other, below))
        tail += [
            self.loaded(home)
            for home, names in sorted(self.layout.registering.items())
            if home != self.target and any(self.layout.place(name) == self.target for name in names)
        ]
        if self.target != self.layout.setup and (
            self.layout.setup in self.layout.home.values() or self.tree.exists(self.layout.setup)
        ):
            text = f"import {self.module(self.layout.setup)}  # noqa: F401 (statements {self.source.path} ran on import, once)"
            pieces.append(Piece(-1, text, frozenset()))
        return sorted(pieces, key=lambda p: p.index), tail

    def _awaited(self, home: str, names: list[str]) -> str:
        """Names of a module that needs this one as it loads: taken if it is through, else put here by it."""
        alias = _alias(home)
        lines = [f"import {self.module(home)} as {alias}  # noqa: E402 (below: it needs this module as it loads)", ""]
        return "\n".join([*lines, *(f'{name} = getattr({alias}, "{name}", None)' for name in names)])

    def _awaiting(self) -> dict[str, set[str]]:
        """Modules that wait for names of this one, with the names."""
        waiting = {other: self.layout.late(other).get(self.target, set()) for other in self.layout.mutual(self.target)}
        return {other: names for other, names in waiting.items() if names}

    def _early(self, unit: Unit) -> list[tuple[str, str]]:
        """What has to be handed over right below `unit`: something further down runs, as it loads, code of the module that waits."""
        later = self.units[self.units.index(unit) + 1 :]
        running = {
            self.layout.home[provider.index]
            for below in later
            for _, provider in self.layout.scope.while_loading(below)
            if provider is not None and provider.index in self.layout.home
        }
        return [
            (other, name)
            for other, names in sorted(self._awaiting().items())
            if any(home == other or other in self.layout.reached(home) for home in running - {self.target})
            for name in sorted(names & unit.binds)
        ]

    def _handed_over(self, other: str, names: list[str]) -> str:
        """Names put into a module that was loaded on the way to this one, and leans on them."""
        alias = _alias(other)
        lines = [f"import {self.module(other)} as {alias}  # noqa: E402 (below: it leans on this module)", ""]
        return "\n".join([*lines, *(f"{alias}.{name} = {name}" for name in names)])

    def loaded(self, path: str) -> str:
        """The statement that imports a module for what it does as it loads. It takes no name out of it, so it may be on its way."""
        return f"import {self.module(path)} as {_alias(path)}  # noqa: E402, F401 (registers what it defines)"

    def module(self, path: str) -> str:
        """The dotted name by which a module of the tree is imported here."""
        name = modules.dotted_name(path, self.roots)
        if name is None:
            raise BadInput(
                f"{path} cannot be imported from the roots {', '.join(self.roots)}: every folder and file name has to be a Python identifier"
            )
        return name

    # -- single statements ---------------------------------------------------------------------------------------------

    def _plain(self, unit: Unit, names: set[str]) -> str:
        """The part of an import unit that binds `names`; the source's own text where that is all of it."""
        wanted = [b for b in bindings(unit) if b.name in names]
        if len(wanted) == len(bindings(unit)):
            return rehome_text(
                self.tree, self.source, unit.statement.start, unit.statement.end, self.target, self.roots, self.hints
            ).rstrip()
        lines = []
        for node in dict.fromkeys(b.node for b in wanted):
            aliases = [b.alias for b in wanted if b.node is node and self._used_part(b)]
            part = (
                ast.Import(names=aliases, **_at(node))
                if isinstance(node, ast.Import)
                else ast.ImportFrom(module=node.module, names=aliases, level=node.level, **_at(node))
            )
            lines.append(
                rehomed(self.tree, part, self.source.path, self.target, self.roots, self.hints) or render(part, aliases)
            )
        return "\n".join(lines)

    def _used_part(self, binding: Binding) -> bool:
        """Of `import a, a.b`, both bind `a`: `a.b` is wanted where the moved text says so, or where nothing else binds `a`."""
        if isinstance(binding.node, ast.ImportFrom) or binding.alias.asname or "." not in binding.alias.name:
            return True
        plain = [
            b
            for u in self.layout.scope.units
            if u.sort == "import"
            for b in bindings(u)
            if b.name == binding.name and b.alias.name == binding.name
        ]
        return not plain or _mentions(binding.alias.name, self._moved_text())

    def _guarded(self, unit: Unit, names: set[str]) -> str:
        """A guarded import whole, its imports rehomed; what is bound in it by imports alone and not wanted goes."""
        text = rehome_text(
            self.tree, self.source, unit.statement.start, unit.statement.end, self.target, self.roots, self.hints
        )
        part = Source(self.target, text.encode())
        elsewhere = [n for n in ast.walk(part.tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)]
        also = {n.id for n in elsewhere} | {
            n.name for n in ast.walk(part.tree) if isinstance(n, ast.FunctionDef | ast.ClassDef)
        }
        edits = []
        for node in part.imports:
            start, end = part.span(node)
            drop = {bound_by(node, a) for a in node.names} - names - also
            if drop and node.names[0].name != "*":
                left, _ = without(text[start:end], drop)
                edits.append((start, end, left.strip() or "pass"))
        return splice(text, edits).rstrip()

    def _stars(self) -> list[Piece]:
        """Star imports, which may bind what nothing else does."""
        return [
            Piece(unit.index, self._plain(unit, {"*"}), frozenset("*"))
            for unit in self.layout.scope.units
            if unit.sort == "import" and any(b.name == "*" for b in bindings(unit))
        ]

    def _attached(self, unit: Unit) -> str:
        """The comment right above an import (not a section's banner), which explains it and so goes where it goes."""
        block = attached_comment(unit)
        if block:
            self.carried.add(unit.index)
        return block

    # -- the rest ------------------------------------------------------------------------------------------------------

    def _docstring(self) -> str:
        if self.target == self.layout.setup:
            return f'"""What {self.source.path} ran on import; everything taken out of it imports this first, so it still runs, once."""'
        names = [n for u in self.units for n in sorted(u.binds) if u.index not in self.layout.why] or [
            n for u in self.units for n in sorted(u.binds)
        ]
        listed = ", ".join(names) if len(", ".join(names)) < 80 else f"{names[0]} and {len(names) - 1} more"
        return f'"""{listed}: taken out of {self.source.path}."""'

    def _futures(self) -> list[str]:
        return [u.text.rstrip() for u in self.layout.scope.units if u.sort == "future"]

    def _all(self) -> list[str]:
        """The moved part of the source's `__all__`."""
        listed = literal_all(self.layout.scope.units)
        names = [n for n in listed or [] if self.layout.place(n) == self.target]
        return ["__all__ = [" + ", ".join(f'"{n}"' for n in names) + "]"] if names else []

    def _definitions(self) -> str:
        """The moved slices with the comments above them, in the source's order, each ending in a newline."""
        parts = []
        for unit in self.units:
            lead = unit.lead if unit.statement.lead else unit.lead[header_end(unit.lead) :]
            piece = lead + unit.text
            parts.append(piece if piece.endswith(("\n", "\r")) else piece + "\n")
            for other, names in groupby(self._early(unit), key=itemgetter(0)):
                parts.append(self._handed_over(other, [name for _, name in names]) + "\n")
        return "".join(parts)

    def _setup(self, head: list[Piece]) -> str:
        """Statements that ran on import, and the imports they need, in the source's order: it may matter."""
        rows = [(piece.index, piece.text + "\n") for piece in head]
        rows += [(unit.index, unit.lead + unit.text.rstrip() + "\n") for unit in self.units]
        top = "\n\n".join([self._docstring(), *filter(None, ["\n".join(self._futures())])])
        return top + "\n\n" + "".join(text for _, text in sorted(rows)).lstrip("\r\n")

    def _extend(self, old: Source, head: list[Piece], tail: list[str]) -> str:
        """An existing target with the new imports below its own and the new definitions at its end."""
        units = units_of(old)
        bound = {name: u for u in units for name in u.binds}
        arriving = {n for u in self.units for n in u.binds}
        edits: list[tuple[int, int, str]] = []
        lines = []
        for unit in units:
            if unit.sort == "import" and (back := self._imported_back(unit, arriving)):
                left, comments = without(unit.text, back)
                edits.append((unit.statement.start, unit.statement.end, "".join(c + "\n" for c in comments) + left))
        for piece in head:
            for name in piece.binds & set(bound):
                if bound[name].sort not in ("import", "guarded import"):
                    raise BadInput(
                        f"{self.target}:{bound[name].lines[0]}: {name!r} is defined there, and what comes from {self.source.path} means another {name!r}; rename one"
                    )
            known = piece.text.split("#")[0].strip() in old.text if not piece.binds else piece.binds <= set(bound)
            if not known:
                lines.append(piece.text)
        futures = [f for f in self._futures() if f not in old.text]
        place = max([u.statement.end for u in units if u.sort in ("docstring", "future")], default=0)
        if futures:
            edits.append((place, place, "\n".join(["", *futures]) + "\n"))
        last = max(
            [u.statement.end for u in units if u.sort in ("docstring", "future", "import", "guarded import")], default=0
        )
        if lines:
            edits.append((last, last, "\n".join(lines) + "\n"))
        guard = next((u for u in units if u.sort == "main guard"), None)
        end = guard.statement.lead if guard else len(old.text)
        before = "" if old.text[:end].endswith(("\n", "\r")) or not end else "\n"
        body = self._definitions().lstrip("\r\n")
        edits.append((end, end, before + "\n\n" + body + below(tail) + ("\n" if guard else "")))
        return splice(old.text, merged(edits))

    def _imported_back(self, unit: Unit, arriving: set[str]) -> list[str]:
        """Names that the target imports from the source and that now arrive in person."""
        found = []
        for binding in bindings(unit):
            if isinstance(binding.node, ast.ImportFrom) and binding.name in arriving:
                node = binding.node
                path = (
                    modules.resolve_relative(self.tree, node.module, node.level, self.target)
                    if node.level
                    else (
                        modules.resolve_absolute(self.tree, node.module or "", self.target, self.roots, []) or (None,)
                    )[0]
                )
                if path == self.source.path:
                    found.append(binding.name)
        return found


def _dotted_part(unit: Unit, name: str, text: str) -> bool:
    """Whether `unit` says `import name.more` and the text uses `name.more`."""
    return any(
        isinstance(b.node, ast.Import)
        and not b.alias.asname
        and b.alias.name.startswith(name + ".")
        and _mentions(b.alias.name, text)
        for b in bindings(unit)
    )


def _mentions(dotted: str, text: str) -> bool:
    return re.search(rf"(?<![\w.]){re.escape(dotted)}\b", text) is not None


def _alias(path: str) -> str:
    """A private name for a module that is imported for its own sake."""
    return "_" + path.removesuffix(".py").removesuffix("/__init__").replace("/", "_")


def _at(node: ast.stmt) -> dict[str, int]:
    return {"lineno": node.lineno, "col_offset": node.col_offset}
