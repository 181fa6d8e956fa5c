"""remove-duplicate: a second copy of a file goes, once nothing is lost by it.

The two are compared definition by definition. What differs in behaviour is adopted where the plan says so; what still differs stops
the step, unless the plan keeps the copy or discards the difference. Importers and callers are pointed at the canonical file.
"""

from __future__ import annotations

import ast
import textwrap

from migration.analysis.callers import point_callers
from migration.analysis.duplicates import Entry, comments_only_in, compare
from migration.analysis.importers import repoint_module
from migration.analysis.imports import bindings, render
from migration.analysis.names import free_names
from migration.analysis.source import Source, Unparsable, splice
from migration.analysis.units import BUILTINS, units_of
from migration.codemods import Context, Finding, Outcome, codemod
from migration.errors import BadInput, nearest
from migration.plan import RemoveDuplicate
from migration.tree import Overlay

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


@codemod(RemoveDuplicate)
def remove_duplicate(step: RemoveDuplicate, tree: Overlay, context: Context) -> Outcome:
    """Remove `duplicate` in favour of `canonical`. Raises BadInput for a name in `adopt` that is not there."""
    outcome = Outcome()
    if not tree.exists(step.duplicate):
        return _already_gone(step, tree, context)
    if not tree.exists(step.canonical):
        outcome.status, outcome.summary = (
            "kept",
            f"{step.duplicate} stays: {step.canonical}, which should replace it, is not there",
        )
        return outcome
    duplicate, canonical = _as_written(tree, step.duplicate), _as_written(tree, step.canonical)
    try:
        canonical = _adopted(step, canonical, duplicate, context, outcome)
    except Unparsable as error:
        raise BadInput(
            f"{context.plan.file}: step {step.id!r}: {error}; definitions can be adopted only between files that parse"
        ) from error
    entries = compare(canonical, duplicate)
    lost = [e for e in entries if e.matters]
    if lost and step.on_divergence != "discard":
        return _undecided(step, lost)
    outcome.findings += [
        Finding(
            "behaviour",
            step.canonical,
            _line(e.canonical_lines),
            f"{e.name}: the duplicate's version is discarded",
            e.canonical,
            e.duplicate,
        )
        for e in lost
    ]
    outcome.findings += [
        _harmless(step, e) for e in entries if e.category in ("cosmetic", "import-source", "path-only")
    ]
    for first, last, comments in (
        comments_only_in(duplicate, canonical) if duplicate.path.endswith((".py", ".sh")) else ()
    ):
        outcome.findings.append(
            Finding(
                "note",
                step.duplicate,
                first,
                f"{last - first + 1} comment line(s) stand only in the duplicate and go with it, lines {first}–{last}",
                "\n".join(comments),
            )
        )
        outcome.removed_comments += comments
    if step.duplicate.endswith(".py"):
        edits, findings = repoint_module(Overlay(tree, outcome.edits), step.duplicate, step.canonical, context)
        outcome.edits |= edits
        outcome.findings += findings
    edits, findings = point_callers(
        Overlay(tree, outcome.edits), step.duplicate, step.canonical, skip=_leaving(step, tree, context)
    )
    outcome.edits |= edits
    outcome.findings += findings
    outcome.edits[step.duplicate] = None
    adopted = (
        f", {', '.join(step.adopt)} adopted"
        if any(f.level == "behaviour" and "taken over" in f.message for f in outcome.findings)
        else ""
    )
    outcome.summary = f"{step.duplicate} removed{adopted}"
    return outcome


def _already_gone(step: RemoveDuplicate, tree: Overlay, context: Context) -> Outcome:
    """Somebody has deleted it: who still imports it from its old place is pointed at the canonical file all the same."""
    if not tree.exists(step.canonical):
        finding = Finding("note", step.canonical, None, f"neither {step.duplicate} nor {step.canonical} is there")
        return Outcome("nothing to do", "neither file is there", findings=[finding])
    outcome = Outcome("already done", f"{step.duplicate} is gone")
    if step.duplicate.endswith(".py"):
        outcome.edits, outcome.findings = repoint_module(tree, step.duplicate, step.canonical, context)
    if outcome.edits:
        outcome.status, outcome.summary = (
            "done",
            f"{step.duplicate} was gone; {len(outcome.edits)} file(s) that still import it point at {step.canonical}",
        )
    return outcome


def _as_written(tree: Overlay, path: str) -> Source:
    """Python as earlier steps have left it; anything else as its author did, since steps only respell the paths in it."""
    if path.endswith(".py"):
        return tree.source(path)
    bottom: Overlay = tree
    while isinstance(bottom.base, Overlay):
        bottom = bottom.base
    return Source(path, bottom.base.read(path) if bottom.base.exists(path) else tree.read(path))


def _leaving(step: RemoveDuplicate, tree: Overlay, context: Context) -> list[str]:
    """Other duplicates that this plan removes: nobody needs their calls rewritten."""
    return [s.duplicate for s in context.steps(RemoveDuplicate) if s is not step and tree.exists(s.canonical)]


def _line(lines: tuple[int, int] | None) -> int | None:
    return lines[0] if lines else None


def _harmless(step: RemoveDuplicate, entry: Entry) -> Finding:
    why = {
        "cosmetic": "differs in comments, formatting or the name of a local variable only",
        "import-source": "is imported from another place",
        "path-only": "differs in how a script's path is spelt only",
    }
    return Finding(
        "note",
        step.duplicate,
        _line(entry.duplicate_lines),
        f"{entry.name} {why[entry.category]}",
        entry.canonical,
        entry.duplicate,
    )


def _undecided(step: RemoveDuplicate, lost: list[Entry]) -> Outcome:
    """The duplicate stays: because the plan says so, or until it says what to do."""
    names = ", ".join(e.name for e in lost)
    if step.on_divergence == "keep":
        findings = [
            Finding(
                "warning",
                step.duplicate,
                _line(e.duplicate_lines),
                f"{e.name} differs from {step.canonical}, the duplicate is kept",
                e.canonical,
                e.duplicate,
            )
            for e in lost
        ]
        return Outcome("kept", f"{step.duplicate} stays: it differs in {names}", findings=findings)
    findings = []
    for entry in lost:
        here = (
            "is only in the duplicate"
            if entry.category == "only in duplicate"
            else f"differs from {step.canonical}" + (f":{entry.canonical_lines[0]}" if entry.canonical_lines else "")
        )
        advice = (
            f'write adopt = ["{entry.name}"]'
            if step.duplicate.endswith(".py") and " " not in entry.name
            else "bring them together by hand"
        )
        message = f'{entry.name} {here}. To take it over {advice} in step {step.id!r}; else on_divergence = "keep" or "discard"'
        findings.append(
            Finding("decision", step.duplicate, _line(entry.duplicate_lines), message, entry.canonical, entry.duplicate)
        )
    return Outcome("kept", f"{step.duplicate} differs in {names}", findings=findings)


# -- adopting --------------------------------------------------------------------------------------------------------------


def _adopted(step: RemoveDuplicate, canonical: Source, duplicate: Source, context: Context, outcome: Outcome) -> Source:
    """The canonical file with the definitions of `adopt` taken over letter for letter."""
    for name in step.adopt:
        where = f"{context.plan.file}: step {step.id!r}: field 'adopt'"
        theirs = _definitions(duplicate)
        if name not in theirs:
            raise BadInput(f"{where}: {name!r} is not defined in {step.duplicate}{nearest(name, theirs)}")
        ours = _definitions(canonical)
        new = _slice(duplicate, theirs[name])
        if name in ours:
            start, end = _extent(canonical, ours[name])
            old = canonical.text[start:end]
        else:
            start = end = _place(canonical, ours, theirs, name, where)
            old = ""
        if old.replace("\r\n", "\n") == new:
            outcome.findings.append(
                Finding(
                    "note",
                    step.canonical,
                    canonical.line_of(start),
                    f"{name} is the same in both files, nothing to adopt",
                )
            )
            continue
        edits = [
            (start, end, new.replace("\n", canonical.newline)),
            *_missing_imports(canonical, duplicate, new, where, name),
        ]
        message = f"{name} taken over from {step.duplicate}: a change of behaviour, {len(old.splitlines())} lines become {len(new.splitlines())}"
        outcome.findings.append(Finding("behaviour", step.canonical, canonical.line_of(start), message, old, new))
        canonical = Source(canonical.path, canonical.encode(splice(canonical.text, edits)))
        outcome.edits[step.canonical] = canonical.raw
        kept = new.splitlines()
        outcome.removed_comments += [
            line.strip() for line in old.splitlines() if line.strip().startswith("#") and line not in kept
        ]
    return canonical


def _definitions(source: Source) -> dict[str, Definition]:
    """Top-level functions and classes, and methods as `Class.method`."""
    found: dict[str, Definition] = {}
    for node in source.tree.body:
        if isinstance(node, Definition):
            found[node.name] = node
            inner = node.body if isinstance(node, ast.ClassDef) else []
            found |= {f"{node.name}.{n.name}": n for n in inner if isinstance(n, Definition)}
    return found


def _extent(source: Source, node: Definition) -> tuple[int, int]:
    """The whole lines of a definition, decorators included."""
    start = source.line_starts[source.line_of(source.span(node)[0]) - 1]
    last = node.end_lineno or node.lineno
    return start, source.line_starts[last] if last < len(source.line_starts) else len(source.text)


def _slice(source: Source, node: Definition) -> str:
    start, end = _extent(source, node)
    text = source.text[start:end].replace("\r\n", "\n")
    return text if text.endswith("\n") else text + "\n"


def _place(canonical: Source, ours: dict[str, Definition], theirs: dict[str, Definition], name: str, where: str) -> int:
    """Where a definition that the canonical file lacks goes: behind the one it follows in the duplicate, or at the class's or file's end."""
    owner = name.rpartition(".")[0]
    if owner and owner not in ours:
        raise BadInput(f"{where}: {name!r}: {canonical.path} has no class {owner!r}{nearest(owner, ours)}")
    siblings = [n for n in theirs if n.rpartition(".")[0] == owner]
    above = [n for n in siblings[: siblings.index(name)] if n in ours]
    if above:
        return _extent(canonical, ours[above[-1]])[1]
    return _extent(canonical, ours[owner])[1] if owner else len(canonical.text)


def _missing_imports(
    canonical: Source, duplicate: Source, text: str, where: str, name: str
) -> list[tuple[int, int, str]]:
    """Imports that the adopted text needs and the canonical file lacks."""
    units = units_of(canonical)
    bound = {n for u in units for n in u.binds} | BUILTINS | {"__class__"}
    needed = free_names(textwrap.dedent(text)).all - bound
    lines = []
    for unit in units_of(duplicate):
        if unit.sort == "import":
            for binding in bindings(unit):
                if binding.name in needed:
                    lines.append(render(binding.node, [binding.alias]) + canonical.newline)
                    needed -= {binding.name}
    known = {n for u in units_of(duplicate) for n in u.binds}
    if needed & known:
        raise BadInput(
            f"{where}: {name!r} leans on {', '.join(sorted(needed & known))} of the duplicate, which {canonical.path} lacks; adopt that too"
        )
    place = max((u.statement.end for u in units if u.sort in ("docstring", "future", "import")), default=0)
    return [(place, place, "".join(lines))] if lines else []
