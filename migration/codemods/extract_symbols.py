"""extract-symbols: top-level definitions move to a module of their own, letter for letter.

The layout is made once for all steps that share a source, since only together they show what leans on what; the first of them
writes what is left of the source, and each its own target, the packages around it, and the importers of its names.
"""

from __future__ import annotations

import ast

from migration.analysis import modules
from migration.analysis.importers import Renames, repoint, root_lines
from migration.analysis.imports import module_text, render_from
from migration.analysis.source import Source, Unparsable
from migration.analysis.units import Unit, is_script, units_of
from migration.codemods import Context, Finding, Moved, Outcome, codemod
from migration.errors import BadInput
from migration.extraction.arranging import imported_from, layout_of
from migration.extraction.doubts import doubts
from migration.extraction.layout import Layout
from migration.extraction.names import Scope
from migration.extraction.remainder import Remainder
from migration.extraction.target import Composer
from migration.plan import EntryPoint, ExtractSymbols
from migration.tree import Overlay

MADE = "was taken apart into: import it from here."


@codemod(ExtractSymbols)
def extract_symbols(step: ExtractSymbols, tree: Overlay, context: Context) -> Outcome:
    """Move `symbols` from `source` to `target`. Raises BadInput."""
    where = f"{context.plan.file}: step {step.id!r}"
    if not tree.exists(step.source):
        raise BadInput(f"{where}: field 'source': {step.source}: {tree.absence(step.source)}")
    outcome = Outcome()
    try:
        if ("layout", step.source) not in context.memo and _settled(step, tree):
            return _already_done(step)  # and whoever has something left to do makes the layout, and writes the source
        layout = _layout(tree, step, context, outcome)
    except Unparsable as error:
        raise BadInput(f"{where}: {error}; a file that a step names has to parse") from error
    moving = layout.moving(step.target)
    if not moving or not any(n in layout.names for n in step.symbols):
        return _already_done(step)
    if tree.exists(step.target) and step.target not in outcome.edits and not tree.source(step.target).parses:
        raise BadInput(f"{where}: field 'target': {step.target} is there and does not parse")
    names = {n: step.target for u in moving for n in sorted(u.binds)}
    after = Overlay(tree, outcome.edits)
    edits, findings = repoint(
        after, Renames(symbols={step.source: names}), context, skip={step.source, step.target, layout.setup}
    )
    outcome.edits |= edits
    outcome.edits |= _packages(after, step, layout, context)
    outcome.findings += [*findings, *_drift(step, tree), *_notes(step, layout, moving)]
    outcome.findings += doubts(tree, step, layout, context.roots)
    outcome.moved = [_moved(u, layout, step) for u in moving if u.binds]
    listed = ", ".join(n for n in names if n in step.symbols)
    along = [n for n in names if n not in step.symbols]
    outcome.summary = f"{listed} → {step.target}" + (f" (with {', '.join(along)})" if along else "")
    return outcome


def _settled(step: ExtractSymbols, tree: Overlay) -> bool:
    """Whether an earlier run has carried the step out: every symbol is at home in the target, none in the source."""
    if not tree.exists(step.target) or not tree.source(step.target).parses:
        return False
    source, target = (Scope(tuple(units_of(tree.source(p)))) for p in (step.source, step.target))
    return all(target.definitions(s) and not source.definitions(s) for s in step.symbols)


def _already_done(step: ExtractSymbols) -> Outcome:
    return Outcome("already done", f"{', '.join(step.symbols)} already in {step.target}")


def _layout(tree: Overlay, step: ExtractSymbols, context: Context, outcome: Outcome) -> Layout:
    """The layout of the step's source; the first step to ask makes it and puts all its texts into `outcome`."""
    known = context.memo.get(("layout", step.source))
    if isinstance(known, Layout):
        if step.target in known.texts:
            outcome.edits[step.target] = known.texts[step.target]
        return known
    layout = layout_of(tree, tree.source(step.source), context)
    context.memo["layout", step.source] = layout
    if not layout.home:
        return layout
    carried: set[int] = set()
    composer = None
    for target in sorted(set(layout.home.values()), key=lambda t: t != layout.setup):
        composer = Composer(tree, layout, target, context.roots)
        text = composer.text()
        carried |= composer.carried
        layout.texts[target] = tree.source(target).encode(text) if tree.exists(target) else text.encode()
    if composer is None:
        return layout
    reexported = {s for e in context.steps(ExtractSymbols) if e.source == step.source and e.reexport for s in e.symbols}
    reexported |= {n for u in layout.scope.units if u.index in layout.why for n in u.binds}
    rest = Remainder(composer, carried, reexported, _wanted(tree, step.source, context.roots)).text()
    source = tree.source(step.source)
    outcome.edits[step.source] = source.encode(_with_root(tree, source, rest, layout, context))
    outcome.edits |= {t: text for t, text in layout.texts.items() if t in (step.target, layout.setup)}
    if layout.setup in layout.home.values():
        for unit in layout.moving(layout.setup):
            outcome.findings.append(
                Finding(
                    "note",
                    step.source,
                    unit.lines[0],
                    f"runs from {layout.setup} now, once, whichever module is imported first: {unit.text.splitlines()[0]}",
                )
            )
    return layout


def _wanted(tree: Overlay, path: str, roots: list[str]) -> set[str]:
    """Names that other files import from the module at `path`; all it binds would be too much to keep."""
    importers = tree.mentioning(path.removesuffix(".py").rsplit("/", 1)[-1], suffixes=(".py",))
    return set().union(*(imported_from(tree, path, importer, roots) for importer in importers if importer != path))


def _with_root(tree: Overlay, source: Source, text: str, layout: Layout, context: Context) -> str:
    """A script that is run by path from a folder below the root needs the root on its path for what it now imports."""
    root = modules.root_of(source.path, context.roots)
    covered = any(step.file == source.path for step in context.steps(EntryPoint))
    if covered or modules.folder_of(source.path) == root or not is_script(source) or root in modules.path_hints(source):
        return text
    if any(
        u.sort == "import" and any(isinstance(n, ast.ImportFrom) and n.level for n in u.nodes)
        for u in layout.scope.units
    ):
        return text
    new = Source(source.path, source.encode(text))
    targets = {modules.dotted_name(t, context.roots) for t in layout.home.values()}
    first = next(
        (n for n in new.tree.body if isinstance(n, ast.Import | ast.ImportFrom) and _names_module(n) in targets), None
    )
    if first is None:
        return text
    start = new.span(first)[0]
    return text[:start] + root_lines(new, first, root) + new.newline + text[start:]


def _names_module(node: ast.Import | ast.ImportFrom) -> str:
    return module_text(node) if isinstance(node, ast.ImportFrom) else node.names[0].name


def _packages(tree: Overlay, step: ExtractSymbols, layout: Layout, context: Context) -> dict[str, bytes | None]:
    """`__init__.py` for the folders of the target that lack one; a new package exports the plan's public names."""
    edits: dict[str, bytes | None] = {}
    roots = context.roots
    for init in modules.package_inits(tree, step.target, roots):
        folder = modules.folder_of(init)
        edits[init] = f'"""{folder.rsplit("/", 1)[-1].capitalize()} package."""\n'.encode()
    own = modules.join(modules.folder_of(step.target), "__init__.py")
    folder = modules.folder_of(own)
    there = _exported(tree, own)
    fresh = there is not None or not any(
        modules.folder_of(p) == folder and p.endswith(".py") and p != own for p in _base(tree).paths()
    )
    if fresh and step.target != own and (own in edits or there is not None or not _base_has_code(tree, own)):
        edits[own] = _exports(folder, layout, context, there or {})
    return edits


def _exported(tree: Overlay, init: str) -> dict[str, tuple[str, bool]] | None:
    """What an `__init__` that is as the tool makes them exports: name to (module, on demand). None where it is another's."""
    if not tree.exists(init) or MADE not in tree.source(init).text or not tree.source(init).parses:
        return None
    found: dict[str, tuple[str, bool]] = {}
    for node in tree.source(init).tree.body[1:]:
        match node:
            case ast.ImportFrom(level=1, module=str(module)) if not any(a.asname for a in node.names):
                found |= {a.name: (module, False) for a in node.names}
            case ast.Assign(targets=[ast.Name("_LAZY")]):
                found |= {name: (module, True) for name, module in ast.literal_eval(node.value).items()}
            case ast.Assign(targets=[ast.Name("__all__")]) | ast.FunctionDef(name="__getattr__"):
                pass
            case _:
                return None
    return found


def _base(tree: Overlay) -> Overlay:
    return tree if not isinstance(tree.base, Overlay) else _base(tree.base)


def _base_has_code(tree: Overlay, path: str) -> bool:
    """Whether a person has put code, not only a docstring, into the file before the migration."""
    bottom = _base(tree).base
    if not bottom.exists(path):
        return False
    body = Source(path, bottom.read(path)).tree.body
    return any(not (isinstance(n, ast.Expr) and isinstance(n.value, ast.Constant)) for n in body)


def _exports(folder: str, layout: Layout, context: Context, there: dict[str, tuple[str, bool]]) -> bytes:
    """The text of a new package's `__init__`: every public name that the plan puts into one of its modules, beside those
    that are `there` from another source or an earlier run.
    """
    public: dict[str, list[str]] = {}
    for name, (module, _) in there.items():
        public.setdefault(modules.join(folder, module.replace(".", "/") + ".py"), []).append(name)
    for step in context.steps(ExtractSymbols):
        if modules.folder_of(step.target) == folder:
            listed = public.setdefault(step.target, [])
            listed += [s for s in step.symbols if not s.startswith("_") and s not in listed]
    lead_back = {t for t in public if _leads_back(layout, t, folder)}
    lead_back |= {modules.join(folder, f"{module}.py") for module, on_demand in there.values() if on_demand}
    if len({s.source for s in context.steps(ExtractSymbols) if modules.folder_of(s.target) == folder}) > 1:
        lead_back = set(
            public
        )  # one source may import the other, and either the package: nothing of it may be in a hurry
    eager = {t: names for t, names in public.items() if t not in lead_back}
    lazy = {n: t.rsplit("/", 1)[-1].removesuffix(".py") for t in public if t in lead_back for n in public[t]}
    lines = [
        render_from("." + t.rsplit("/", 1)[-1].removesuffix(".py"), sorted(names)) for t, names in sorted(eager.items())
    ]
    lazy = {n: m for n, m in lazy.items() if n != m}  # the submodule of that name would answer instead
    listed = sorted([*(n for names in eager.values() for n in names), *lazy])
    table = (
        f"\n_LAZY = {{{', '.join(f'{n!r}: {m!r}' for n, m in sorted(lazy.items()))}}}\n".replace("'", '"')
        if lazy
        else ""
    )
    getter = (
        f"{table}\n\ndef __getattr__(name):\n    import importlib\n\n    if name in _LAZY:\n"
        '        return getattr(importlib.import_module(f".{_LAZY[name]}", __name__), name)\n'
        '    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")\n'
        if lazy
        else ""
    )
    head = f'"""What {layout.source} {MADE}"""\n\n'
    exported = "__all__ = [" + ", ".join(f'"{n}"' for n in listed) + "]"
    if len(exported) > 100:
        exported = "__all__ = [\n" + "".join(f'    "{n}",\n' for n in listed) + "]"
    return (head + "".join(line + "\n" for line in lines) + ("\n" if lines else "") + exported + "\n" + getter).encode()


def _leads_back(layout: Layout, target: str, folder: str) -> bool:
    """Whether importing `target` with its package would come back to someone who is only just importing the package."""
    users = {t for t in set(layout.home.values()) if modules.folder_of(t) != folder}
    users = {u for u in users if any(modules.folder_of(home) == folder for home in layout.leans(u))}
    return target in layout.backward or bool(users & layout.reached(target))


def _moved(unit: Unit, layout: Layout, step: ExtractSymbols) -> Moved:
    text = (unit.lead + unit.text).replace("\r\n", "\n").replace("\r", "\n").lstrip("\n")
    return Moved(
        ", ".join(sorted(unit.binds)), step.source, step.target, unit.lines, text, layout.why.get(unit.index, "")
    )


def _drift(step: ExtractSymbols, tree: Overlay) -> list[Finding]:
    """Definitions that do not stand where the plan expects them in the file as it was before the migration."""
    bottom = _base(tree).base
    if not step.expect_lines or not bottom.exists(step.source):
        return []
    found = []
    for node in Source(step.source, bottom.read(step.source)).tree.body:
        name = getattr(node, "name", "")
        expected = step.expect_lines.get(name)
        lines = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", []))]), node.end_lineno
        if expected is not None and lines != expected:
            message = f"{name}: the plan expects lines {expected[0]}–{expected[1]}, found at {lines[0]}–{lines[1]}"
            found.append(Finding("note", step.source, lines[0], message))
    return found


def _notes(step: ExtractSymbols, layout: Layout, moving: list[Unit]) -> list[Finding]:
    """What a person should know: names that depend on where the file lies, what moved along."""
    found = []
    for unit in moving:
        for special in sorted(unit.needs & {"__file__", "__name__"}):
            found.append(
                Finding(
                    "warning",
                    step.source,
                    unit.lines[0],
                    f"{', '.join(sorted(unit.binds))} uses {special}, which is another one in {step.target}",
                )
            )
        if unit.index in layout.why:
            found.append(
                Finding(
                    "note",
                    step.source,
                    unit.lines[0],
                    f"{', '.join(sorted(unit.binds)) or unit.text.splitlines()[0]} goes along to {step.target}: {layout.why[unit.index]}",
                )
            )
    if step.target in layout.backward:
        found.append(
            Finding(
                "note",
                step.target,
                None,
                f"imports {step.source} back, so {step.source} answers for the moved names on demand (module __getattr__)",
            )
        )
    return found
