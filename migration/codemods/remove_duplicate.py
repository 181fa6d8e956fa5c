"""remove-duplicate: a second copy of a file goes, once nothing is lost by it.

The two are compared definition by definition. What differs in behaviour is adopted where the plan says so; what still differs stops
the step, unless the plan keeps the copy or discards the difference. Importers and callers are pointed at the canonical file.
"""

from __future__ import annotations

import ast
import copy
from collections import Counter

from migration.analysis.callers import point_callers
from migration.analysis.comments import comments_of
from migration.analysis.duplicates import comments_only_in, compare
from migration.analysis.entries import Entry
from migration.analysis.importers import repoint_module
from migration.analysis.imports import bindings, rehomed, render
from migration.analysis.modules import path_hints
from migration.analysis.names import free_names
from migration.analysis.renaming import meaning
from migration.analysis.source import Source, Unparsable, splice
from migration.analysis.units import BUILTINS, has_future_annotations, units_of
from migration.codemods import Context, Finding, Outcome, codemod
from migration.errors import BadInput, nearest
from migration.plan import RemoveDuplicate
from migration.tree import Overlay

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
HARMLESS = {
    "cosmetic": "differs in comments, formatting or the name of a local variable only",
    "import-source": "is imported from another place",
    "path-only": "differs in how a script's path is spelt only",
    "comment-only": "differs in comments only",
}


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
        canonical = _adopted(step, canonical, duplicate, tree, context, outcome)
    except Unparsable as error:
        raise BadInput(
            f"{context.plan.file}: step {step.id!r}: {error}; definitions can be adopted only between files that parse"
        ) from error
    entries = compare(canonical, duplicate)
    lost = [e for e in entries if e.matters]
    if lost and step.on_divergence != "discard":
        return _undecided(step, lost, duplicate)
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
    outcome.findings += [_harmless(step, e) for e in entries if e.category in HARMLESS]
    for first, last, comments in comments_only_in(duplicate, canonical):
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
    _point_everyone(step, tree, context, outcome)
    outcome.edits[step.duplicate] = None
    adopted = (
        f", {', '.join(step.adopt)} adopted"
        if any(f.level == "behaviour" and "taken over" in f.message for f in outcome.findings)
        else ""
    )
    outcome.summary = f"{step.duplicate} removed{adopted}"
    return outcome


def _already_gone(step: RemoveDuplicate, tree: Overlay, context: Context) -> Outcome:
    """Somebody has deleted it: who still needs it at its old place is pointed at the canonical file all the same."""
    if not tree.exists(step.canonical):
        finding = Finding("note", step.canonical, None, f"neither {step.duplicate} nor {step.canonical} is there")
        return Outcome("nothing to do", "neither file is there", findings=[finding])
    outcome = Outcome("already done", f"{step.duplicate} is gone")
    _point_everyone(step, tree, context, outcome)
    if outcome.edits:
        outcome.status, outcome.summary = (
            "done",
            f"{step.duplicate} was gone; {len(outcome.edits)} file(s) that still need it point at {step.canonical}",
        )
    return outcome


def _point_everyone(step: RemoveDuplicate, tree: Overlay, context: Context, outcome: Outcome) -> None:
    """Importers and callers of the duplicate, on top of what `outcome` has edited."""
    if step.duplicate.endswith(".py"):
        edits, findings = repoint_module(Overlay(tree, outcome.edits), step.duplicate, step.canonical, context)
        outcome.edits |= edits
        outcome.findings += findings
    leaving = [step.duplicate, *_leaving(step, tree, context)]
    edits, findings = point_callers(Overlay(tree, outcome.edits), step.duplicate, step.canonical, skip=leaving)
    outcome.edits |= edits
    outcome.findings += findings


def _as_written(tree: Overlay, path: str) -> Source:
    """Python as earlier steps have left it; anything else as its author did, since steps only respell the paths in it."""
    if path.endswith(".py"):
        return tree.source(path)
    first: Overlay = tree
    while isinstance(first.base, Overlay):
        first = first.base
    origin = first.base if first is tree else first  # under `verify` the first overlay holds what the migration found
    return Source(path, origin.read(path) if origin.exists(path) else tree.read(path))


def _leaving(step: RemoveDuplicate, tree: Overlay, context: Context) -> list[str]:
    """Other duplicates that this plan removes: nobody needs their calls rewritten."""
    return [s.duplicate for s in context.steps(RemoveDuplicate) if s is not step and tree.exists(s.canonical)]


def _line(lines: tuple[int, int] | None) -> int | None:
    return lines[0] if lines else None


def _harmless(step: RemoveDuplicate, entry: Entry) -> Finding:
    notes = f" ({'; '.join(entry.notes)})" if entry.notes else ""
    message = f"{entry.name} {HARMLESS[entry.category]}{notes}"
    return Finding("note", step.duplicate, _line(entry.duplicate_lines), message, entry.canonical, entry.duplicate)


def _undecided(step: RemoveDuplicate, lost: list[Entry], duplicate: Source) -> Outcome:
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
    adoptable = _definitions(duplicate) if step.duplicate.endswith(".py") and duplicate.parses else {}
    for entry in lost:
        here = (
            "is only in the duplicate"
            if entry.category == "only in duplicate"
            else f"differs from {step.canonical}" + (f":{entry.canonical_lines[0]}" if entry.canonical_lines else "")
        )
        advice = f'write adopt = ["{entry.name}"]' if entry.name in adoptable else "bring them together by hand"
        here += f" ({'; '.join(entry.notes)})" if entry.notes else ""
        message = f'{entry.name} {here}. To take it over {advice} in step {step.id!r}; else on_divergence = "keep" or "discard"'
        findings.append(
            Finding("decision", step.duplicate, _line(entry.duplicate_lines), message, entry.canonical, entry.duplicate)
        )
    return Outcome("kept", f"{step.duplicate} differs in {names}", findings=findings)


# -- adopting --------------------------------------------------------------------------------------------------------------


def _adopted(
    step: RemoveDuplicate, canonical: Source, duplicate: Source, tree: Overlay, context: Context, outcome: Outcome
) -> Source:
    """The canonical file with the definitions of `adopt` taken over letter for letter."""
    for name in step.adopt:
        where = f"{context.plan.file}: step {step.id!r}: field 'adopt'"
        theirs, ours = _definitions(duplicate), _definitions(canonical)
        if name not in theirs:
            raise BadInput(f"{where}: {name!r} is not defined in {step.duplicate}{nearest(name, theirs)}")
        new = _slice(duplicate, theirs[name])
        start, end = _extent(canonical, ours[name]) if name in ours else (0, 0)
        old = canonical.text[start:end].replace("\r\n", "\n")
        if old.rstrip("\n") == new.rstrip("\n"):
            line = canonical.line_of(start)
            message = f"{name} is the same in both files, nothing to adopt"
            outcome.findings.append(Finding("note", step.canonical, line, message))
            continue
        edit = (start, end, new) if name in ours else _insertion(canonical, ours, theirs, name, new, where)
        lines = _missing_imports(step, canonical, duplicate, name, edit[0], tree, context)
        edits = [*lines, (edit[0], edit[1], edit[2].replace("\n", canonical.newline))]
        message = f"{name} taken over from {step.duplicate}: a change of behaviour, {len(old.splitlines())} lines become {len(new.splitlines())}"
        outcome.findings.append(Finding("behaviour", step.canonical, canonical.line_of(edit[0]), message, old, new))
        outcome.removed_comments += _comments_lost(canonical, start, end, new)
        canonical = Source(canonical.path, canonical.encode(splice(canonical.text, edits)))
        taken = _definitions(canonical).get(name) if canonical.parses else None
        if taken is None or meaning(taken).exact != meaning(theirs[name]).exact:
            raise BadInput(
                f"{where}: {name!r} is indented in {step.duplicate} in another way than what is around its place in {canonical.path}; bring both to one indentation first"
            )
        outcome.edits[step.canonical] = canonical.raw
    return canonical


def _definitions(source: Source) -> dict[str, ast.stmt]:
    """What can be adopted, under the names that `compare` gives: functions, classes, methods as `Class.method`, assignments of one name."""
    found: dict[str, ast.stmt] = {}
    for unit in units_of(source):
        node = unit.nodes[0]
        if len(unit.nodes) > 1 or (not isinstance(node, Definition) and unit.sort != "assignment"):
            continue
        inner = node.body if isinstance(node, ast.ClassDef) else []
        methods = [n for n in inner if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
        named = [(f"{getattr(node, 'name', '')}.{n.name}", n) for n in methods]
        for name, defined in [*named, (", ".join(sorted(unit.binds)), node)]:
            while name in found:
                name += "'"
            found[name] = defined
    return found


def _extent(source: Source, node: ast.stmt) -> tuple[int, int]:
    """The whole lines of a definition, decorators included."""
    start = source.line_starts[source.line_of(source.span(node)[0]) - 1]
    last = node.end_lineno or node.lineno
    return start, source.line_starts[last] if last < len(source.line_starts) else len(source.text)


def _slice(source: Source, node: ast.stmt) -> str:
    start, end = _extent(source, node)
    text = source.text[start:end].replace("\r\n", "\n")
    return text if text.endswith("\n") else text + "\n"


def _insertion(
    canonical: Source, ours: dict[str, ast.stmt], theirs: dict[str, ast.stmt], name: str, new: str, where: str
) -> tuple[int, int, str]:
    """A definition that the canonical file lacks: behind the one it follows in the duplicate, or at the end of the class or the file."""
    owner = name.rpartition(".")[0]
    if owner and owner not in ours:
        raise BadInput(f"{where}: {name!r}: {canonical.path} has no class {owner!r}{nearest(owner, ours)}")
    siblings = [n for n in theirs if n.rpartition(".")[0] == owner]
    above = [n for n in siblings[: siblings.index(name)] if n in ours]
    main = next((u.statement.start for u in units_of(canonical) if u.sort == "main guard"), None)
    if above or owner:
        place = _extent(canonical, ours[above[-1] if above else owner])[1]
    elif main is not None:
        return main, main, f"{new}\n\n"
    else:
        place = len(canonical.text)
    if not place:
        return 0, 0, new
    gap = "" if canonical.text[:place].endswith(("\n", "\r")) else "\n"
    return place, place, gap + ("\n" if owner else "\n\n") + new


def _comments_lost(canonical: Source, start: int, end: int, new: str) -> list[str]:
    """Comments of what is replaced that do not come back with what takes its place."""
    lines = range(canonical.line_of(start), canonical.line_of(end - 1) + 1) if start < end else ()
    old = Counter(c.text for c in comments_of(canonical.path, canonical.raw) if c.line in lines)
    return list((old - Counter(c.text for c in comments_of("new.py", _alone(new).encode()))).elements())


def _alone(text: str) -> str:
    """A definition as a file of its own, whatever it was indented by."""
    return f"class _:\n{text}" if text[:1] in " \t" else text


def _missing_imports(
    step: RemoveDuplicate, canonical: Source, duplicate: Source, name: str, place: int, tree: Overlay, context: Context
) -> list[tuple[int, int, str]]:
    """Imports that the adopted definition needs and the canonical file lacks, as they read from there, above `place`."""
    text = _slice(duplicate, _definitions(duplicate)[name])
    units = units_of(canonical)
    needed = free_names(_alone(text), has_future_annotations(duplicate)).all - BUILTINS - {"__class__"}
    needed -= {n for u in units for n in u.binds}
    lines = []
    for unit in units_of(duplicate):
        for binding in bindings(unit) if unit.sort == "import" else ():
            if binding.name in needed:
                node = copy.copy(binding.node)
                node.names = [binding.alias]
                text = rehomed(tree, node, duplicate.path, canonical.path, context.roots, path_hints(duplicate)) or ""
                lines.append((text or render(node, node.names)) + canonical.newline)
                needed -= {binding.name}
    known = {n for u in units_of(duplicate) for n in u.binds} - set(step.adopt)
    if needed & known:
        raise BadInput(
            f"{context.plan.file}: step {step.id!r}: field 'adopt': {name!r} leans on {', '.join(sorted(needed & known))} of the duplicate, which {canonical.path} lacks; adopt that too"
        )
    above = [u.statement for u in units if u.statement.end <= place]
    heads = [u.statement.end for u in units if u.sort in ("docstring", "future", "import") and u.statement in above]
    first = heads[-1] if heads else units[0].statement.start if units else 0
    return [(first, first, "".join(lines))] if lines else []
