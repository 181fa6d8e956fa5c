"""The source after its definitions have left: what it no longer uses goes, what it had it still answers for."""

from __future__ import annotations

import ast
import re
from collections.abc import Collection
from functools import cached_property

from migration.analysis.imports import bindings, render_from, without
from migration.analysis.source import Source, splice
from migration.analysis.units import BUILTINS, Unit, is_script
from migration.errors import BadInput
from migration.extraction.header import header_end
from migration.extraction.layout import Layout
from migration.extraction.names import Scope
from migration.extraction.target import Composer
from migration.extraction.texts import attached_comment, literal_all

REEXPORTS = '# Moved out of this file and still importable from it ("X as X" marks what is not used here).'

GETATTR = (
    "def __getattr__(name):\n"
    "    import importlib\n\n"
    "    if name in _MOVED:\n"
    "        return getattr(importlib.import_module(_MOVED[name]), name)\n"
    '    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")\n\n\n'
    "def __dir__():\n"
    "    return [*globals(), *_MOVED]\n"
)
# What `from … import *` brings without it, and what moved.
STAR = '__all__ = [*(name for name in globals() if name[0] != "_"), *_MOVED]\n'


class Remainder:
    """Composes what is left of a layout's source. `wanted` are names that other files import from it."""

    def __init__(
        self, composer: Composer, carried: Collection[int], reexported: Collection[str], wanted: Collection[str]
    ) -> None:
        self.composer = composer
        self.layout: Layout = composer.layout
        self.scope: Scope = self.layout.scope
        self.source: Source = composer.source
        self.carried, self.reexported, self.wanted = set(carried), set(reexported), set(wanted)
        self.staying = self.layout.staying()
        self.backward = self.layout.backward
        self.listed = set(literal_all(self.scope.units) or [])
        self.marked = False  # whether the note about re-exports stands above an import that is there already

    def text(self) -> str:
        """The whole new text. Raises BadInput where the source would have to answer lazily and cannot."""
        source, edits = self.source, []
        first = self._first_hoisted()
        for unit in self.scope.units:
            if unit.index in self.layout.home:
                left = self._setup_line() if unit is first else ""
                edits.append((self._lead_start(unit), unit.statement.end, left))
            elif unit.sort in ("import", "guarded import"):
                edits += self._import_edits(unit)
        names = self.layout.names
        inner, through_function = self._function_imports(names)
        edits += inner
        eager, lazy = self._split(names, through_function)
        place = self._place(names)
        block = self._import_block(eager, lazy)
        if block:
            edits.append((place, place, self._spaced(block, place)))
        edits += self._below(lazy)
        return (
            splice(source.text, _collapse(edits)).replace("\r\n", "\n").replace("\n", source.newline)
            if source.newline != "\n"
            else splice(source.text, _collapse(edits))
        )

    def _spaced(self, block: str, place: int) -> str:
        """The import block with a line break before it where the file has none, and blank lines between it and a definition."""
        text = self.source.text
        before = "" if not place or text[:place].endswith(("\n", "\r")) else "\n"
        following = next((u for u in self.staying if u.statement.start >= place), None)
        close = (
            following is not None
            and following.sort not in ("import", "guarded import", "path")
            and not following.lead[:1].isspace()
        )
        return before + block + ("\n\n" if close else "")

    # -- imports that go -----------------------------------------------------------------------------------------------

    def _lead_start(self, unit: Unit) -> int:
        """Where a moved slice begins; what is above it about the file stays."""
        if unit.statement.lead:
            return unit.statement.lead
        return header_end(unit.lead, of_definition=unit.sort not in ("import", "guarded import"))

    def _used(self, unit: Unit, name: str) -> bool:
        """Whether what stays, or another file, still leans on the binding of `name` by `unit`."""
        if name in self.wanted or name in self.listed:
            return True
        gone = [u for u in self.staying if u.sort == "guarded import" and u not in self._kept_guards]
        return self._leant_on(unit, name, [u for u in self.staying if u not in gone])

    def _leant_on(self, unit: Unit, name: str, users: list[Unit]) -> bool:
        return any(name in u.needs and self.scope.provider(name, u) is unit for u in users)

    def _idle_star(self, unit: Unit) -> bool:
        """Whether a star import brought names to what left, and brings none to what stays or to another file."""

        def unbound(units: Collection[Unit]) -> bool:
            return any(n not in BUILTINS and self.scope.provider(n, u) is None for u in units for n in u.needs)

        outside = {n for n in self.wanted if n == "*" or n not in self.scope.binders}
        gone = [u for u in self.scope.units if u.index in self.layout.home]
        return (
            unbound(gone) and not unbound(self.staying) and not outside and not unit.source.path.endswith("__init__.py")
        )

    def _was_needed(self, unit: Unit, name: str) -> bool:
        """Whether the binding was used by something that left; what was idle before stays, it may be there for its effect."""
        if unit.sort == "import" and any(
            b.name == name and b.alias.name.startswith(name + ".") for b in bindings(unit)
        ):
            return any(name in u.needs for u in self.scope.units if u.index in self.layout.home) and not any(
                name in u.needs for u in self.staying
            )
        gone = [u for u in self.scope.units if u.index in self.layout.home]
        guards = [u for u in self.scope.units if u.sort == "guarded import" and u not in self._kept_guards]
        return any(name in u.needs and self.scope.provider(name, u) is unit for u in [*gone, *guards])

    @cached_property
    def _kept_guards(self) -> list[Unit]:
        found = []
        others = [u for u in self.staying if u.sort != "guarded import"]
        for unit in self.scope.units:
            if unit.sort == "guarded import":
                gone = [u for u in self.scope.units if u.index in self.layout.home]
                needed = any(n in u.needs and self.scope.provider(n, u) is unit for n in unit.binds for u in gone)
                outside = unit.binds & (self.wanted | self.listed)
                if not needed or outside or any(self._leant_on(unit, n, others) for n in unit.binds):
                    found.append(unit)
        return found

    def _import_edits(self, unit: Unit) -> list[tuple[int, int, str]]:
        if unit.sort == "guarded import":
            if unit in self._kept_guards:
                return []
            return [(self._import_lead(unit, whole=True), unit.statement.end, "")]
        idle = [
            b.name
            for b in bindings(unit)
            if (
                self._idle_star(unit)
                if b.name == "*"
                else not self._used(unit, b.name) and self._was_needed(unit, b.name)
            )
        ]
        if not idle:
            return []
        if handed_on := [name for name in idle if name in self.reexported and name not in self.layout.names]:
            return self._marked(unit, handed_on, [name for name in idle if name not in handed_on])
        text, comments = without(unit.text, idle)
        comments = [c for c in comments if text or unit.index not in self._taken_whole()]
        kept = "".join(c + self.source.newline for c in comments)
        return [(self._import_lead(unit, whole=not text and not comments), unit.statement.end, kept + text)]

    def _marked(self, unit: Unit, names: list[str], idle: list[str]) -> list[tuple[int, int, str]]:
        """An import of what left in an earlier run, and was used here until now, goes on as a re-export."""
        text, comments = without(unit.text, idle) if idle else (unit.text, [])
        head, word, listed = text.partition(" import ")
        for name in names:
            listed = re.sub(rf"\b{name}\b(?!\s+as\b)", f"{name} as {name}", listed, count=1)
        notes = [*comments, *([] if REEXPORTS in self.source.text or self.marked else [REEXPORTS])]
        self.marked = True
        kept = "".join(c + self.source.newline for c in notes)
        return [(unit.statement.start, unit.statement.end, kept + head + word + listed)]

    def _taken_whole(self) -> set[int]:
        """Import units that some target took over with their own text, trailing comment included."""
        found = set()
        for unit in self.scope.units:
            if unit.sort == "import":
                names = {b.name for b in bindings(unit)} - {"*"}  # a star goes whole or stays
                for target in set(self.layout.home.values()):
                    needed = {
                        n for u in self.layout.moving(target) for n in u.needs if self.scope.provider(n, u) is unit
                    }
                    if names <= needed:
                        found.add(unit.index)
        return found

    def _import_lead(self, unit: Unit, whole: bool) -> int:
        """Where the cut begins: an import that goes whole takes the comment about it and, if nothing else is there, its blank lines."""
        if not whole:
            return unit.statement.start
        attached = attached_comment(unit) if unit.index in self.carried else ""
        start = unit.statement.start - len(attached)
        return (
            unit.statement.lead
            if unit.statement.lead and not self.source.text[unit.statement.lead : start].strip()
            else start
        )

    # -- imports that come ---------------------------------------------------------------------------------------------

    def _split(self, names: dict[str, str], inside: set[str]) -> tuple[dict[str, list[str]], dict[str, str]]:
        """Names to import at the top, by target; and names to answer for on demand."""
        eager: dict[str, list[str]] = {}
        lazy: dict[str, str] = {}
        used = {
            n
            for u in self.staying
            for n in u.needs
            if (p := self.scope.provider(n, u)) is not None and p.index in self.layout.home
        }
        for name, target in names.items():
            if target in self.backward:
                if name in self.reexported or name in self.wanted:
                    lazy[name] = target
            elif name in used or name in self.reexported or name in self.wanted:
                eager.setdefault(target, []).append(name)
        self._really_used = used - inside
        return eager, lazy

    def _import_block(self, eager: dict[str, list[str]], lazy: dict[str, str]) -> str:
        lines = []
        module = self.composer.module
        if self.layout.setup in self.layout.home.values():
            eager = {k: v for k, v in eager.items() if k != self.layout.setup or self._really_used & set(v)}
            if self._first_hoisted() is None:
                lines.append(self._setup_line().strip())
        aliased = False
        for target, names in eager.items():
            kept = [n for n in names if target != self.layout.setup or n in self._really_used]
            spelt = [n if n in self._really_used or n in self.listed else f"{n} as {n}" for n in kept]
            aliased |= any(" as " in s for s in spelt)
            lines.append(render_from(module(target), spelt))
        loaded = set(self.layout.registering)
        lines += [self.composer.loaded(t) for t in self.layout.registering if t not in self.backward | eager.keys()]
        lines = [line for line in lines if line not in self.source.text]
        if (lazy or loaded & self.backward) and is_script(self.source):
            alias = f'sys.modules.setdefault("{module(self.source.path)}", sys.modules[__name__])'
            if alias in self.source.text:
                alias = ""  # an earlier run has put it there
            elif not ("sys" in self.scope.binders and self._stays_bound("sys")):
                lines.append("import sys")
            if alias:
                lines.append(f"{alias}  # run as a script, this is also the module its parts import")
        if aliased and not self.marked and REEXPORTS not in self.source.text:
            lines.insert(0, REEXPORTS)
        return "".join(line + "\n" for line in lines)

    def _first_hoisted(self) -> Unit | None:
        """The first statement that runs from the setup module now, where its import has to take its place among the others:
        not if all imports are above it, nor if the way there is only arranged below.
        """
        hoisted = [u for u in self.scope.units if self.layout.home.get(u.index) == self.layout.setup]
        below = [u for u in self.scope.units if hoisted and u.index > hoisted[0].index]
        among = any(u.sort in ("import", "guarded import") for u in below)
        return hoisted[0] if among and not any(u.sort in ("path", "future") for u in below) else None

    def _setup_line(self) -> str:
        return f"import {self.composer.module(self.layout.setup)}  # noqa: F401 (what this file ran on import)\n"

    def _stays_bound(self, name: str) -> bool:
        """Whether a plain import above still binds `name`."""
        units = [u for u in self.scope.binders[name] if u.sort == "import"]
        return any(self._used(u, name) or not self._was_needed(u, name) for u in units)

    def _place(self, names: dict[str, str]) -> int:
        """Behind the imports and `sys.path` lines, before the first statement that stays and needs a moved name as it runs."""
        last = 0
        for unit in self.scope.units:
            moved = unit.index in self.layout.home
            if unit.sort in ("docstring", "future", "import", "guarded import", "path") and not (
                unit.sort == "docstring" and unit.index
            ):
                last = unit.statement.end
            elif not moved and any(
                (p := self.scope.provider(n, unit)) is not None and p.index in self.layout.home for n in unit.needs_now
            ):
                break
        if not last and self.scope.units:
            first = self.scope.units[0]
            last = self._lead_start(first) if first.index in self.layout.home else first.statement.start
        return last

    def _function_imports(self, names: dict[str, str]) -> tuple[list[tuple[int, int, str]], set[str]]:
        """Imports at the top of staying functions that use what leads back here; the names so served."""
        edits: list[tuple[int, int, str]] = []
        served: set[str] = set()
        lazy = {n for n, t in names.items() if t in self.backward}
        for unit in self.staying:
            used = {
                n
                for n in unit.needs & lazy
                if (p := self.scope.provider(n, unit)) is not None and p.index in self.layout.home
            }
            if not used:
                continue
            left = set(used)
            blocks = (
                unit.nodes if unit.sort == "main guard" else [f for node in unit.nodes for f in _outer_functions(node)]
            )
            for block in blocks:
                mine = {n for n in used if any(isinstance(x, ast.Name) and x.id == n for x in ast.walk(block))}
                if mine:
                    edits.append(self._import_inside(block, mine, names))
                    left -= mine
            if left:
                raise BadInput(
                    f"{self.source.path}:{unit.lines[0]}: uses {', '.join(sorted(left))} where no import can be put, while "
                    f"{names[sorted(left)[0]]} leans back on this file; name more symbols in the step, or fewer"
                )
            served |= used
        return edits, served

    def _import_inside(self, block: ast.AST, used: set[str], names: dict[str, str]) -> tuple[int, int, str]:
        body: list[ast.stmt] = getattr(block, "body")  # noqa: B009 (functions and ifs alike)
        first = body[1] if len(body) > 1 and _is_docstring(body[0]) else body[0]
        start = self.source.span(first)[0]
        line = self.source.line_starts[self.source.line_of(start) - 1]
        indent = self.source.text[line:start]
        gap = "\n" + indent if not indent.strip() else "; "
        by_target: dict[str, list[str]] = {}
        for name in sorted(used):
            by_target.setdefault(names[name], []).append(name)
        lines = [f"from {self.composer.module(t)} import {', '.join(ns)}{gap}" for t, ns in by_target.items()]
        return start, start, "".join(lines)

    def _below(self, lazy: dict[str, str]) -> list[tuple[int, int, str]]:
        """What stands behind the definitions, above the main guard: what answers for names on demand, what has to be loaded."""
        text, edits = "", []
        if lazy:
            table = "".join(f'    "{name}": "{self.composer.module(target)}",\n' for name, target in lazy.items())
            if "__getattr__" in self.scope.binders:
                edits.append(self._added(table))
            else:
                text += (
                    "\n\n# Moved out; imported when asked for, since their new homes import this module.\n"
                    f"_MOVED = {{\n{table}}}\n{STAR if '*' in self.wanted and '__all__' not in self.scope.binders else ''}"
                    f"\n\n{GETATTR}"
                )
        lines = [
            line
            for target in self.layout.registering  # in the source's order
            if target in self.backward and (line := self.composer.loaded(target)) not in self.source.text
        ]
        if lines:
            text += ("\n\n" if lazy else "\n") + "".join(line + "\n" for line in lines)
        if text:
            guard = next((u for u in self.scope.units if u.sort == "main guard"), None)
            end = guard.statement.lead if guard else len(self.source.text)
            if guard is not None and not guard.lead[:1].isspace():
                text += "\n\n"
            edits.append((end, end, text if self.source.text[:end].endswith(("\n", "\r")) or not end else "\n" + text))
        return edits

    def _added(self, table: str) -> tuple[int, int, str]:
        """More names for the module `__getattr__` of an earlier run."""
        unit = self.scope.binders["__getattr__"][0]
        moved = self.scope.binders.get("_MOVED", [])
        if "\n".join(unit.text.splitlines()) != GETATTR.partition("\n\n\n")[0] or len(moved) != 1:
            raise BadInput(
                f"{self.source.path}:{unit.lines[0]}: has a module __getattr__ of its own, and names that leave would need one; move them by hand"
            )
        end = moved[0].statement.start + moved[0].text.rindex("}")
        return end, end, table


def _outer_functions(node: ast.AST) -> list[ast.AST]:
    """The outermost functions at or below a node; a class's methods are outermost, a method's closures are not."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return [node]
    return [f for child in ast.iter_child_nodes(node) for f in _outer_functions(child)]


def _is_docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _collapse(edits: list[tuple[int, int, str]]) -> list[tuple[int, int, str]]:
    """Edits in order, insertions before cuts that begin at the same offset, an insertion at the edge of a cut joined to it."""
    ordered = sorted(edits, key=lambda e: (e[0], e[1]))
    merged: list[tuple[int, int, str]] = []
    for start, end, text in ordered:
        if merged and merged[-1][0] == merged[-1][1] == start == end:
            merged[-1] = (start, end, merged[-1][2] + text)
        else:
            merged.append((start, end, text))
    return merged
